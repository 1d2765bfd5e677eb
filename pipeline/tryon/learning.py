"""Learn a warp from pairs of a garment and a person who wears it, and find by held-out pairs whether it beats geometry.

Each pair's own correction is found in its photograph (matching.py); a ridge regression, one for each kind, predicts it from
proportions of body and garment. Its penalties, chosen by leaving one training garment out, include "nothing is learned".
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.garment_kinds import Kind
from pipeline.tryon.corrections import COUNT, Numbers, corrected
from pipeline.tryon.learned_warp import PROPORTIONS, KindOfWarp, Proportions
from pipeline.tryon.matching import WornGarment
from pipeline.tryon.person import LIGHTNESS_WEIGHT

LEAST_PAIRS, LEAST_GARMENTS = 20, 5  # of a kind
FOLDS = LEAST_GARMENTS  # each held out in turn
STANDARD_ERRORS = 2.0  # by which the learned warp has to be better
# Penalties in units of a row's square; the first of both pairs means that nothing is learned, of the mean or of the slopes.
MEAN_PENALTIES = (np.inf, 10.0, 3.0, 0.5)
SLOPE_PENALTIES = (np.inf, 100.0, 30.0, 10.0, 3.0)
LEAST_DEVIATION = 1e-3
Rows = NDArray[np.float64]


@dataclass(frozen=True)
class LearningPair:
    """What is learned from a pair and what it is measured by."""

    garment: str  # the SHA-256 of its picture; pairs of one garment are in one fold
    kind: Kind
    proportions: Proportions
    worn: WornGarment
    numbers: Numbers  # the pair's own correction


@dataclass(frozen=True)
class Measures:
    """How near a try-on comes to the photograph of a pair."""

    landmark: float  # mean distance from the pair's own correction, in distances between the shoulders
    iou: float  # of the masks, where the garment is visible
    ssim: float  # of lightness inside either mask (Wang et al. 2004), both on black


@dataclass(frozen=True)
class Verdict:
    """A kind's map, and what geometry and maps learned without a pair's fold reach on the pair."""

    kind: Kind
    learned: KindOfWarp
    garments: Sequence[str]  # of every pair, as LearningPair names it
    geometric: Sequence[Measures]
    learned_without: Sequence[Measures]

    def means(self, measure: str) -> tuple[float, float]:
        """The mean of a measure by geometry and as learned."""
        both = (self.geometric, self.learned_without)
        before, after = (float(np.mean([getattr(one, measure) for one in several])) for several in both)
        return before, after

    def gain(self, measure: str) -> tuple[float, float]:
        """By how much the learned warp is better for a garment on average, and the standard error of that; negative if worse.

        The pairs of one garment count as one, because what is particular to a garment is in all of them.
        """
        sign = -1 if measure == "landmark" else 1
        before, after = (np.array([getattr(one, measure) for one in both]) for both in (self.geometric, self.learned_without))
        names = np.array(self.garments)
        gains = np.array([sign * (after - before)[names == name].mean() for name in np.unique(names)])
        return float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))

    @property
    def is_better(self) -> bool:
        """Whether landmarks and masks are both nearer by more than STANDARD_ERRORS."""
        gains = [self.gain(measure) for measure in ("landmark", "iou")]
        return all(gain > STANDARD_ERRORS * error for gain, error in gains)


def are_enough(pairs: Sequence[LearningPair]) -> bool:
    """Whether pairs of one kind are as many as it takes, and of as many garments."""
    return len(pairs) >= LEAST_PAIRS and len({pair.garment for pair in pairs}) >= LEAST_GARMENTS


def folds(garments: Sequence[str]) -> NDArray[np.int_]:
    """The fold of each pair, 0 to FOLDS - 1: garments in the order of the SHA-256 of their names, dealt in turn."""
    names = sorted(set(garments), key=lambda name: hashlib.sha256(name.encode()).digest())
    return np.array([names.index(one) % FOLDS for one in garments])


def verdict(pairs: Sequence[LearningPair]) -> Verdict:
    """The map learned from `pairs`, all of one kind, and what maps learned without a fold reach on it."""
    return Verdict(
        pairs[0].kind,
        fitted(pairs),
        [pair.garment for pair in pairs],
        [measured(pair, np.zeros(COUNT)) for pair in pairs],
        [measured(pair, numbers) for pair, numbers in zip(pairs, learned_without(pairs), strict=True)],
    )


def learned_without(pairs: Sequence[LearningPair]) -> list[Numbers]:
    """The correction of each pair by a map that is learned from the other folds."""
    fold = folds([pair.garment for pair in pairs])
    maps = {out: fitted([pair for pair, one in zip(pairs, fold, strict=True) if one != out]) for out in np.unique(fold)}
    return [maps[one].numbers(pair.proportions) for pair, one in zip(pairs, fold, strict=True)]


def fitted(pairs: Sequence[LearningPair]) -> KindOfWarp:
    """The ridge regression of the pairs' own corrections on their proportions."""
    found = np.array([pair.proportions for pair in pairs])
    start = KindOfWarp(found.mean(axis=0), np.maximum(found.std(axis=0), LEAST_DEVIATION), np.zeros((1 + PROPORTIONS, COUNT)))
    rows = np.array([start.row(one) for one in found])
    wanted = np.array([pair.numbers for pair in pairs])
    names = np.array([pair.garment for pair in pairs])
    choices = list(product(MEAN_PENALTIES, SLOPE_PENALTIES))
    errors = np.stack([_left_out_errors(rows, wanted, names, penalties) for penalties in choices])
    best = errors.argmin(axis=0)  # each number has penalties of its own
    weights = np.stack([ridge(rows, wanted[:, [place]], choices[one])[:, 0] for place, one in enumerate(best)], axis=-1)
    return KindOfWarp(start.mean, start.deviation, weights)


def ridge(rows: Rows, wanted: Rows, penalties: tuple[float, float]) -> Rows:
    """(F, K) weights of `rows` (N, F) for `wanted` (N, K), with a penalty of the first weight and one of the others."""
    penalty = np.array([penalties[0], *[penalties[1]] * (rows.shape[1] - 1)])
    used = np.isfinite(penalty)
    weights = np.zeros((rows.shape[1], wanted.shape[1]))
    some = rows[:, used]
    weights[used] = np.linalg.solve(some.T @ some + np.diag(penalty[used]), some.T @ wanted)
    return weights


def _left_out_errors(rows: Rows, wanted: Rows, names: NDArray[np.str_], penalties: tuple[float, float]) -> Rows:
    """(K,) sums of squares of what is predicted for each garment by the others."""
    total = np.zeros(wanted.shape[1])
    for name in np.unique(names):
        out = names == name
        total += ((rows[out] @ ridge(rows[~out], wanted[~out], penalties) - wanted[out]) ** 2).sum(axis=0)
    return total


def measured(pair: LearningPair, numbers: Numbers) -> Measures:
    """The measures of a pair's try-on with a correction."""
    worn, visible = pair.worn, pair.worn.weight > 0.5
    laid = worn.laid(numbers)
    mine, true = (mask > 0.5 for mask in (laid[..., 3], worn.mask))
    either = (mine | true) & visible
    lightness = [pixels / (100 * LIGHTNESS_WEIGHT) for pixels in (laid[..., 0], worn.lab[..., 0] * worn.mask)]
    return Measures(
        _distance(worn, numbers, pair.numbers),
        float((mine & true & visible).sum() / max(int(either.sum()), 1)),
        float(similarity_map(lightness[0], lightness[1])[either].mean()) if either.any() else 0.0,
    )


def _distance(worn: WornGarment, first: Numbers, second: Numbers) -> float:
    body = worn.body
    span = body.shoulders_px
    both = (corrected(worn.parts, body, numbers) for numbers in (first, second))
    points = [np.concatenate([part.target_outline for part in parts]) for parts in both]
    return float(np.linalg.norm(points[0] - points[1], axis=1).mean()) / span


def similarity_map(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) structural similarity of two pictures (H, W) in [0, 1] (Wang et al. 2004: Gaussian weights, sigma 1.5)."""

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5), np.float32)

    one, two = mean(first), mean(second)
    covariance = mean(first * second) - one * two
    spread = mean(first**2) - one**2 + mean(second**2) - two**2
    steady = np.array([0.01, 0.03], np.float32) ** 2
    return np.asarray(
        (2 * one * two + steady[0]) * (2 * covariance + steady[1]) / ((one**2 + two**2 + steady[0]) * (spread + steady[1]))
    )
