"""Latents, the random vectors a generator draws from, as numpy, so that a seed means the same with and without torch."""

import numpy as np
from numpy.typing import NDArray


def draw_latents(seed: int, count: int, dim: int) -> NDArray[np.float32]:
    """Standard normal latents (N, D); the first rows of a larger draw equal a smaller one of the same seed."""
    return np.random.default_rng(seed).standard_normal((count, dim), dtype=np.float32)


def labels_in_equal_shares(count: int, categories: int) -> NDArray[np.int64]:
    """Labels (N,) in ascending order, each of 0..categories-1 as often as the others, give or take one."""
    return np.sort(np.arange(count, dtype=np.int64) % categories)
