"""How far a score depends on the images in the sets: ± by the bootstrap (Efron 1979), and the bias of few samples."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray


def deviation_of_mean(parts: NDArray[np.floating]) -> float:
    """The bootstrap's standard deviation of the mean of `parts` (N,), in closed form; Efron & Tibshirani 1993, 5.2."""
    return float(parts.std() / np.sqrt(len(parts)))


def deviation_of_pairs(parts: NDArray[np.floating]) -> float:
    """Standard deviation of a mean over pairs, where `parts` (N,) are the means over each image's pairs; Hoeffding 1948."""
    return 2 * deviation_of_mean(parts)


def deviation_of_subsets(values: NDArray[np.floating], size: int, count: int) -> float | None:
    """Standard deviation of a score of `count` images, from its `values` on random subsets of `size`; Politis & Romano 1994.

    None if a subset is the whole set.
    """
    return float(values.std(ddof=1) * np.sqrt(size / (count - size))) if size < count and len(values) > 1 else None


def resamples(counts: tuple[int, ...], times: int, seed: int) -> Iterator[list[NDArray[np.int64]]]:
    """`times` draws with replacement: for each set as many row numbers as it has images, ascending."""
    rng = np.random.default_rng(seed)
    for _ in range(times):
        yield [np.sort(rng.integers(0, count, count)) for count in counts]


def bootstrap_deviation(
    score: Callable[..., float], sets: tuple[NDArray[np.floating], ...], times: int, seed: int
) -> float | None:
    """Standard deviation of `score(*sets)` over `times` resamples of the sets; None for fewer than 2."""
    if times < 2:
        return None
    draws = resamples(tuple(map(len, sets)), times, seed)
    scores = [score(*(features[rows] for features, rows in zip(sets, draw, strict=True))) for draw in draws]
    return float(np.std(scores, ddof=1))


def extrapolate_to_infinity(distances: Mapping[int, float]) -> tuple[float, float]:
    """Intercept and slope of a line through Fréchet distances, by sample count N, against 1/N; Chong & Forsyth 2020, section 3.

    The Fréchet distance of N samples is too large by about a constant over N, so the intercept estimates the distance for
    infinitely many. Needs two counts or more.
    """
    counts = np.array(list(distances), dtype=np.float64)
    line = np.polynomial.Polynomial.fit(1 / counts, list(distances.values()), 1)
    return float(line(0.0)), float(line.deriv()(0.0))
