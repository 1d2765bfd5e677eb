"""The kernel distance: squared maximum mean discrepancy of features under a polynomial kernel."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Rows = NDArray[np.int64]


def _kernel(rows: Tensor, others: Tensor) -> Tensor:
    """(x·y / D + 1)³ for each pair of rows, float64 (N, M)."""
    return (rows @ others.T / rows.shape[1] + 1).pow_(3).double()


def _within(rows: Tensor) -> float:
    """Mean kernel of two different rows of `rows` (M, D)."""
    kernel = _kernel(rows, rows)
    return float((kernel.sum() - kernel.trace()) / (len(rows) * (len(rows) - 1)))


def draw_subsets(counts: tuple[int, int], subsets: int, subset_size: int, seed: int) -> list[tuple[Rows, Rows]]:
    """Random row numbers of the samples and of the reference, which have `counts` rows, for each subset.

    Both get `subset_size` rows, or as many as the smaller set has. Equal to what clean-fid's `kernel_distance` draws after
    `np.random.seed(seed)`.
    """
    rng = np.random.RandomState(seed)  # the generator behind np.random, which clean-fid uses
    size = min(*counts, subset_size)
    return [tuple(rng.choice(count, size, replace=False) for count in counts) for _ in range(subsets)]  # type: ignore[misc]


def subset_means(features: NDArray[np.floating], subsets: list[Rows]) -> NDArray[np.float64]:
    """Mean kernel of two different rows, for each subset of `features` (N, D)."""
    rows = torch.tensor(features)
    return np.array([_within(rows[one]) for one in subsets])


def kernel_distances(
    reference: NDArray[np.floating],
    samples: NDArray[np.floating],
    drawn: list[tuple[Rows, Rows]],
    within_reference: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Unbiased squared MMD of each pair of subsets in `drawn` (Gretton et al. 2012, lemma 6); the mean is KID (Bińkowski 2018).

    Equal to clean-fid's `kernel_distance` on the same subsets. Pass `within_reference`, the means within the reference's
    subsets, to reuse them: they are the same for every set of as many samples.
    """
    if within_reference is None:
        within_reference = subset_means(reference, [real for _, real in drawn])
    rows, others = torch.tensor(samples), torch.tensor(reference)
    across = np.array([float(_kernel(rows[sample], others[real]).mean()) for sample, real in drawn])
    return subset_means(samples, [sample for sample, _ in drawn]) + within_reference - 2 * across
