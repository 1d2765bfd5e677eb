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


Rows = NDArray[np.int64]


def drawn_subsets(counts: tuple[int, int], subsets: int, subset_size: int, seed: int) -> list[tuple[Rows, Rows]]:
    """Random rows of the samples and of the reference, which have `counts` pictures, equally many of both, for each subset.

    Those that clean-fid's `kernel_distance` draws after `np.random.seed(seed)`. A subset is never larger than the smaller set.
    """
    drawn = np.random.RandomState(seed)  # what is behind np.random, from which clean-fid draws
    size = min(*counts, subset_size)
    return [tuple(drawn.choice(count, size, replace=False) for count in counts) for _ in range(subsets)]  # type: ignore[misc]


def means_within(features: NDArray[np.floating], chosen: list[Rows]) -> NDArray[np.float64]:
    """Mean kernel of two different pictures of each subset of `features` (N, D)."""
    rows = torch.tensor(features)
    return np.array([_within(rows[one]) for one in chosen])


def kernel_distances(
    reference: NDArray[np.floating],
    samples: NDArray[np.floating],
    drawn: list[tuple[Rows, Rows]],
    within_reference: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """The kernel distance of each of the subsets `drawn`; their mean is KID, Bińkowski et al. 2018.

    It equals clean-fid's `kernel_distance` on the same subsets. `within_reference` are the means within the reference's
    subsets, where they are known: they are the same for every set of as many samples.
    """
    if within_reference is None:
        within_reference = means_within(reference, [others for _, others in drawn])
    rows, others = torch.tensor(samples), torch.tensor(reference)
    across = np.array([float(_kernel(rows[mine], others[theirs]).mean()) for mine, theirs in drawn])
    return means_within(samples, [mine for mine, _ in drawn]) + within_reference - 2 * across
