"""Nearest neighbours among features, computed in blocks so that memory does not grow with N × M."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK_ELEMENTS = 1 << 24  # 64 MB of float32 distances


def squared_distances(rows: Tensor, others: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Squared Euclidean distances (B, M) from blocks of `rows` (N, D) to all `others` (M, D), each with its slice of `rows`."""
    centre = others.mean(0)  # smaller numbers lose fewer digits in the subtraction below
    rows, others = rows - centre, others - centre
    lengths, other_lengths = rows.square().sum(1), others.square().sum(1)
    height = max(1, BLOCK_ELEMENTS // len(others))
    for start in range(0, len(rows), height):
        here = slice(start, min(start + height, len(rows)))
        block = torch.addmm(other_lengths.expand(here.stop - start, -1), rows[here], others.T, alpha=-2)
        yield here, block.add_(lengths[here, None]).clamp_(min=0)


def squared_radii(features: Tensor, k: int) -> Tensor:
    """Squared distance (N,) from each row of `features` (N, D) to its `k`-th nearest other row."""
    radii = torch.empty(len(features), dtype=features.dtype)
    for here, block in squared_distances(features, features):
        block[torch.arange(len(block)), torch.arange(here.start, here.stop)] = torch.inf
        radii[here] = block.topk(k, dim=1, largest=False).values[:, -1]
    return radii


def nearest_neighbours(
    features: NDArray[np.floating], others: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """Distance (N,) from each row of `features` to its nearest row of `others`, and the number of that row (N,)."""
    least = [block.min(dim=1) for _, block in squared_distances(torch.tensor(features), torch.tensor(others))]
    return torch.cat([block.values for block in least]).sqrt().numpy(), torch.cat([block.indices for block in least]).numpy()


def is_near_copy(distances: NDArray[np.floating], real_distances: NDArray[np.floating], quantile: float) -> NDArray[np.bool_]:
    """Whether each of `distances` (N,) to the nearest training image is below the `quantile` of `real_distances`.

    `real_distances` belong to images that were not trained on, so without copying about `quantile` of N are near copies.
    """
    return distances < np.quantile(real_distances, quantile)


def mean_distances_to_others(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean Euclidean distance (N,) from each row of `features` (N, D), N ≥ 2, to the other rows."""
    rows = torch.tensor(features)
    totals = torch.cat([block.sqrt().sum(1, dtype=torch.float64) for _, block in squared_distances(rows, rows)])
    return (totals / (len(rows) - 1)).numpy()
