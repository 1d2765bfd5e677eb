"""Latents, the random vectors a generator draws from, as numpy, so that a seed means the same with and without torch."""

import numpy as np
from numpy.typing import NDArray


def draw_latents(seed: int, count: int, dim: int) -> NDArray[np.float32]:
    """Standard normal latents (N, D); the first rows of a larger draw equal a smaller one of the same seed."""
    return np.random.default_rng(seed).standard_normal((count, dim), dtype=np.float32)


def labels_in_equal_shares(count: int, categories: int) -> NDArray[np.int64]:
    """Labels (N,) in ascending order, each of 0..categories-1 as often as the others, give or take one."""
    return np.sort(np.arange(count, dtype=np.int64) % categories)


def spherical_walk(corners: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
    """Latents (steps, D) from the first of `corners` (K, D), K at least 2, over the others to the last, at an even pace.

    Between two corners they go along the great circle (White, "Sampling generative networks", 2016), and their length changes
    evenly, so that each step is as probable a latent as the corners; a straight line leads through improbably short ones.
    """
    lengths = np.linalg.norm(corners, axis=1, keepdims=True)
    directions = corners / lengths
    places = np.linspace(0, len(corners) - 1, steps)
    legs = np.minimum(places.astype(int), len(corners) - 2)
    share = (places - legs)[:, None]
    start, end = directions[legs], directions[legs + 1]
    angle = np.arccos(np.clip((start * end).sum(axis=1, keepdims=True), -1, 1))
    sine = np.maximum(np.sin(angle), 1e-6)  # of equal corners, between which there is nowhere to go
    turned = np.where(angle < 1e-6, start, (np.sin((1 - share) * angle) * start + np.sin(share * angle) * end) / sine)
    return (turned * ((1 - share) * lengths[legs] + share * lengths[legs + 1])).astype(np.float32)
