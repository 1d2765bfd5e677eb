"""How far a score depends on which pictures happened to be in the sets: ± by the bootstrap, Efron 1979."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray


def deviation_of_mean(parts: NDArray[np.floating]) -> float:
    """What the bootstrap of the mean of `parts` (N,) comes to with ever more resamples (Efron & Tibshirani 1993, 5.2)."""
    return float(parts.std() / np.sqrt(len(parts)))


def deviation_of_pairs(parts: NDArray[np.floating]) -> float:
    """The same for a mean over pairs, `parts` (N,) being each picture's mean over its partners; Hoeffding 1948."""
    return 2 * deviation_of_mean(parts)


def deviation_of_subsets(values: NDArray[np.floating], size: int, count: int) -> float | None:
    """Deviation of a score of `count` pictures, from its `values` on random subsets of `size`; Politis & Romano 1994.

    None where the subsets are all there is.
    """
    return float(values.std(ddof=1) * np.sqrt(size / (count - size))) if size < count and len(values) > 1 else None


def resamples(counts: tuple[int, ...], times: int, seed: int) -> Iterator[list[NDArray[np.int64]]]:
    """`times` draws, with replacement, of as many row numbers as each set has pictures, in ascending order."""
    numbers = np.random.default_rng(seed)
    for _ in range(times):
        yield [np.sort(numbers.integers(0, count, count)) for count in counts]


def deviation_of(score: Callable[..., float], sets: tuple[NDArray[np.floating], ...], times: int, seed: int) -> float | None:
    """Standard deviation of `score` of `sets`, each drawn again `times` times; None where that is fewer than 2."""
    if times < 2:
        return None
    drawn = resamples(tuple(map(len, sets)), times, seed)
    return float(np.std([score(*(rows[one] for rows, one in zip(sets, chosen, strict=True))) for chosen in drawn], ddof=1))
