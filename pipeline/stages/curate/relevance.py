"""Compare the features of each picture with the categories, to find pictures that fit none or fit another one better."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_PICTURES = 6  # in a category that pictures are compared with
ROWS = 4096  # per block of comparisons
MAX_COMPARED = 20_000  # pictures to compare with; more change little
RIDGES = 10.0 ** np.arange(-2, 3)  # candidates, relative to the mean variance of the features


@dataclass(frozen=True)
class Relevance:
    """Measures of N pictures."""

    irrelevance: NDArray[np.float32]  # (N,) distance to the nearest category; NaN without categories
    misplacement: NDArray[np.float32]  # (N,) how much more like another category than its own; NaN without a category


def _places_of(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Each of `labels` renumbered among the categories with enough pictures, -1 for the others; and their count."""
    known, counts = np.unique(labels[labels >= 0], return_counts=True)
    known = known[counts >= MIN_PICTURES]
    places = np.full(max(labels.max(initial=0), 0) + 1, -1)
    places[known] = np.arange(len(known))
    return np.where(labels >= 0, places[labels], -1), len(known)


def _distances_to_category(unit: NDArray[np.float32], members: NDArray[np.int64]) -> NDArray[np.float32]:
    """Median distance (N,) of each of `unit` (N, D), rows of length 1, to the `members` except itself."""
    half = -(-len(members) // 2)
    places = np.array([half - 1, min(half, len(members) - 1)])
    among = np.isin(np.arange(len(unit)), members).astype(np.int64)  # a member is its own nearest neighbour
    found = []
    for start in range(0, len(unit), ROWS):
        apart = np.partition(1 - unit[start : start + ROWS] @ unit[members].T, places, axis=1)
        found.append(np.take_along_axis(apart, places[among[start : start + ROWS], None], axis=1)[:, 0])
    return np.sqrt(2 * np.maximum(np.concatenate(found), 0)).astype(np.float32)


def _misplacement(
    unit: NDArray[np.float32], own: NDArray[np.int64], fitted: NDArray[np.int64], count: int
) -> NDArray[np.float32]:
    """Misplacement (N,) by ridge regression on the categories, equally weighted, fitted to the pictures `fitted`.

    Each fitted picture gets its leave-one-out prediction, which follows from its leverage (Allen 1974).
    """
    shares = np.bincount(own[fitted], minlength=count)
    weights = 1 / (count * shares[own[fitted]])  # sum 1
    centre = weights @ unit[fitted]
    rows = (unit[fitted] - centre).astype(np.float64)
    spread, turn = np.linalg.eigh(rows.T @ (rows * weights[:, None]))
    turned = rows @ turn
    wanted = np.eye(count)[own[fitted]] - 1 / count
    pulls = turned.T @ (wanted * weights[:, None])
    least_error, predictions, gains = np.inf, wanted, spread
    for ridge in RIDGES * max(spread.mean(), 1e-12):
        inverse = 1 / (np.maximum(spread, 0) + ridge)
        leverage = np.minimum(weights * (1 + turned**2 @ inverse), 1 - 1e-6)[:, None]  # 1: of the centre
        left_out = (turned @ (inverse[:, None] * pulls) - leverage * wanted) / (1 - leverage)
        error = float(weights @ ((left_out - wanted) ** 2).sum(axis=1))
        if error < least_error:
            least_error, predictions, gains = error, left_out, inverse
    fit = turn @ (gains[:, None] * pulls)
    blocks = [
        (unit[start : start + ROWS] - centre) @ fit for start in range(0, len(unit), ROWS)
    ]  # in 64 bits, so not all at once
    scores = np.concatenate(blocks)
    scores[fitted] = predictions
    found = np.full(len(unit), np.nan, np.float32)
    there = np.flatnonzero(own >= 0)
    mine = scores[there, own[there]]
    scores[there, own[there]] = -np.inf
    found[there] = scores[there].max(axis=1) - mine
    return found


def relevance_of(features: NDArray[np.float16], labels: NDArray[np.int64]) -> Relevance:
    """Both measures of `features` (N, D) for the categories `labels` (N,), -1 for none.

    Irrelevance is the median distance between the directions of a picture's features and those of a category's pictures,
    for the nearest category, divided by the value of a typical garment: pictures of another kind pass only if they make up half
    of a category. Misplacement is roughly in [-1, 1]; above 0, another category fits better.
    """
    unit = features.astype(np.float32)
    own, count = _places_of(labels)
    unknown = np.full(len(labels), np.nan, np.float32)
    if not count:
        return Relevance(unknown, unknown)
    there = np.flatnonzero(own >= 0)
    compared = there[np.linspace(0, len(there) - 1, min(len(there), MAX_COMPARED)).astype(np.int64)]
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-6)
    members = [compared[own[compared] == place] for place in range(count)]
    nearest = np.min([_distances_to_category(unit, some) for some in members if len(some)], axis=0)
    typical = np.median(nearest[there])
    misplacement = _misplacement(unit, own, compared, count) if count > 1 else unknown
    return Relevance((nearest / max(typical, 1e-12)).astype(np.float32), misplacement)
