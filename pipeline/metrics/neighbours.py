"""Nearest neighbours among features, block by block, so that memory does not grow with the product of two sets."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK_ELEMENTS = 1 << 24  # 64 MB of float32 distances at a time


def squared_distances(rows: Tensor, others: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Squared Euclidean distances (B, M) of blocks of `rows` (N, D) to all `others` (M, D), with the block's place."""
    centre = others.mean(0)  # smaller numbers lose fewer digits in the subtraction below
    rows, others = rows - centre, others - centre
    lengths, other_lengths = rows.square().sum(1), others.square().sum(1)
    height = max(1, BLOCK_ELEMENTS // len(others))
    for start in range(0, len(rows), height):
        here = slice(start, min(start + height, len(rows)))
        block = torch.addmm(other_lengths.expand(here.stop - start, -1), rows[here], others.T, alpha=-2)
        yield here, block.add_(lengths[here, None]).clamp_(min=0)


def squared_radii(features: Tensor, k: int) -> Tensor:
    """Squared distance (N,) of each row of `features` (N, D) to its `k`-th nearest other row."""
    radii = torch.empty(len(features), dtype=features.dtype)
    for here, block in squared_distances(features, features):
        block[torch.arange(len(block)), torch.arange(here.start, here.stop)] = torch.inf
        radii[here] = block.topk(k, dim=1, largest=False).values[:, -1]
    return radii


def nearest(features: NDArray[np.floating], others: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """Distance (N,) from each row of `features` to the nearest row of `others`, and that row's number (N,)."""
    least = [block.min(dim=1) for _, block in squared_distances(torch.tensor(features), torch.tensor(others))]
    return torch.cat([block.values for block in least]).sqrt().numpy(), torch.cat([block.indices for block in least]).numpy()


def near_copies(distances: NDArray[np.floating], real_distances: NDArray[np.floating], quantile: float) -> NDArray[np.bool_]:
    """Which `distances` (N,) to the nearest training picture are below the `quantile` of `real_distances`.

    `real_distances` are those of pictures never trained on: about `quantile` of N when nothing is copied.
    """
    return distances < np.quantile(real_distances, quantile)


def mean_distances(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean Euclidean distance (N,) of each row of `features` (N, D), N at least 2, from the others."""
    rows = torch.tensor(features)
    totals = torch.cat([block.sqrt().sum(1, dtype=torch.float64) for _, block in squared_distances(rows, rows)])
    return (totals / (len(rows) - 1)).numpy()
