"""How like the pictures of the categories each picture is, by its features: what is no garment, and what is another's."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_PICTURES = 6  # of a category that others are compared with
ROWS = 4096  # compared at a time
MAX_COMPARED = 20_000  # pictures that others are compared with; more change little
RIDGES = 10.0 ** np.arange(-2, 3)  # tried, as shares of the features' mean variance


@dataclass(frozen=True)
class Relevance:
    """Measures of N pictures."""

    irrelevance: NDArray[np.float32]  # (N,) distance to the nearest category; NaN where there is none
    misplacement: NDArray[np.float32]  # (N,) how much more like another category than its own; NaN without a category


def _places_of(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Each of `labels` by its place among those of enough pictures, -1 for the others; and how many these are."""
    known, counts = np.unique(labels[labels >= 0], return_counts=True)
    known = known[counts >= MIN_PICTURES]
    places = np.full(max(labels.max(initial=0), 0) + 1, -1)
    places[known] = np.arange(len(known))
    return np.where(labels >= 0, places[labels], -1), len(known)


def _distances_to_category(unit: NDArray[np.float32], members: NDArray[np.int64]) -> NDArray[np.float32]:
    """(N,) the median distance of each of `unit` (N, D), rows of length 1, to its `members`, itself not counted."""
    half = -(-len(members) // 2)
    places = np.array([half - 1, min(half, len(members) - 1)])
    among = np.isin(np.arange(len(unit)), members).astype(np.int64)  # it is the first in its own order
    found = []
    for start in range(0, len(unit), ROWS):
        apart = np.partition(1 - unit[start : start + ROWS] @ unit[members].T, places, axis=1)
        found.append(np.take_along_axis(apart, places[among[start : start + ROWS], None], axis=1)[:, 0])
    return np.sqrt(2 * np.maximum(np.concatenate(found), 0)).astype(np.float32)


def _misplacement(
    unit: NDArray[np.float32], own: NDArray[np.int64], fitted: NDArray[np.int64], count: int
) -> NDArray[np.float32]:
    """By ridge regression to the categories, each counting the same, fitted to `fitted`; each picture told without itself.

    What a regression says of a picture that it was not fitted to follows from how far that one moves it (Allen 1974).
    """
    shares = np.bincount(own[fitted], minlength=count)
    weights = 1 / (count * shares[own[fitted]])  # sum 1
    centre = weights @ unit[fitted]
    rows = (unit[fitted] - centre).astype(np.float64)
    spread, turn = np.linalg.eigh(rows.T @ (rows * weights[:, None]))
    turned = rows @ turn
    wanted = np.eye(count)[own[fitted]] - 1 / count
    pulls = turned.T @ (wanted * weights[:, None])
    least, told, gains = np.inf, wanted, spread
    for ridge in RIDGES * max(spread.mean(), 1e-12):
        inverse = 1 / (np.maximum(spread, 0) + ridge)
        own_pull = np.minimum(weights * (turned**2 @ inverse), 1 - 1e-6)[:, None]
        without = (turned @ (inverse[:, None] * pulls) - own_pull * wanted) / (1 - own_pull)
        error = float(weights @ ((without - wanted) ** 2).sum(axis=1))
        if error < least:
            least, told, gains = error, without, inverse
    scores = (unit - centre) @ (turn @ (gains[:, None] * pulls))
    scores[fitted] = told
    found = np.full(len(unit), np.nan, np.float32)
    there = np.flatnonzero(own >= 0)
    mine = scores[there, own[there]]
    scores[there, own[there]] = -np.inf
    found[there] = scores[there].max(axis=1) - mine
    return found


def relevance_of(features: NDArray[np.float16], labels: NDArray[np.int64]) -> Relevance:
    """Both measures of `features` (N, D) with the categories `labels` (N,), -1 for none.

    Irrelevance is the distance between directions to the middle one of a category's pictures, of the category where that is
    least: strangers of one kind would have to be half of it to pass. A typical garment has 1. Misplacement is from -1 to 1,
    about; over 0 another category has the picture.
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
