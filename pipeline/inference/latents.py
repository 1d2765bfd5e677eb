"""Latents, the random vectors a generator draws from, as numpy, so that a seed means the same with and without torch."""

import numpy as np
from numpy.typing import NDArray


def draw_latents(seed: int, count: int, dim: int) -> NDArray[np.float32]:
    """Standard normal latents (N, D); the first rows of a larger draw equal a smaller one of the same seed."""
    return np.random.default_rng(seed).standard_normal((count, dim), dtype=np.float32)


def labels_in_equal_shares(count: int, categories: int) -> NDArray[np.int64]:
    """Labels (N,) in ascending order, each of 0..categories-1 as often as the others, give or take one."""
    return np.sort(np.arange(count, dtype=np.int64) % categories)


def slerp(first: NDArray[np.float32], second: NDArray[np.float32], share: NDArray[np.float64]) -> NDArray[np.float32]:
    """Points (N, D) at `share` (N,) of the great circles from `first` to `second` (N, D); White 2016. Equal ends stay put."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    angle = np.arccos(np.clip((first.astype(np.float64) * second).sum(axis=1) / lengths, -1, 1))
    sine = np.maximum(np.sin(angle), 1e-6)
    weights = np.where(angle < 1e-6, [1 - share, share], [np.sin((1 - share) * angle) / sine, np.sin(share * angle) / sine])
    return (weights[0][:, None] * first + weights[1][:, None] * second).astype(np.float32)


def spherical_walk(corners: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
    """Latents (steps, D) from the first of `corners` (K, D), K ≥ 2, past the others to the last, at an even pace.

    Between two corners the direction follows the great circle, and the length changes evenly, so each step is as probable a
    latent as the corners. A straight line would pass through improbably short latents.
    """
    lengths = np.linalg.norm(corners, axis=1, keepdims=True)
    directions = corners / lengths
    places = np.linspace(0, len(corners) - 1, steps)
    legs = np.minimum(places.astype(int), len(corners) - 2)
    share = places - legs
    length = (1 - share[:, None]) * lengths[legs] + share[:, None] * lengths[legs + 1]
    return (slerp(directions[legs], directions[legs + 1], share) * length).astype(np.float32)
