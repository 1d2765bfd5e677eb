"""Differentiable augmentation of real and generated images (DiffAugment); Zhao et al. 2020, section 3.3.

Random numbers are drawn on the CPU, so that every device applies the same augmentations. Pictures with alpha are layers
(gan/alpha.py): zero is transparent, and colour is premultiplied. params.yaml accepts the names of AUGMENTATIONS. torch is
imported where it is used, because reading params.yaml must not take seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pipeline.storage.arrays import has_alpha

if TYPE_CHECKING:
    import torch
    from torch import Tensor

TRANSLATION_SHARE = 0.125  # of the side, at most
CUTOUT_SHARE = 0.5  # of the side
LEAST_COVER = 1e-3  # of a picture by its garment, for the mean colour


def _uniform(shape: tuple[int, ...], rng: torch.Generator, like: Tensor) -> Tensor:
    import torch

    from pipeline.gan.devices import to_device

    return to_device(torch.rand(shape, generator=rng), like.device)


def _whole_shifts(count: int, limit: int, rng: torch.Generator, like: Tensor) -> Tensor:
    import torch

    from pipeline.gan.devices import to_device

    return to_device(torch.randint(-limit, limit + 1, (count, 1), generator=rng), like.device)


def _positions(side: int, like: Tensor) -> Tensor:
    import torch

    return torch.arange(side, device=like.device)


def colour(x: Tensor, rng: torch.Generator) -> Tensor:
    """Brightness ±0.5, saturation ×0 to ×2, contrast ×0.5 to ×1.5; `x` NCHW in [-1, 1]."""
    each = (len(x), 1, 1, 1)
    if has_alpha(x.shape[1]):
        return _layer_colour(x, *(_uniform(each, rng, x) for _ in range(3)))
    x = x + (_uniform(each, rng, x) - 0.5)
    grey = x.mean(dim=1, keepdim=True)
    x = grey.lerp(x, _uniform(each, rng, x) * 2)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return mean.lerp(x, _uniform(each, rng, x) + 0.5)


def _layer_colour(layers: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """The same changes of premultiplied colour: what is added is weighted by alpha, and the mean is the garment's."""
    import torch

    x, alpha = layers[:, :-1], layers[:, -1:]
    x = x + (brightness - 0.5) * alpha
    x = x.mean(dim=1, keepdim=True).lerp(x, saturation * 2)
    mean = x.mean(dim=(1, 2, 3), keepdim=True) / alpha.mean(dim=(1, 2, 3), keepdim=True).clamp(min=LEAST_COVER)
    return torch.cat([(mean * alpha).lerp(x, contrast + 0.5), alpha], dim=1)


def translation(x: Tensor, rng: torch.Generator) -> Tensor:
    """`x` shifted by up to an eighth of the side; the uncovered edge is zero."""
    count, _, height, width = x.shape
    down = _whole_shifts(count, round(height * TRANSLATION_SHARE), rng, x)
    right = _whole_shifts(count, round(width * TRANSLATION_SHARE), rng, x)
    rows = _positions(height, x) - down  # (N, H)
    columns = _positions(width, x) - right  # (N, W)
    inside = _inside(rows, height)[:, None, :, None] & _inside(columns, width)[:, None, None, :]
    moved = x.gather(2, rows.clamp(0, height - 1)[:, None, :, None].expand_as(x))
    moved = moved.gather(3, columns.clamp(0, width - 1)[:, None, None, :].expand_as(x))
    return moved * inside


def cutout(x: Tensor, rng: torch.Generator) -> Tensor:
    """`x` with a rectangle of half the height and width set to zero, its centre anywhere in the image."""
    rows, columns = (_hole(x, side, rng) for side in x.shape[2:])
    return x * ~(rows[:, None, :, None] & columns[:, None, None, :])


def _hole(x: Tensor, side: int, rng: torch.Generator) -> Tensor:
    """Mask (N, side) of the positions along a side that are cut out."""
    centres = _uniform((len(x), 1), rng, x) * side
    return (_positions(side, x) + 0.5 - centres).abs() < side * CUTOUT_SHARE / 2


def _inside(index: Tensor, size: int) -> Tensor:
    return (index >= 0) & (index < size)


AUGMENTATIONS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "colour": colour,
    "translation": translation,
    "cutout": cutout,
}


def diff_augment(x: Tensor, names: Iterable[str], rng: torch.Generator) -> Tensor:
    """`x` NCHW after the named augmentations, drawn independently for each image."""
    for name in names:
        x = AUGMENTATIONS[name](x, rng)
    return x
