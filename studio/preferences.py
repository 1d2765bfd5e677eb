"""Garments chosen by a person's likes and dislikes.

The preference model is a Gaussian process over features of pictures rather than over latents. Within each grid, what was liked
beats what got no vote, and that beats what was disliked: probit comparisons (Chu & Ghahramani 2005) with a Laplace
approximation. Each garment of the next grid is the best candidate under one sample of the process (Thompson sampling);
candidates are fresh latents and offspring of liked ones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from pipeline.inference.latents import slerp
from pipeline.inference.transparency import on_ground
from studio.directions import Samples
from studio.measures import SEEN_ON

FEATURE_SIDE_PX = 8
FEATURES = 12
LENGTH_SCALE = 0.7  # relative to the typical distance between two garments
PRIOR_DEVIATION = 2.0  # of a garment's utility, relative to the noise of a comparison
NOISE = 0.5
EXPLORATION = 0.3  # factor on the posterior deviation of a sample; at 1 every grid shows oddities
FRESH, OFFSPRING = 192, 128
MUTATION = 0.4  # share of fresh noise in an offspring's latent
NEWTON_STEPS = 15


@dataclass(frozen=True)
class GarmentFeatures:
    """Principal components of reduced pictures, scaled by the typical distance between two garments."""

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]  # (FEATURES, F)
    scale: float

    def of(self, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Features (N, FEATURES) of pictures (N, H, W, C)."""
        return ((_reduced(pictures) - self.mean) @ self.axes.T / self.scale).astype(np.float64)


def _reduced(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    pictures = on_ground(pictures, SEEN_ON)
    count, height, width, channels = pictures.shape
    rows, columns = height // FEATURE_SIDE_PX, width // FEATURE_SIDE_PX
    cropped = pictures[:, : rows * FEATURE_SIDE_PX, : columns * FEATURE_SIDE_PX]
    blocks = cropped.reshape(count, FEATURE_SIDE_PX, rows, FEATURE_SIDE_PX, columns, channels)
    return blocks.mean(axis=(2, 4), dtype=np.float32).reshape(count, -1)


def fit_features(samples: Samples) -> GarmentFeatures:
    """Features fitted to the pictures of `samples`."""
    rows = _reduced(samples.pictures)
    mean = rows.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov((rows - mean).astype(np.float64), rowvar=False))
    largest = np.argsort(variances)[::-1][:FEATURES]
    return GarmentFeatures(mean, axes[:, largest].T.astype(np.float32), float(np.sqrt(2 * variances[largest].sum())) or 1.0)


def comparisons(grids: NDArray[np.int64], votes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Rows (K, M) with +1 at the better and -1 at the worse of two garments of the same grid; votes (M,) are 1, 0 and -1."""
    better, worse = np.nonzero((grids[:, None] == grids[None]) & (votes[:, None] > votes[None]))
    rows = np.zeros((len(better), len(votes)))
    rows[np.arange(len(better)), better] = 1
    rows[np.arange(len(worse)), worse] = -1
    return rows


def _kernel(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    squared = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
    return PRIOR_DEVIATION**2 * np.exp(-np.maximum(squared, 0) / (2 * LENGTH_SCALE**2))


def posterior(
    seen: NDArray[np.float64], compared: NDArray[np.float64], candidates: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (N,) and covariance (N, N) of the utility of `candidates` (N, F), given comparisons (K, M) of `seen` (M, F)."""
    prior = _kernel(candidates, candidates)
    if not len(compared):
        return np.zeros(len(candidates)), prior
    among, across = _kernel(seen, seen) + 1e-6 * np.eye(len(seen)), _kernel(seen, candidates)
    sides = compared / NOISE
    utility = np.zeros(len(seen))
    for _ in range(NEWTON_STEPS):
        margin = sides @ utility
        ratio = np.exp(-(margin**2) / 2 - log_ndtr(margin)) / np.sqrt(2 * np.pi)
        slope = sides.T @ ratio
        curvature = sides.T @ ((ratio**2 + margin * ratio)[:, None] * sides)
        inner = np.eye(len(seen)) + curvature @ among
        utility = among @ np.linalg.solve(inner, curvature @ utility + slope)
    return across.T @ slope, prior - across.T @ np.linalg.solve(inner, curvature) @ across


def offspring(liked: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Latents (count, D): slerps of random pairs of `liked` (M, D), with fresh noise mixed in."""
    pairs = rng.integers(len(liked), size=(count, 2))
    shares = rng.random(count).astype(np.float32)
    between = slerp(liked[pairs[:, 0]], liked[pairs[:, 1]], shares[:, None])
    noise = rng.standard_normal(between.shape, dtype=np.float32)
    return (np.sqrt(1 - MUTATION**2) * between + MUTATION * noise).astype(np.float32)


def candidate_latents(liked: NDArray[np.float32], dim: int, truncation: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Latents (N, D) to choose from: fresh ones and, once something is liked, its offspring."""
    fresh = rng.standard_normal((FRESH, dim), dtype=np.float32) * np.float32(truncation)
    return np.concatenate([fresh, offspring(liked, OFFSPRING, rng)]) if len(liked) else fresh


def thompson_sample(
    seen: NDArray[np.float64],
    compared: NDArray[np.float64],
    candidates: NDArray[np.float64],
    count: int,
    rng: np.random.Generator,
) -> list[int]:
    """Indices of `count` candidates, each the best under one sample of the posterior; the first ones if there are no votes."""
    if not len(compared):
        return list(range(count))
    mean, covariance = posterior(seen, compared, candidates)
    values, vectors = np.linalg.eigh(covariance)
    root = EXPLORATION * vectors * np.sqrt(np.maximum(values, 0))
    picked: list[int] = []
    for _ in range(count):
        utility = mean + root @ rng.standard_normal(len(mean))
        utility[picked] = -np.inf
        picked.append(int(np.argmax(utility)))
    return picked
