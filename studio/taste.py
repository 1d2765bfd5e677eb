"""A wall that leans to a person's taste, learned from a few likes and dislikes.

The preference model is a Gaussian process over what garments look like, so over latents as the generator maps them. On each
wall, what was liked beats what was not voted on, and that beats what was disliked: probit comparisons (Chu & Ghahramani 2005)
seen through a Laplace approximation. Each place of the next wall is filled by one sample of the process (Thompson sampling)
over fresh and bred candidates.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from studio.directions import Samples, slerp

FEATURE_SIDE_PX = 8
FEATURES = 12
LENGTH_SCALE = 0.7  # in units of the typical distance of two garments
SPREAD = 2.0  # prior standard deviation of how much a garment pleases, in units of the noise of a comparison
NOISE = 0.5
CURIOSITY = 0.3  # share of the model's doubt that a sample keeps; at 1 a wall shows oddities until the last round
FRESH, BRED = 192, 128
MUTATION = 0.4  # share of fresh noise in a bred latent
NEWTON_STEPS = 15


@dataclass(frozen=True)
class Eye:
    """What is looked at in a picture: principal components, scaled to the typical distance of two garments."""

    middle: NDArray[np.float32]
    axes: NDArray[np.float32]  # (FEATURES, F)
    scale: float

    def look(self, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Features (N, FEATURES) of pictures (N, H, W, C)."""
        return ((_shrunk(pictures) - self.middle) @ self.axes.T / self.scale).astype(np.float64)


def _shrunk(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    count, height, width, channels = pictures.shape
    rows, columns = height // FEATURE_SIDE_PX, width // FEATURE_SIDE_PX
    cut = pictures[:, : rows * FEATURE_SIDE_PX, : columns * FEATURE_SIDE_PX]
    blocks = cut.reshape(count, FEATURE_SIDE_PX, rows, FEATURE_SIDE_PX, columns, channels)
    return blocks.mean(axis=(2, 4), dtype=np.float32).reshape(count, -1)


def eye_for(samples: Samples) -> Eye:
    """The eye for garments such as `samples`."""
    rows = _shrunk(samples.pictures)
    middle = rows.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov((rows - middle).astype(np.float64), rowvar=False))
    kept = np.argsort(variances)[::-1][:FEATURES]
    return Eye(middle, axes[:, kept].T.astype(np.float32), float(np.sqrt(2 * variances[kept].sum())) or 1.0)


def comparisons(walls: NDArray[np.int64], votes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Rows (K, M) with +1 for the better and -1 for the worse of two garments of one wall; votes are 1, 0 and -1."""
    better, worse = np.nonzero((walls[:, None] == walls[None]) & (votes[:, None] > votes[None]))
    rows = np.zeros((len(better), len(votes)))
    rows[np.arange(len(better)), better] = 1
    rows[np.arange(len(worse)), worse] = -1
    return rows


def _kernel(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    squared = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
    return SPREAD**2 * np.exp(-np.maximum(squared, 0) / (2 * LENGTH_SCALE**2))


def posterior(
    seen: NDArray[np.float64], compared: NDArray[np.float64], candidates: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (N,) and covariance (N, N) of how much `candidates` (N, F) please, after `compared` (K, M) on `seen` (M, F)."""
    prior = _kernel(candidates, candidates)
    if not len(compared):
        return np.zeros(len(candidates)), prior
    among, across = _kernel(seen, seen) + 1e-6 * np.eye(len(seen)), _kernel(seen, candidates)
    sides = compared / NOISE
    pleasure = np.zeros(len(seen))
    for _ in range(NEWTON_STEPS):
        margin = sides @ pleasure
        ratio = np.exp(-(margin**2) / 2 - log_ndtr(margin)) / np.sqrt(2 * np.pi)
        slope = sides.T @ ratio
        curvature = sides.T @ ((ratio**2 + margin * ratio)[:, None] * sides)
        inner = np.eye(len(seen)) + curvature @ among
        pleasure = among @ np.linalg.solve(inner, curvature @ pleasure + slope)
    return across.T @ slope, prior - across.T @ np.linalg.solve(inner, curvature) @ across


def bred(liked: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Latents (count, D) between pairs of `liked` (M, D), with some fresh noise."""
    pairs = rng.integers(len(liked), size=(count, 2))
    shares = rng.random(count).astype(np.float32)
    between = np.stack([slerp(liked[a], liked[b], share[None])[0] for (a, b), share in zip(pairs, shares, strict=True)])
    noise = rng.standard_normal(between.shape, dtype=np.float32)
    return (np.sqrt(1 - MUTATION**2) * between + MUTATION * noise).astype(np.float32)


def candidate_latents(liked: NDArray[np.float32], dim: int, truncation: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Latents (N, D) to choose from: fresh ones and, once something is liked, descendants of it."""
    fresh = rng.standard_normal((FRESH, dim), dtype=np.float32) * np.float32(truncation)
    return np.concatenate([fresh, bred(liked, BRED, rng)]) if len(liked) else fresh


def chosen(
    seen: NDArray[np.float64],
    compared: NDArray[np.float64],
    candidates: NDArray[np.float64],
    count: int,
    rng: np.random.Generator,
) -> list[int]:
    """Indices of `count` candidates, each the best under one sample of the preference model; any, before the first vote."""
    if not len(compared):
        return list(range(count))
    mean, covariance = posterior(seen, compared, candidates)
    values, vectors = np.linalg.eigh(covariance)
    root = CURIOSITY * vectors * np.sqrt(np.maximum(values, 0))
    picked: list[int] = []
    for _ in range(count):
        pleasure = mean + root @ rng.standard_normal(len(mean))
        pleasure[picked] = -np.inf
        picked.append(int(np.argmax(pleasure)))
    return picked
