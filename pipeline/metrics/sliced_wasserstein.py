"""Sliced Wasserstein distance of patches: a cheap distance of samples to real pictures, which asks no trained network."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

PATCH_PX = 7
PATCHES_PER_PICTURE = 32
DIRECTIONS = 128
SMALLEST_SIDE = 16  # of the pyramid


def pyramid(pictures: Tensor) -> list[Tensor]:
    """`pictures` (N, C, H, W) as what each halving loses, the finest first, then what is left; Burt & Adelson 1983."""
    levels = []
    while min(pictures.shape[2:]) >= 2 * SMALLEST_SIDE:
        smaller = functional.avg_pool2d(pictures, 2)
        levels.append(pictures - functional.interpolate(smaller, pictures.shape[2:], mode="nearest"))
        pictures = smaller
    return [*levels, pictures]


def _patches(pictures: Tensor, random: torch.Generator) -> Tensor:
    """Patches (N · PATCHES_PER_PICTURE, C, PATCH_PX, PATCH_PX) at random places, each channel of mean 0 and deviation 1."""
    places = pictures.unfold(2, PATCH_PX, 1).unfold(3, PATCH_PX, 1)  # (N, C, rows, columns, PATCH_PX, PATCH_PX)
    count = len(pictures) * PATCHES_PER_PICTURE
    which = torch.arange(len(pictures)).repeat_interleave(PATCHES_PER_PICTURE)
    rows = torch.randint(places.shape[2], (count,), generator=random)
    columns = torch.randint(places.shape[3], (count,), generator=random)
    patches = places[which, :, rows, columns]
    centred = patches - patches.mean(dim=(0, 2, 3), keepdim=True)
    return centred / centred.std(dim=(0, 2, 3), keepdim=True).clamp(min=1e-8)


def wasserstein_of_slices(one: Tensor, other: Tensor, random: torch.Generator) -> float:
    """Mean over random directions of the Wasserstein-1 distance of points (N, D) projected there; Rabin et al. 2012."""
    directions = functional.normalize(torch.randn(one.shape[1], DIRECTIONS, generator=random), dim=0)
    projected = [(points @ directions).sort(dim=0).values for points in (one, other)]
    return (projected[0] - projected[1]).abs().mean().item()


def sliced_wasserstein(real: NDArray[np.uint8], drawn: NDArray[np.uint8], seed: int) -> float:
    """Distance of two sets of as many pictures (N, H, W, C), mean over the levels of a pyramid; Karras et al. 2018, section 5.

    Patches of 7 × 7 pixels at the same random places of both. A number to compare generators of one run by, and no more.
    """
    of_levels = []
    levels = [pyramid(torch.from_numpy(pictures).permute(0, 3, 1, 2).float()) for pictures in (real, drawn)]
    for number, (of_real, of_drawn) in enumerate(zip(*levels, strict=True)):
        patches = [_patches(level, torch.Generator().manual_seed(seed + number)).flatten(1) for level in (of_real, of_drawn)]
        of_levels.append(wasserstein_of_slices(patches[0], patches[1], torch.Generator().manual_seed(seed + number)))
    return float(np.mean(of_levels))
