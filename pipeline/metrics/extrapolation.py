"""Moments of features at several sample counts."""

from collections.abc import Iterator, Sequence

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
