"""The Fréchet distance between Gaussians fitted to features."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg.lapack import dpstrf
from torch import Tensor


def mean_and_covariance(features: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (D,) and unbiased covariance (D, D) of `features` (N, D), N at least 2."""
    rows = torch.tensor(features, dtype=torch.float64)
    mean = rows.mean(0)
    rows -= mean
    return mean.numpy(), (rows.T @ rows / (len(rows) - 1)).numpy()


def _root(covariance: Tensor) -> Tensor:
    """L (D, R) with L Lᵀ = `covariance`, as narrow as its rank R: Cholesky with pivots, which costs D R², not D³."""
    lower, places, rank, _ = dpstrf(covariance.numpy(), lower=1)
    root = np.empty((len(covariance), rank))
    root[places - 1] = np.tril(lower)[:, :rank]
    return torch.tensor(root)


def _trace_of_product_root(covariance1: Tensor, covariance2: Tensor) -> float:
    """Tr((Σ₁ Σ₂)^½), the sum of the singular values of L₁ᵀ L₂ where Lᵢ Lᵢᵀ = Σᵢ."""
    root, failed = torch.linalg.cholesky_ex(covariance1)
    if not failed:
        # Full rank: the squares of those singular values, of a symmetric matrix, come twice as fast.
        return float(torch.linalg.eigvalsh(root.T @ covariance2 @ root).clamp(min=0).sqrt().sum())
    return float(torch.linalg.svdvals(_root(covariance1).T @ _root(covariance2)).sum())


def frechet_distance(
    mean1: NDArray[np.float64], covariance1: NDArray[np.float64], mean2: NDArray[np.float64], covariance2: NDArray[np.float64]
) -> float:
    """|μ₁ - μ₂|² + Tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½); Dowson & Landau 1982, Heusel et al. 2017, equation 6. Covariances of any rank.

    What clean-fid's `frechet_distance` computes by scipy's `sqrtm`, without it: equal to 1e-6, and with the same last bits
    however many threads scipy was given.
    """
    gap = float(((mean1 - mean2) ** 2).sum())
    # torch.tensor copies to aligned memory, without which MKL's last bits can change from run to run.
    root = _trace_of_product_root(torch.tensor(covariance1), torch.tensor(covariance2))
    return gap + float(np.trace(covariance1) + np.trace(covariance2)) - 2 * root


def frechet_distance_of_features(reference: NDArray[np.floating], samples: NDArray[np.floating]) -> float:
    """Fréchet distance between Gaussians fitted to two sets of features (N, D) and (M, D)."""
    return frechet_distance(*mean_and_covariance(reference), *mean_and_covariance(samples))
