"""Latents, the random vectors a generator draws from, in numpy, so that a seed means the same with and without torch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Latents = NDArray[np.float32]
Share = NDArray[np.floating[Any]] | np.floating[Any]


def draw_latents(seed: int, count: int, dim: int) -> Latents:
    """Standard normal latents (N, D); the first rows of a larger draw equal a smaller one of the same seed."""
    return np.random.default_rng(seed).standard_normal((count, dim), dtype=np.float32)


def labels_in_equal_shares(count: int, categories: int) -> NDArray[np.int64]:
    """Labels (N,) in ascending order, each of 0..categories-1 equally often, give or take one."""
    return np.sort(np.arange(count, dtype=np.int64) % categories)


def labels_in_shares(count: int, shares: NDArray[np.floating[Any]], at_least: int = 0) -> NDArray[np.int64]:
    """`count` labels in ascending order with the `shares` (C,) of the categories, which sum to 1, and `at_least` of each.

    Rounded by largest remainders. Raises ValueError if `count` is too small for `at_least` of each.
    """
    if count < at_least * len(shares):
        raise ValueError(f"{count} labels are too few for {at_least} of each of {len(shares)} categories")
    exact = np.maximum(np.asarray(shares, dtype=np.float64) * count - at_least, 0)
    if exact.any():
        exact *= (count - at_least * len(exact)) / exact.sum()
    counts = np.floor(exact + 1e-9).astype(np.int64)
    by_remainder = np.argsort(counts - exact, kind="stable")
    counts[by_remainder[: count - at_least * len(counts) - counts.sum()]] += 1
    return np.repeat(np.arange(len(counts)), counts + at_least)


def slerp(first: Latents, second: Latents, share: Share) -> Latents:
    """Latents (..., D) at `share` (..., 1) of the great circle from `first` to `second` (..., D).

    Lengths are interpolated linearly. Shoemake 1985; White 2016, "Sampling generative networks": a straight line passes through
    improbably short latents. It is still taken where no great circle is defined: between opposite, equal or vanishing latents.
    """
    lengths = [np.linalg.norm(latents, axis=-1, keepdims=True) for latents in (first, second)]
    start, end = (latents / np.maximum(length, 1e-6) for latents, length in zip((first, second), lengths, strict=True))
    angle = np.arccos(np.clip((start * end).sum(axis=-1, keepdims=True), -1, 1))
    defined = (np.sin(angle) > 1e-4) & (np.minimum(*lengths) > 1e-6)
    sine = np.where(defined, np.sin(angle), 1)
    arc = (np.sin((1 - share) * angle) * start + np.sin(share * angle) * end) / sine
    arc = arc * ((1 - share) * lengths[0] + share * lengths[1])
    return np.where(defined, arc, first + share * (second - first)).astype(np.float32)


def spherical_walk(corners: Latents, steps: int) -> Latents:
    """Latents (steps, D) along great circles through `corners` (K, D), K at least 2, the same share of a leg at each step."""
    places = np.linspace(0, len(corners) - 1, steps)
    legs = np.minimum(places.astype(int), len(corners) - 2)
    return slerp(corners[legs], corners[legs + 1], (places - legs)[:, None])
