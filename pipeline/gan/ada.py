"""Adaptive discriminator augmentation; Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data" (ADA).

Each transform is applied to an image with probability p (section 2.2, appendix B: pixel blitting, geometry, colour). p rises
while the discriminator is too confident about real images (section 2.4). Images are resampled bilinearly, without the paper's
wavelet filter. All transforms are twice differentiable, so gradient penalties can pass through them. Pictures with alpha are
layers (gan/alpha.py): their surroundings are transparent, and only their premultiplied colour changes.
"""

import math

import torch
from torch import Tensor

from pipeline.gan.devices import AsyncCopy, to_device
from pipeline.gan.recipe import AdaParams
from pipeline.storage.arrays import has_alpha

SCALE_DEVIATION = 0.2  # standard deviation of log2 of the scale, isotropic and anisotropic
SHIFT = 0.125  # share of the side: the largest whole shift, and the deviation of a fractional one
BRIGHTNESS_DEVIATION, CONTRAST_DEVIATION, SATURATION_DEVIATION = 0.2, 0.5, 1.0


def adjust_probability(p: float, mean_sign: float, target: float, step: float) -> float:
    """p after one adjustment: up by `step` if the mean sign of real scores is above `target`, else down, clipped to [0, 1]."""
    return min(max(p + math.copysign(step, mean_sign - target), 0.0), 1.0)


class AdaController:
    """Augmentation probability p, adjusted every `interval` discriminator steps; section 2.4.

    Each adjustment uses the mean sign of the interval before the last, so that no step waits for the GPU. Without `params`,
    p stays 0.
    """

    def __init__(self, params: AdaParams | None, batch_size: int, device: torch.device) -> None:
        self._params, self._batch_size, self._device = params, batch_size, device
        self.p = 0.0
        self._sign_sum, self._steps = torch.zeros((), device=device), 0
        self._previous_sign_sum: AsyncCopy | None = None

    def update(self, mean_sign: Tensor) -> None:
        """Count one discriminator step with the mean sign of its real scores, and adjust p at the end of an interval."""
        if self._params is None:
            return
        interval = self._params.interval
        self._sign_sum = self._sign_sum + mean_sign
        self._steps += 1
        if self._steps == interval:
            if self._previous_sign_sum is not None:
                step = self._batch_size * interval / (self._params.ramp_kimg * 1000)
                self.p = adjust_probability(self.p, float(self._previous_sign_sum.wait()) / interval, self._params.target, step)
            self._previous_sign_sum = AsyncCopy(self._sign_sum)
            self._sign_sum, self._steps = torch.zeros_like(self._sign_sum), 0

    def state(self) -> dict[str, Tensor]:
        """Checkpoint entries, which `restore` reads back."""
        previous = self._previous_sign_sum
        return {
            "ada": torch.tensor([self.p, self._steps], dtype=torch.float64),
            "signs": self._sign_sum,
            "signs_before": self._sign_sum.new_zeros(0) if previous is None else previous.wait()[None],  # (0,) or (1,)
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continue from `state`."""
        self.p, self._steps = float(state["ada"][0]), int(state["ada"][1])
        self._sign_sum = state["signs"].to(self._device)
        self._previous_sign_sum = AsyncCopy(state["signs_before"][0]) if len(state["signs_before"]) else None


class _Draws:
    """Random numbers for a batch, drawn on the CPU from `rng`; each is replaced by its neutral value with probability 1 - p."""

    def __init__(self, count: int, p: float, rng: torch.Generator) -> None:
        self.count, self.p, self.rng = count, p, rng

    def keep(self, values: Tensor, neutral: float, p: float | None = None) -> Tensor:
        return values.where(torch.rand(self.count, generator=self.rng) < (self.p if p is None else p), neutral)

    def uniform(self, least: float, most: float, neutral: float) -> Tensor:
        return self.keep(torch.rand(self.count, generator=self.rng) * (most - least) + least, neutral)

    def rotation(self) -> Tensor:
        """An angle (N,), one of two that are drawn: each with a probability that makes that of at least one p; appendix B."""
        return self.keep((2 * torch.rand(self.count, generator=self.rng) - 1) * math.pi, 0.0, 1 - math.sqrt(1 - self.p))

    def normal(self, deviation: float) -> Tensor:
        return self.keep(torch.randn(self.count, generator=self.rng) * deviation, 0.0)

    def whole(self, least: int, most: int) -> Tensor:
        return self.keep(torch.randint(least, most + 1, (self.count,), generator=self.rng).float(), 0.0)


def _matrices(rows: list[list[Tensor | float]], count: int) -> Tensor:
    """Matrices (N, R, C) from entries that are constants or one value per image (N,)."""
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
    """Matrices (N, 3, 3) from output to input positions (x, y, 1), in pixels from the centre."""
    flip = draws.whole(0, 1) * -2 + 1
    turns = draws.whole(0, 3) if height == width else draws.whole(0, 1) * 2  # a quarter turn would swap height and width
    whole = [draws.whole(-round(side * SHIFT), round(side * SHIFT)) for side in (width, height)]
    scale = torch.exp2(draws.normal(SCALE_DEVIATION))
    before = draws.rotation()
    stretch = torch.exp2(draws.normal(SCALE_DEVIATION))
    after = draws.rotation()
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


def warp(x: Tensor, matrices: Tensor, *, mirrored: bool = True) -> Tensor:
    """`x` NCHW resampled bilinearly at the positions that `matrices` (N, 3, 3) give; beyond its edges mirrored, or else 0."""
    channels, height, width = x.shape[1:]
    rows, columns = torch.meshgrid(_centred_positions(height, x.device), _centred_positions(width, x.device), indexing="ij")
    positions = torch.stack([columns.flatten(), rows.flatten(), torch.ones_like(rows).flatten()])  # (3, HW)
    across, down, _ = (to_device(matrices, x.device) @ positions).unbind(dim=1)  # (N, HW) each
    across, down = across + (width - 1) / 2, down + (height - 1) / 2
    flat = x.flatten(2)
    result = torch.zeros_like(flat)
    for right in (0, 1):
        for below in (0, 1):
            column, row = across.floor() + right, down.floor() + below
            share = (1 - (across - column).abs()) * (1 - (down - row).abs())
            if not mirrored:
                share = share * ((column >= 0) & (column < width) & (row >= 0) & (row < height))
            index = _mirrored(row, height) * width + _mirrored(column, width)
            # gather, not grid_sample, whose backward has no derivative
            result = result + flat.gather(2, index[:, None].expand(-1, channels, -1)) * share[:, None]
    return result.reshape(x.shape)


def _centred_positions(size: int, device: torch.device) -> Tensor:
    """Pixel positions along a side, measured from its centre."""
    return torch.arange(size, device=device) - (size - 1) / 2


def _mirrored(positions: Tensor, size: int) -> Tensor:
    """`positions` reflected into 0 … size - 1, as int64."""
    within = positions.long() % (2 * size)
    return torch.minimum(within, 2 * size - 1 - within)


def colour_transforms(x: Tensor, draws: _Draws) -> Tensor:
    """`x` NCHW with random brightness and contrast and, in colour, luma inversion, hue and saturation."""
    alpha: Tensor | None = None
    if has_alpha(x.shape[1]):
        x, alpha = x[:, :-1], x[:, -1:]
    brightness = draws.normal(BRIGHTNESS_DEVIATION)
    contrast = torch.exp2(draws.normal(CONTRAST_DEVIATION))
    if x.shape[1] == 3:
        inverted, hue = draws.whole(0, 1), draws.uniform(-math.pi, math.pi, 0.0)
        saturation = torch.exp2(draws.normal(SATURATION_DEVIATION))
        x = torch.einsum("nij,njhw->nihw", to_device(_colour_matrices(inverted, hue, saturation), x.device), x)
    added, factor = (to_device(values, x.device)[:, None, None, None] for values in (brightness, contrast))
    return (x + added) * factor if alpha is None else torch.cat([(x + added * alpha) * factor, alpha], dim=1)


def _colour_matrices(inverted: Tensor, hue: Tensor, saturation: Tensor) -> Tensor:
    """Matrices (N, 3, 3) that reflect luma (the grey axis v), rotate colour about v by `hue` and scale it by `saturation`."""
    v = torch.full((3,), 1 / math.sqrt(3))
    along, cross = torch.outer(v, v), torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    cosine, sine = hue.cos()[:, None, None], hue.sin()[:, None, None]
    rotation = cosine * (torch.eye(3) - along) + sine * cross  # Rodrigues' formula on the plane orthogonal to v
    return along * (1 - 2 * inverted)[:, None, None] + rotation * saturation[:, None, None]


def ada_augment(x: Tensor, p: float, rng: torch.Generator) -> Tensor:
    """`x` NCHW in [-1, 1], each transform applied to each image with probability `p`."""
    if p == 0:
        return x
    draws = _Draws(len(x), p, rng)
    moved = warp(x, geometric_transforms(x.shape[2], x.shape[3], draws), mirrored=not has_alpha(x.shape[1]))
    return colour_transforms(moved, draws)
