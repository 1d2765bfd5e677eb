"""Adaptive discriminator augmentation; Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data" (ADA).

Each change is applied to a picture with probability p (section 2.2, appendix B: pixel blitting, geometry, colour), and p rises
while the discriminator is surer of real pictures than it should be (section 2.4). Pictures are resampled bilinearly, without
the paper's wavelet filter. Everything can be differentiated twice, so gradient penalties go through it.
"""

import math

import torch
from torch import Tensor

from pipeline.gan.devices import to_device

SCALE_DEVIATION = 0.2  # of log2 of a scale, isotropic and anisotropic
SHIFT = 0.125  # of the side: largest whole shift, deviation of a fractional one
BRIGHTNESS_DEVIATION, CONTRAST_DEVIATION, SATURATION_DEVIATION = 0.2, 0.5, 1.0


def adjust_probability(p: float, mean_sign: float, target: float, step: float) -> float:
    """p after one adjustment: up by `step` where real scores' mean sign is above `target`, else down, within [0, 1]."""
    return min(max(p + math.copysign(step, mean_sign - target), 0.0), 1.0)


class _Draws:
    """Random numbers of a batch, drawn on the CPU from one generator, each kept with probability p and else neutral."""

    def __init__(self, count: int, p: float, random: torch.Generator) -> None:
        self.count, self.p, self.random = count, p, random

    def kept(self, values: Tensor, neutral: float) -> Tensor:
        return values.where(torch.rand(self.count, generator=self.random) < self.p, neutral)

    def uniform(self, least: float, most: float, neutral: float) -> Tensor:
        return self.kept(torch.rand(self.count, generator=self.random) * (most - least) + least, neutral)

    def normal(self, deviation: float) -> Tensor:
        return self.kept(torch.randn(self.count, generator=self.random) * deviation, 0.0)

    def whole(self, least: int, most: int) -> Tensor:
        return self.kept(torch.randint(least, most + 1, (self.count,), generator=self.random).float(), 0.0)


def _matrices(rows: list[list[Tensor | float]], count: int) -> Tensor:
    """Matrices (N, R, C) of numbers and of one number (N,) a picture."""
    flat = [torch.as_tensor(value, dtype=torch.float32).expand(count) for row in rows for value in row]
    return torch.stack(flat, dim=1).reshape(count, len(rows), len(rows[0]))


def _rotation(angles: Tensor) -> Tensor:
    cosine, sine = angles.cos(), angles.sin()
    return _matrices([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]], len(angles))


def _scaling(across: Tensor, down: Tensor) -> Tensor:
    return _matrices([[across, 0.0, 0.0], [0.0, down, 0.0], [0.0, 0.0, 1.0]], len(across))


def _shift(across: Tensor, down: Tensor) -> Tensor:
    return _matrices([[1.0, 0.0, across], [0.0, 1.0, down], [0.0, 0.0, 1.0]], len(across))


def geometric_transforms(height: int, width: int, draws: _Draws) -> Tensor:
    """Where each place of the new picture comes from: matrices (N, 3, 3) on (x, y, 1) in pixels from the middle."""
    flip = draws.whole(0, 1) * -2 + 1
    turns = draws.whole(0, 3) if height == width else draws.whole(0, 1) * 2  # a quarter turn would leave another frame
    whole = [draws.whole(-round(side * SHIFT), round(side * SHIFT)) for side in (width, height)]
    scale = torch.exp2(draws.normal(SCALE_DEVIATION))
    before = draws.uniform(-math.pi, math.pi, 0.0)
    stretch = torch.exp2(draws.normal(SCALE_DEVIATION))
    after = draws.uniform(-math.pi, math.pi, 0.0)
    fraction = [draws.normal(SHIFT) * side for side in (width, height)]
    parts = [
        _scaling(flip, torch.ones_like(flip)),
        _rotation(turns * (math.pi / 2)),
        _shift(*whole),
        _scaling(scale, scale),
        _rotation(before),
        _scaling(stretch, 1 / stretch),
        _rotation(after),
        _shift(*fraction),
    ]
    matrix = torch.eye(3).expand(draws.count, 3, 3)
    for part in parts:
        matrix = matrix @ part
    return matrix


def warp(x: Tensor, matrices: Tensor) -> Tensor:
    """`x` NCHW resampled at the places `matrices` (N, 3, 3) name, bilinearly; beyond its edge a picture is mirrored."""
    channels, height, width = x.shape[1:]
    rows, columns = torch.meshgrid(_from_middle(height, x.device), _from_middle(width, x.device), indexing="ij")
    places = torch.stack([columns.flatten(), rows.flatten(), torch.ones_like(rows).flatten()])  # (3, HW)
    across, down, _ = (to_device(matrices, x.device) @ places).unbind(dim=1)  # (N, HW) each
    across, down = across + (width - 1) / 2, down + (height - 1) / 2
    flat = x.flatten(2)
    result = torch.zeros_like(flat)
    for right in (0, 1):
        for below in (0, 1):
            column, row = across.floor() + right, down.floor() + below
            share = (1 - (across - column).abs()) * (1 - (down - row).abs())
            index = _mirrored(row, height) * width + _mirrored(column, width)
            # gather, not grid_sample, whose backward has no derivative
            result = result + flat.gather(2, index[:, None].expand(-1, channels, -1)) * share[:, None]
    return result.reshape(x.shape)


def _from_middle(size: int, device: torch.device) -> Tensor:
    """Places along a side, in pixels from its middle."""
    return torch.arange(size, device=device) - (size - 1) / 2


def _mirrored(places: Tensor, size: int) -> Tensor:
    """Whole `places` beyond 0 … size - 1 as those their mirror image stands for."""
    within = places.long() % (2 * size)
    return torch.minimum(within, 2 * size - 1 - within)


def colour_transforms(x: Tensor, draws: _Draws) -> Tensor:
    """`x` NCHW with brightness, contrast and, of three channels, luma inversion, hue and saturation changed."""
    brightness = draws.normal(BRIGHTNESS_DEVIATION)
    contrast = torch.exp2(draws.normal(CONTRAST_DEVIATION))
    if x.shape[1] == 3:
        inverted, hue = draws.whole(0, 1), draws.uniform(-math.pi, math.pi, 0.0)
        saturation = torch.exp2(draws.normal(SATURATION_DEVIATION))
        x = torch.einsum("nij,njhw->nihw", to_device(_turned_colours(inverted, hue, saturation), x.device), x)
    return (x + to_device(brightness, x.device)[:, None, None, None]) * to_device(contrast, x.device)[:, None, None, None]


def _turned_colours(inverted: Tensor, hue: Tensor, saturation: Tensor) -> Tensor:
    """Matrices (N, 3, 3): luma, the grey axis v, reflected; colour turned about v by `hue` and scaled by `saturation`."""
    v = torch.full((3,), 1 / math.sqrt(3))
    along, cross = torch.outer(v, v), torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    cosine, sine = hue.cos()[:, None, None], hue.sin()[:, None, None]
    turn = cosine * (torch.eye(3) - along) + sine * cross  # Rodrigues, of what is across v
    return along * (1 - 2 * inverted)[:, None, None] + turn * saturation[:, None, None]


def ada_augment(x: Tensor, p: float, random: torch.Generator) -> Tensor:
    """`x` NCHW in [-1, 1], every change applied to every picture with probability `p`."""
    if p == 0:
        return x
    draws = _Draws(len(x), p, random)
    return colour_transforms(warp(x, geometric_transforms(x.shape[2], x.shape[3], draws)), draws)
