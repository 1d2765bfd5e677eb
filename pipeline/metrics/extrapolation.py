"""The Fréchet distance at several sample counts, and what it would be of infinitely many samples."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

Moments = tuple[NDArray[np.float64], NDArray[np.float64]]


def moments_of_first(features: NDArray[np.floating], counts: Sequence[int]) -> Iterator[Moments]:
    """Mean (D,) and unbiased covariance (D, D) of the first so many rows of `features` (N, D), for each of `counts`.

    These ascend from 2 or more to N or less. Each row is multiplied once, however many counts there are.
    """
    centre = torch.tensor(features[: counts[0]], dtype=torch.float64).mean(0)  # smaller numbers lose fewer digits
    total = torch.zeros_like(centre)
    products = torch.zeros((len(centre), len(centre)), dtype=torch.float64)
    seen = 0
    for count in counts:
        rows = torch.tensor(features[seen:count], dtype=torch.float64) - centre
        total += rows.sum(0)
        products.addmm_(rows.T, rows)
        seen, mean = count, total / count
        yield (centre + mean).numpy(), ((products - count * torch.outer(mean, mean)) / (count - 1)).numpy()


def at_infinity(distances: Mapping[int, float]) -> float:
    """Where a line through the distances, by sample count N, against 1/N meets 1/N = 0; Chong & Forsyth 2020, section 3.

    The Fréchet distance of N samples is too large by about a constant over N. Two counts or more.
    """
    counts = np.array(list(distances), dtype=np.float64)
    return float(np.polynomial.Polynomial.fit(1 / counts, list(distances.values()), 1)(0.0))
