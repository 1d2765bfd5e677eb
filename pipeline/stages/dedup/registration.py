"""Register pairs of pictures: find the affine map that aligns them, and measure how well they then agree.

Works on sketches, on many pairs at once. Coordinates are centred: a picture is [-1, 1]², x right, y down. A map (2, 3) takes
points of the still picture to points of the moving one.
"""

import dataclasses
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from pipeline.imaging.sketches import SKETCH_SIDE_PX, SketchRows

Maps = NDArray[np.float32]
Rows = NDArray[np.float32]
Indices = NDArray[np.int64]

COARSE, MIDDLE, FINE = 16, 32, SKETCH_SIDE_PX  # sides of the sketches in pixels
STEPS = {COARSE: 8, MIDDLE: 6, FINE: 1}  # of Gauss-Newton
BATCH = 128  # pairs at a time, so that the samples stay in the processor's cache
WIDE = 1 / 16  # deviation of the Gaussian that is subtracted to leave detail, relative to the side
MIN_DEVIATION = 2.0  # grey levels; below is noise
MIN_DETAIL = 1.5  # grey levels of detail; below is noise
MIN_OVERLAP = 0.4  # of the still picture
HOPELESS = {COARSE: 0.3, MIDDLE: 0.6}  # agreement below which finer sizes are skipped
AGREEING = 0.6  # quantile over the blocks, so that a partial cover such as a watermark does not decide
BLOCKS = 4  # per side
MIN_FOR_TEXTURE = 0.5  # agreement from which the texture of a pair is computed
TEXTURE_STEPS = 2  # further steps of Gauss-Newton
TEXTURE = 1.0  # deviation of the Gaussian that is subtracted to leave texture, in pixels of a sketch
TEXTURE_NEAR = 2.5  # deviation of the Gaussian window in which texture is correlated, in pixels
TEXTURE_FLOOR = 0.5  # grey levels; below is noise
MIN_TEXTURED = 0.05  # share of the points; if fewer have texture, all are compared
DAMPING = 1e-5
LONGEST_STEP = 0.1  # relative to half the side


@dataclass(frozen=True)
class Fit:
    """The registration of P pairs."""

    maps: Maps  # (P, 2, 3)
    agreement: Rows  # (P,) correlation of the detail, a high quantile over the blocks that have some; -1 to 1
    texture: Rows  # (P,) local correlation of the fine detail, its mean over the points that have some; -1 to 1


def composed(outer: Maps, inner: Maps) -> Maps:
    """The maps that apply `inner`, then `outer`."""
    linear = outer[:, :, :2] @ inner[:, :, :2]
    return np.concatenate([linear, outer[:, :, :2] @ inner[:, :, 2:] + outer[:, :, 2:]], axis=2)


def inverse(maps: Maps) -> Maps:
    """The inverse of `maps`."""
    linear = np.linalg.inv(maps[:, :, :2])
    return np.concatenate([linear, -linear @ maps[:, :, 2:]], axis=2)


def _grid(side: int) -> NDArray[np.float32]:
    """Centres of pixels as (3, side²): x, y, 1."""
    at = (np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1
    y, x = np.meshgrid(at, at, indexing="ij")
    return np.stack([x.ravel(), y.ravel(), np.ones(side * side, dtype=np.float32)])


def _sampled(pixels: Rows, maps: Maps, side: int) -> tuple[Rows, NDArray[np.bool_]]:
    """Bilinear samples of `pixels` (P, side²) at the mapped grid, and which of them are inside the picture."""
    place = (maps @ _grid(side) + 1) * (side / 2) - 0.5
    x, y = place[:, 0], place[:, 1]
    inside = (x >= -0.5) & (x <= side - 0.5) & (y >= -0.5) & (y <= side - 0.5)
    x, y = np.clip(x, 0, side - 1.001), np.clip(y, 0, side - 1.001)
    left, top = x.astype(np.int32), y.astype(np.int32)
    x -= left
    y -= top
    corner = np.arange(len(pixels), dtype=np.int32)[:, None] * (side * side) + top * side + left
    flat = pixels.ravel()
    upper = flat[corner] * (1 - x) + flat[corner + 1] * x
    lower = flat[corner + side] * (1 - x) + flat[corner + side + 1] * x
    return upper * (1 - y) + lower * y, inside


def _errors(still: Rows, seen: Rows, inside: NDArray[np.bool_]) -> tuple[Rows, Rows]:
    """Errors (P, n) after fitting contrast and brightness, and robust weights, which are low for watermarks and corners."""
    within = inside.astype(np.float32)  # summing booleans would give integers, and float64 from then on
    count, weight = np.maximum(within.sum(axis=1, keepdims=True), 1), within
    for _ in range(2):
        total = np.maximum(weight.sum(axis=1, keepdims=True), 1)
        centred = seen - (seen * weight).sum(axis=1, keepdims=True) / total
        wanted = still - (still * weight).sum(axis=1, keepdims=True) / total
        variance = (centred**2 * weight).sum(axis=1, keepdims=True) / total
        gain = (centred * wanted * weight).sum(axis=1, keepdims=True) / total / np.maximum(variance, MIN_DEVIATION**2)
        error = np.clip(gain, 0.25, 4) * centred - wanted
        usual = (np.abs(error) * within).sum(axis=1, keepdims=True) / count
        weight = within / (1 + (error / (2 * usual + 1)) ** 2)  # Cauchy's
    return error, weight


def _aligned(still: Rows, moving: Rows, maps: Maps, side: int, steps: int) -> Maps:
    """`maps` refined by inverse compositional Gauss-Newton with robust weights (Baker & Matthews 2004)."""
    grid = _grid(side)
    square = still.reshape(-1, side, side)
    down, right = np.gradient(square, 2 / side, axis=(1, 2))[:2]
    slopes = [right.reshape(len(still), -1), down.reshape(len(still), -1)]
    jacobian = np.stack([slope * along for slope in slopes for along in grid], axis=2)  # (P, side², 6)
    for _ in range(steps):
        seen, inside = _sampled(moving, maps, side)
        error, weight = _errors(still, seen, inside)
        weighted = (jacobian * weight[:, :, None]).transpose(0, 2, 1)
        hessian = weighted @ jacobian
        hessian += (DAMPING * np.trace(hessian, axis1=1, axis2=2)[:, None, None] + 1e-3) * np.eye(6, dtype=np.float32)
        step = np.linalg.solve(hessian, weighted @ error[:, :, None]).reshape(-1, 2, 3)
        step = np.clip(step, -LONGEST_STEP, LONGEST_STEP) + np.eye(2, 3, dtype=np.float32)
        maps = composed(maps, inverse(step))
    return maps


def _blocks(rows: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """`rows` (P, side²) as (P, 16, pixels of a block)."""
    block = side // BLOCKS
    return rows.reshape(-1, BLOCKS, block, BLOCKS, block).swapaxes(2, 3).reshape(-1, BLOCKS * BLOCKS, block * block)


def _agreement(still: Rows, moving: Rows, maps: Maps, side: int) -> Rows:
    """Agreement (P,) of the detail; -1 if the overlap with the still picture is too small."""
    seen, inside = _sampled(moving, maps, side)
    weight = _blocks(inside.astype(np.float32), side)
    count = np.maximum(weight.sum(axis=2), 1)
    one, other = _blocks(still, side), _blocks(seen, side)
    one, other = (values - ((values * weight).sum(axis=2) / count)[..., None] for values in (one, other))
    spread = [np.sqrt((values**2 * weight).sum(axis=2) / count) for values in (one, other)]
    floored = [np.maximum(values, MIN_DETAIL) for values in spread]
    correlation = (one * other * weight).sum(axis=2) / count / (floored[0] * floored[1])
    covered = weight.mean(axis=2) > 0.5
    has_detail = covered & (np.maximum(*spread) >= MIN_DETAIL)
    few = has_detail.sum(axis=1, keepdims=True) < BLOCKS
    used = np.where(few, covered, has_detail)
    ranked = np.sort(np.where(used, correlation, np.inf), axis=1)  # unused blocks last
    place = np.rint(AGREEING * np.maximum(used.sum(axis=1) - 1, 0)).astype(np.int64)
    agreement = ranked[np.arange(len(ranked)), place]
    within = np.minimum(agreement, 1)  # which rounding exceeds
    return np.where(covered.mean(axis=1) < MIN_OVERLAP, -1, within).astype(np.float32)


def _blurred(pictures: Rows, deviation: float) -> Rows:
    return scipy.ndimage.gaussian_filter(pictures, (0, deviation, deviation), mode="nearest")


def _texture(still: Rows, moving: Rows, maps: Maps) -> Rows:
    """Agreement (P,) of fine detail: the mean of local correlations.

    Plain garments of equal outline agree along it but not in their folds. An average over points that is not weighted by
    contrast lets the folds decide.
    """
    shape = (len(still), FINE, FINE)
    seen, inside = _sampled(moving, maps, FINE)
    one, other = still.reshape(shape), np.where(inside, seen, still).reshape(shape)
    one, other = one - _blurred(one, TEXTURE), other - _blurred(other, TEXTURE)
    # Near the edge of the moving picture, the blur mixes in pixels of the still one.
    near = scipy.ndimage.binary_erosion(inside.reshape(shape), np.ones((1, 3, 3)), round(TEXTURE), border_value=1)
    weight = near.astype(np.float32)
    total = np.maximum(_blurred(weight, TEXTURE_NEAR), 1e-3)
    powers = [_blurred(values**2 * weight, TEXTURE_NEAR) / total for values in (one, other)]
    product = _blurred(one * other * weight, TEXTURE_NEAR) / total
    correlation = product / np.sqrt((powers[0] + TEXTURE_FLOOR**2) * (powers[1] + TEXTURE_FLOOR**2))
    has_detail = near & (np.maximum(*powers) > TEXTURE_FLOOR**2)
    used = np.where(has_detail.mean(axis=(1, 2), keepdims=True) < MIN_TEXTURED, near, has_detail)
    return (correlation * used).sum(axis=(1, 2)) / np.maximum(used.sum(axis=(1, 2)), 1)


class Sketches:
    """Sketches (N, 64, 64) uint8, resized on demand."""

    def __init__(self, pixels: SketchRows) -> None:
        self._pixels = pixels

    def __len__(self) -> int:
        return len(self._pixels)

    def at(self, which: Indices, side: int) -> tuple[Rows, Rows]:
        """Grey levels and detail of the sketches `which`, (P, side²) each."""
        times = SKETCH_SIDE_PX // side
        small = self._pixels[which].reshape(-1, side, times, side, times).mean(axis=(2, 4), dtype=np.float32)
        wide = scipy.ndimage.gaussian_filter(small, (0, WIDE * side, WIDE * side), mode="nearest")
        return small.reshape(len(which), -1), (small - wide).reshape(len(which), -1)


def _best_guess(sketches: Sketches, still: Indices, moving: Indices, guesses: Maps) -> Fit:
    """The best of `guesses` (P, G, 2, 3) per pair after alignment at COARSE."""
    count = guesses.shape[1]
    (one, one_detail), (other, other_detail) = (sketches.at(which, COARSE) for which in (still, moving))
    one, one_detail, other, other_detail = (rows.repeat(count, axis=0) for rows in (one, one_detail, other, other_detail))
    maps = _aligned(one, other, guesses.reshape(-1, 2, 3), COARSE, STEPS[COARSE])
    agreement = _agreement(one_detail, other_detail, maps, COARSE).reshape(-1, count)
    best = (np.arange(len(still)), agreement.argmax(axis=1))
    return Fit(maps.reshape(guesses.shape)[best], agreement[best], np.full(len(still), -1, dtype=np.float32))


def _fit(sketches: Sketches, still: Indices, moving: Indices, guesses: Maps) -> Fit:
    fit = _best_guess(sketches, still, moving, guesses)
    for coarser, side in pairwise(STEPS):
        hopeless = fit.agreement < HOPELESS[coarser]
        fit.agreement[hopeless] = -1  # a pair that was given up must not count as agreeing
        going = np.flatnonzero(~hopeless)
        if len(going):
            (one, one_detail), (other, other_detail) = (sketches.at(which[going], side) for which in (still, moving))
            fit.maps[going] = _aligned(one, other, fit.maps[going], side, STEPS[side])
            fit.agreement[going] = _agreement(one_detail, other_detail, fit.maps[going], side)
    worth = np.flatnonzero(fit.agreement >= MIN_FOR_TEXTURE)
    if len(worth):
        one, other = (sketches.at(which[worth], FINE)[0] for which in (still, moving))
        fit.maps[worth] = _aligned(one, other, fit.maps[worth], FINE, TEXTURE_STEPS)
        fit.texture[worth] = _texture(one, other, fit.maps[worth])
    return fit


def register(sketches: Sketches, still: Indices, moving: Indices, guesses: Maps) -> Fit:
    """The registration of P pairs, starting from each of their `guesses` (P, G, 2, 3)."""
    starts = range(0, len(still), BATCH)
    batches = [slice(start, start + BATCH) for start in starts]
    parts = [_fit(sketches, still[batch], moving[batch], guesses[batch]) for batch in batches]
    if not parts:
        return Fit(np.empty((0, 2, 3), dtype=np.float32), *np.empty((2, 0), dtype=np.float32))
    columns = [np.concatenate([getattr(part, field.name) for part in parts]) for field in dataclasses.fields(Fit)]
    return Fit(*(column.astype(np.float32) for column in columns))
