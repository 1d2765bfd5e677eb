"""Two pictures laid over each other: the affine map that makes one look like the other, and how much alike they then are.

Works on sketches, for many pairs at a time. Coordinates are centred: a picture is [-1, 1]², x right, y down. A map (2, 3) says
where in the moving picture each point of the still one is found.
"""

import dataclasses
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from pipeline.imaging.sketches import SKETCH_SIDE_PX

Maps = NDArray[np.float32]
Rows = NDArray[np.float32]
Indices = NDArray[np.int64]

COARSE, MIDDLE, FINE = 16, 32, SKETCH_SIDE_PX  # sides of the sketches in pixels
STEPS = {COARSE: 8, MIDDLE: 6, FINE: 1}  # of Gauss-Newton
BATCH = 128  # pairs at a time: what is sampled stays in the processor's cache
WIDE = 1 / 16  # of the side: the deviation of the Gaussian beside which the rest is detail
MIN_DEVIATION = 2.0  # grey levels; flatter is noise
MIN_DETAIL = 1.5  # grey levels, the same of the detail
MIN_OVERLAP = 0.4  # of the still picture; less is too little to tell
HOPELESS = {COARSE: 0.3, MIDDLE: 0.6}  # agreement below which no finer size is tried
AGREEING = 0.6  # quantile of the blocks: what covers a part of a picture, as a watermark does, must not decide
BLOCKS = 4  # a side
WORTH = 0.5  # agreement from which a pair's texture is looked at
TEXTURE_STEPS = 2  # of Gauss-Newton, more than agreement needs
TEXTURE = 1.0  # pixels of a sketch: the deviation of the Gaussian beside which the rest is texture
TEXTURE_NEAR = 2.5  # pixels: the deviation of the Gaussian within which it is compared
TEXTURE_FLOOR = 0.5  # grey levels; less is noise
MIN_TELLING = 0.05  # of the points; where fewer have texture, all are compared
DAMPING = 1e-5
LONGEST_STEP = 0.1  # of half the side


@dataclass(frozen=True)
class Fit:
    """How well each of P pairs lies over each other."""

    maps: Maps  # (P, 2, 3)
    agreement: Rows  # (P,) correlation of the detail, a high quantile over the blocks that have some; -1 to 1
    texture: Rows  # (P,) local correlation of the fine detail, its mean over the points that have some; -1 to 1


def composed(outer: Maps, inner: Maps) -> Maps:
    """Maps that do `inner`, then `outer`."""
    linear = outer[:, :, :2] @ inner[:, :, :2]
    return np.concatenate([linear, outer[:, :, :2] @ inner[:, :, 2:] + outer[:, :, 2:]], axis=2)


def inverse(maps: Maps) -> Maps:
    """Maps that undo `maps`."""
    linear = np.linalg.inv(maps[:, :, :2])
    return np.concatenate([linear, -linear @ maps[:, :, 2:]], axis=2)


def _grid(side: int) -> NDArray[np.float32]:
    """Centres of pixels as (3, side²): x, y, 1."""
    at = (np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1
    y, x = np.meshgrid(at, at, indexing="ij")
    return np.stack([x.ravel(), y.ravel(), np.ones(side * side, dtype=np.float32)])


def _sampled(pixels: Rows, maps: Maps, side: int) -> tuple[Rows, NDArray[np.bool_]]:
    """Bilinear samples of `pixels` (P, side²) at the mapped grid, and which of them lie inside."""
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
    """Errors (P, n) after the best contrast and brightness, and how much each counts: a watermark or a corner counts little."""
    within = inside.astype(np.float32)  # a sum of truths would be an integer, and make all that follows float64
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
    """`maps` bettered: inverse compositional Gauss-Newton with robust weights (Baker & Matthews 2004)."""
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
    """(P,) how well details agree; -1 where too little of the still picture is seen."""
    seen, inside = _sampled(moving, maps, side)
    weight = _blocks(inside.astype(np.float32), side)
    count = np.maximum(weight.sum(axis=2), 1)
    one, other = _blocks(still, side), _blocks(seen, side)
    one, other = (values - ((values * weight).sum(axis=2) / count)[..., None] for values in (one, other))
    spread = [np.sqrt((values**2 * weight).sum(axis=2) / count) for values in (one, other)]
    floored = [np.maximum(values, MIN_DETAIL) for values in spread]
    correlation = (one * other * weight).sum(axis=2) / count / (floored[0] * floored[1])
    covered = weight.mean(axis=2) > 0.5
    telling = covered & (np.maximum(*spread) >= MIN_DETAIL)
    few = telling.sum(axis=1, keepdims=True) < BLOCKS
    used = np.where(few, covered, telling)
    ranked = np.sort(np.where(used, correlation, np.inf), axis=1)  # unused blocks last
    place = np.rint(AGREEING * np.maximum(used.sum(axis=1) - 1, 0)).astype(np.int64)
    agreement = ranked[np.arange(len(ranked)), place]
    return np.where(covered.mean(axis=1) < MIN_OVERLAP, -1, agreement).astype(np.float32)


def _blurred(pictures: Rows, deviation: float) -> Rows:
    return scipy.ndimage.gaussian_filter(pictures, (0, deviation, deviation), mode="nearest")


def _texture(still: Rows, moving: Rows, maps: Maps) -> Rows:
    """(P,) how well fine detail agrees from point to point: the mean of the local correlations.

    Plain garments of one outline agree along it, but not in their folds; counted by points and not by contrast, the folds win.
    """
    shape = (len(still), FINE, FINE)
    seen, inside = _sampled(moving, maps, FINE)
    one, other = still.reshape(shape), np.where(inside, seen, still).reshape(shape)
    one, other = one - _blurred(one, TEXTURE), other - _blurred(other, TEXTURE)
    # What is near the edge of the moving picture is blurred with what was put in its place.
    near = scipy.ndimage.binary_erosion(inside.reshape(shape), np.ones((1, 3, 3)), round(TEXTURE), border_value=1)
    weight = near.astype(np.float32)
    total = np.maximum(_blurred(weight, TEXTURE_NEAR), 1e-3)
    powers = [_blurred(values**2 * weight, TEXTURE_NEAR) / total for values in (one, other)]
    product = _blurred(one * other * weight, TEXTURE_NEAR) / total
    correlation = product / np.sqrt((powers[0] + TEXTURE_FLOOR**2) * (powers[1] + TEXTURE_FLOOR**2))
    telling = near & (np.maximum(*powers) > TEXTURE_FLOOR**2)
    used = np.where(telling.mean(axis=(1, 2), keepdims=True) < MIN_TELLING, near, telling)
    return (correlation * used).sum(axis=(1, 2)) / np.maximum(used.sum(axis=(1, 2)), 1)


class Sketches:
    """Sketches (N, 64, 64) uint8, at every size as they are needed."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._pixels = pixels

    def __len__(self) -> int:
        return len(self._pixels)

    def at(self, which: Indices, side: int) -> tuple[Rows, Rows]:
        """Grey levels and their detail, (P, side²) each."""
        times = SKETCH_SIDE_PX // side
        small = self._pixels[which].reshape(-1, side, times, side, times).mean(axis=(2, 4), dtype=np.float32)
        wide = scipy.ndimage.gaussian_filter(small, (0, WIDE * side, WIDE * side), mode="nearest")
        return small.reshape(len(which), -1), (small - wide).reshape(len(which), -1)


def _best_guess(sketches: Sketches, still: Indices, moving: Indices, guesses: Maps) -> Fit:
    """The best of `guesses` (P, G, 2, 3) for each pair, aligned at COARSE."""
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
        fit.agreement[hopeless] = -1  # what was given up at a coarser size may not come back as a good one
        going = np.flatnonzero(~hopeless)
        if len(going):
            (one, one_detail), (other, other_detail) = (sketches.at(which[going], side) for which in (still, moving))
            fit.maps[going] = _aligned(one, other, fit.maps[going], side, STEPS[side])
            fit.agreement[going] = _agreement(one_detail, other_detail, fit.maps[going], side)
    worth = np.flatnonzero(fit.agreement >= WORTH)
    if len(worth):
        one, other = (sketches.at(which[worth], FINE)[0] for which in (still, moving))
        fit.maps[worth] = _aligned(one, other, fit.maps[worth], FINE, TEXTURE_STEPS)
        fit.texture[worth] = _texture(one, other, fit.maps[worth])
    return fit


def fits(sketches: Sketches, still: Indices, moving: Indices, guesses: Maps) -> Fit:
    """How well each of P pairs fits, starting from each of its `guesses` (P, G, 2, 3)."""
    starts = range(0, len(still), BATCH)
    batches = [slice(start, start + BATCH) for start in starts]
    parts = [_fit(sketches, still[batch], moving[batch], guesses[batch]) for batch in batches]
    if not parts:
        return Fit(np.empty((0, 2, 3), dtype=np.float32), *np.empty((2, 0), dtype=np.float32))
    columns = [np.concatenate([getattr(part, field.name) for part in parts]) for field in dataclasses.fields(Fit)]
    return Fit(*(column.astype(np.float32) for column in columns))
