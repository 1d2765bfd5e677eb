"""The Fréchet distance between Gaussians fitted to features."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg.lapack import dpstrf
from torch import Tensor

Moments = tuple[NDArray[np.float64], NDArray[np.float64]]


def mean_and_covariance(features: NDArray[np.floating]) -> Moments:
    """Mean (D,) and unbiased covariance (D, D) of `features` (N, D), N ≥ 2."""
    rows = torch.tensor(features, dtype=torch.float64)
    mean = rows.mean(0)
    rows -= mean
    return mean.numpy(), (rows.T @ rows / (len(rows) - 1)).numpy()


def prefix_moments(features: NDArray[np.floating], counts: Sequence[int]) -> Iterator[Moments]:
    """Mean (D,) and unbiased covariance (D, D) of the first `count` rows of `features` (N, D), for each of `counts`.

    The counts ascend from 2 or more to N or less. Each row is multiplied once, however many counts there are.
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


def _root(covariance: Tensor) -> Tensor:
    """L (D, R) with L Lᵀ = `covariance` of rank R, by pivoted Cholesky, which costs D R² instead of D³."""
    lower, pivots, rank, _ = dpstrf(covariance.numpy(), lower=1)
    root = np.empty((len(covariance), rank))
    root[pivots - 1] = np.tril(lower)[:, :rank]
    return torch.tensor(root)


def _trace_of_product_root(covariance1: Tensor, covariance2: Tensor) -> float:
    """Tr((Σ₁ Σ₂)^½): the sum of the singular values of L₁ᵀ L₂, where Lᵢ Lᵢᵀ = Σᵢ."""
    root, failed = torch.linalg.cholesky_ex(covariance1)
    if not failed:
        # Full rank: the eigenvalues of L₁ᵀ Σ₂ L₁ are the squares of those singular values, in half the time.
        return float(torch.linalg.eigvalsh(root.T @ covariance2 @ root).clamp(min=0).sqrt().sum())
    return float(torch.linalg.svdvals(_root(covariance1).T @ _root(covariance2)).sum())


def frechet_distance(
    mean1: NDArray[np.float64], covariance1: NDArray[np.float64], mean2: NDArray[np.float64], covariance2: NDArray[np.float64]
) -> float:
    """|μ₁ - μ₂|² + Tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½); Dowson & Landau 1982, Heusel et al. 2017, equation 6. Covariances of any rank.

    Equal to clean-fid's `frechet_distance` to 1e-6. Unlike scipy's `sqrtm`, which clean-fid uses, the last bits do not depend
    on the number of threads.
    """
    gap = float(((mean1 - mean2) ** 2).sum())
    # torch.tensor copies to aligned memory; unaligned, MKL's last bits can change from run to run.
    root = _trace_of_product_root(torch.tensor(covariance1), torch.tensor(covariance2))
    return gap + float(np.trace(covariance1) + np.trace(covariance2)) - 2 * root


def frechet_distance_of_features(reference: NDArray[np.floating], samples: NDArray[np.floating]) -> float:
    """Fréchet distance between Gaussians fitted to features (N, D) and (M, D)."""
    return frechet_distance(*mean_and_covariance(reference), *mean_and_covariance(samples))
