"""The next garments for a person, chosen by a stated profile, likes and dislikes.

The preference model is a Gaussian process over the features of garments (taste_features.py): a sum of a linear kernel, which is
Bayesian linear regression on latents and attributes together, and of a squared exponential of the pictures' principal
components. Its prior mean is what the profile says. Within each grid, what was liked beats what got no vote, and that beats
what was disliked: probit comparisons (Chu & Ghahramani 2005) with a Laplace approximation. Each garment of the next grid is the
best candidate under one sample of the process (Thompson sampling) that is not too near to those already chosen.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from pipeline.inference.latents import slerp
from studio.taste_features import (
    COLOUR_COLUMNS,
    COMPONENT_COLUMNS,
    LENGTH_COLUMN,
    MEASURE_COLUMNS,
    Features,
)

LENGTH_SCALE = 0.7  # relative to the typical distance between two garments
# Standard deviations of what each part adds to a garment's utility, relative to PRIOR of an average garment.
SMOOTH_DEVIATION = 1.0
COMPONENT_DEVIATION = 2.0
LENGTH_DEVIATION = 1.0
MEASURE_DEVIATION = 0.6
COLOUR_DEVIATION = 2.0
LATENT_DEVIATION = 0.05
NOISE = 0.5
EXPLORATION = 0.5  # factor on the posterior deviation of a sample; at 1 every grid shows oddities
SHORTLIST = 192
PARENTS = 16
GENERATIONS, OFFSPRING = 2, 160
FRESH = 192
MUTATION = 0.4  # share of fresh noise in an offspring's latent
NEAR = 0.35  # garments nearer than this, relative to the typical distance, do not share a grid
NEWTON_STEPS = 15


def comparisons(grids: NDArray[np.int64], votes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Rows (K, M) with +1 at the better and -1 at the worse of two garments of the same grid; votes (M,) are 1, 0 and -1."""
    better, worse = np.nonzero((grids[:, None] == grids[None]) & (votes[:, None] > votes[None]))
    rows = np.zeros((len(better), len(votes)))
    rows[np.arange(len(better)), better] = 1
    rows[np.arange(len(worse)), worse] = -1
    return rows


def column_deviations(columns: int) -> Features:
    """The prior standard deviations (K,) of the weights of the features."""
    deviations = np.full(columns, LATENT_DEVIATION)
    deviations[COMPONENT_COLUMNS] = COMPONENT_DEVIATION
    deviations[LENGTH_COLUMN] = LENGTH_DEVIATION
    deviations[MEASURE_COLUMNS] = MEASURE_DEVIATION
    deviations[COLOUR_COLUMNS] = COLOUR_DEVIATION
    return deviations


def kernel(first: Features, second: Features) -> Features:
    """The prior covariance (N, M) of the utilities of garments with features (N, K) and (M, K)."""
    weights = column_deviations(first.shape[1]) ** 2
    a, b = first[:, COMPONENT_COLUMNS], second[:, COMPONENT_COLUMNS]
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    smooth = SMOOTH_DEVIATION**2 * np.exp(-np.maximum(squared, 0) / (2 * LENGTH_SCALE**2))
    return smooth + (first * weights) @ second.T


@dataclass(frozen=True)
class Taste:
    """The posterior of utilities given a stated profile and comparisons."""

    stated: Features  # (K,) prior mean of the features' weights
    seen: Features  # (M, K)
    slope: NDArray[np.float64]  # (M,)
    shrinkage: NDArray[np.float64]  # (M, M)

    def mean(self, candidates: Features) -> NDArray[np.float64]:
        """Expected utilities (N,) of `candidates` (N, K)."""
        return candidates @ self.stated + kernel(candidates, self.seen) @ self.slope

    def covariance(self, candidates: Features) -> NDArray[np.float64]:
        """Posterior covariance (N, N) of the utilities of `candidates` (N, K)."""
        across = kernel(self.seen, candidates)
        return kernel(candidates, candidates) - across.T @ self.shrinkage @ across


def fit_taste(stated: Features, seen: Features, compared: NDArray[np.float64]) -> Taste:
    """The taste by what is `stated` (K,), the prior mean of weights, and comparisons (K, M) of the garments `seen` (M, K)."""
    if not len(compared):
        return Taste(stated, seen, np.zeros(len(seen)), np.zeros((len(seen), len(seen))))
    among = kernel(seen, seen) + 1e-6 * np.eye(len(seen))
    sides, prior = compared / NOISE, seen @ stated
    utility = np.zeros(len(seen))  # less its prior mean
    for _ in range(NEWTON_STEPS):
        margin = sides @ (utility + prior)
        ratio = np.exp(-(margin**2) / 2 - log_ndtr(margin)) / np.sqrt(2 * np.pi)
        slope = sides.T @ ratio
        curvature = sides.T @ ((ratio**2 + margin * ratio)[:, None] * sides)
        inner = np.eye(len(seen)) + curvature @ among
        utility = among @ np.linalg.solve(inner, curvature @ utility + slope)
    return Taste(stated, seen, slope, np.linalg.solve(inner, curvature))


def offspring(
    parents: NDArray[np.float32], count: int, rng: np.random.Generator, truncation: float = 1.0
) -> NDArray[np.float32]:
    """Latents (count, D): slerps of random pairs of `parents` (M, D), with fresh noise times `truncation` mixed in."""
    pairs = rng.integers(len(parents), size=(count, 2))
    shares = rng.random(count).astype(np.float32)
    between = slerp(parents[pairs[:, 0]], parents[pairs[:, 1]], shares[:, None])
    noise = np.float32(truncation) * rng.standard_normal(between.shape, dtype=np.float32)
    return (np.sqrt(1 - MUTATION**2) * between + MUTATION * noise).astype(np.float32)


def spread_out(features: Features, count: int, rng: np.random.Generator) -> list[int]:
    """Indices of `count` garments that together are near to all of `features` (N, K): greedy k-medoids."""
    places = rng.permutation(len(features))[:256]
    components = features[places][:, COMPONENT_COLUMNS]
    distances = np.linalg.norm(components[:, None] - components[None], axis=-1)
    nearest = np.full(len(places), np.inf)
    picked: list[int] = []
    for _ in range(count):
        gains = np.minimum(nearest[None], distances).sum(axis=1)
        gains[picked] = np.inf
        best = int(np.argmin(gains))
        picked.append(best)
        nearest = np.minimum(nearest, distances[best])
    return [int(places[one]) for one in picked]


def thompson_sample(taste: Taste, candidates: Features, count: int, rng: np.random.Generator) -> list[int]:
    """Indices of `count` of `candidates` (N, K), each the best under one sample of `taste` and not NEAR another."""
    shortlist = np.argsort(-taste.mean(candidates))[:SHORTLIST]
    features = candidates[shortlist]
    mean, covariance = taste.mean(features), taste.covariance(features)
    values, vectors = np.linalg.eigh(covariance)
    root = EXPLORATION * vectors * np.sqrt(np.maximum(values, 0))
    components = features[:, COMPONENT_COLUMNS]
    picked: list[int] = []
    near = np.zeros(len(mean), bool)
    for _ in range(count):
        utility = mean + root @ rng.standard_normal(len(mean))
        utility[picked] = -np.inf
        if not near.all():
            utility[near] = -np.inf
        picked.append(int(np.argmax(utility)))
        near |= np.linalg.norm(components - components[picked[-1]], axis=1) < NEAR
    return [int(shortlist[one]) for one in picked]
