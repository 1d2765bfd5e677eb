"""How far each picture lies from the categories there are, by its features: what is no garment, and what is another's."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

MAX_FITTED = 20_000  # pictures that the spread is taken from; more change nothing
MIN_PICTURES = 3  # of a category that others are compared with
SHRINKAGE = 0.1  # of the covariance towards the mean of its diagonal: there are more features than pictures, often


@dataclass(frozen=True)
class Relevance:
    """Distances of N pictures; NaN of those without features."""

    irrelevance: NDArray[np.float32]  # (N,) to the nearest category
    misplacement: NDArray[np.float32]  # (N,) to their own category, beyond that to the nearest other; NaN without a category


def _category_means(features: NDArray[np.float32], labels: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    means = np.zeros((count, features.shape[1]), np.float32)
    np.add.at(means, labels, features)
    counts = np.bincount(labels, minlength=count).astype(np.float32)
    return np.divide(means, counts[:, None], dtype=np.float32)


def relevance_of(features: NDArray[np.float16], labels: NDArray[np.int64]) -> Relevance:
    """Mahalanobis distances (Lee et al. 2018) of `features` (N, D) to the categories of `labels` (N,), -1 for none.

    Features of length 1; the spread within the categories is one for all, shrunk. A typical garment is 1 from its category.
    """
    long = np.linalg.norm(features.astype(np.float32), axis=1, keepdims=True)
    unit = features.astype(np.float32) / np.maximum(long, 1e-6)
    known, counts = np.unique(labels[labels >= 0], return_counts=True)
    known = known[counts >= MIN_PICTURES]
    places = np.full(max(labels.max(initial=0), 0) + 1, -1)
    places[known] = np.arange(len(known))
    own = np.where(labels >= 0, places[labels], -1)
    if not len(known):
        unknown = np.full(len(labels), np.nan, np.float32)
        return Relevance(unknown, unknown)
    means = _category_means(unit[own >= 0], own[own >= 0], len(known))
    fitted = np.flatnonzero(own >= 0)
    fitted = fitted[np.linspace(0, len(fitted) - 1, min(len(fitted), MAX_FITTED)).astype(np.int64)]
    within = (unit[fitted] - means[own[fitted]]).astype(np.float64)
    spread = within.T @ within / len(within)
    level = np.trace(spread) / len(spread)
    factor = cho_factor((1 - SHRINKAGE) * spread + SHRINKAGE * max(level, 1e-12) * np.eye(len(spread)))
    distances = np.stack([_lengths(unit, mean, factor) for mean in means], axis=1)
    nearest = distances.min(axis=1)
    scale = np.median(nearest[own >= 0])
    distances, nearest = distances / max(scale, 1e-12), nearest / max(scale, 1e-12)
    misplacement = np.full(len(labels), np.nan, np.float32)
    if len(known) > 1:
        there = np.flatnonzero(own >= 0)
        mine = distances[there, own[there]]
        others = distances[there].copy()
        others[np.arange(len(there)), own[there]] = np.inf
        misplacement[there] = mine - others.min(axis=1)
    return Relevance(nearest.astype(np.float32), misplacement)


def _lengths(
    unit: NDArray[np.float32], mean: NDArray[np.float32], factor: tuple[NDArray[np.float64], bool]
) -> NDArray[np.float64]:
    away = unit - mean
    solved = cho_solve(factor, away.T.astype(np.float64), check_finite=False)
    return np.sqrt(np.einsum("nd,dn->n", away, solved))
