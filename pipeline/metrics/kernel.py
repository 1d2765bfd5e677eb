"""The kernel distance: squared maximum mean discrepancy of features under a polynomial kernel."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def _kernel(rows: Tensor, others: Tensor) -> Tensor:
    """(x·y / D + 1)³ of each pair of rows, as float64 (N, M)."""
    return (rows @ others.T / rows.shape[1] + 1).pow_(3).double()


def _within(rows: Tensor) -> float:
    """Mean kernel of two different rows of (M, D)."""
    kernel = _kernel(rows, rows)
    return float((kernel.sum() - kernel.trace()) / (len(rows) * (len(rows) - 1)))


def squared_discrepancy(rows: Tensor, others: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy of two equally large sets (M, D), M > 1; Gretton et al. 2012, lemma 6."""
    return _within(rows) + _within(others) - 2 * float(_kernel(rows, others).mean())


def kernel_distances(
    reference: NDArray[np.floating], samples: NDArray[np.floating], *, subsets: int, subset_size: int, seed: int
) -> NDArray[np.float64]:
    """The kernel distance of each of `subsets` random subsets of both sets; their mean is KID, Bińkowski et al. 2018.

    The mean equals clean-fid's `kernel_distance(reference, samples, subsets, subset_size)` after `np.random.seed(seed)`: the
    same subsets are drawn. A subset is never larger than the smaller set.
    """
    drawn = np.random.RandomState(seed)  # what is behind np.random, from which clean-fid draws
    size = min(len(reference), len(samples), subset_size)
    rows, others = torch.tensor(samples), torch.tensor(reference)
    distances = []
    for _ in range(subsets):
        mine = rows[drawn.choice(len(rows), size, replace=False)]
        distances.append(squared_discrepancy(mine, others[drawn.choice(len(others), size, replace=False)]))
    return np.array(distances)
