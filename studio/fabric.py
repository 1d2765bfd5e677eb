"""Fabrics on garments without a network: printed under the garment's folds, or by matching statistics.

All pictures are RGB (H, W, 3) float32 in [0, 1].
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from studio.measures import GREY_WEIGHTS

Picture = NDArray[np.float32]

FOLD_DEPTH = 0.75  # how strongly the garment's shading shows through a print
LEVELS = 5


def printed(garment: Picture, fabric: Picture, mask: NDArray[np.float32]) -> Picture:
    """`fabric` with the light and folds of `garment`, which has the same size."""
    luma = garment @ GREY_WEIGHTS
    inside = mask > 0.5
    middle = float(np.median(luma[inside])) if inside.any() else 0.5
    # Relative to the garment's median, because the folds of a dark garment are faint.
    light = 1 + FOLD_DEPTH * (luma - middle) / max(middle, 0.15)
    return np.clip(fabric * np.clip(light, 0.15, 1.6)[..., None], 0, 1).astype(np.float32)


def _bands(picture: Picture) -> tuple[list[Picture], Picture]:
    """Differences of Gaussians, fine to coarse, and the residual; they sum to `picture`."""
    bands, rest = [], picture
    for level in range(LEVELS):
        smooth = ndimage.gaussian_filter(rest, sigma=(2.0**level, 2.0**level, 0), mode="reflect")
        bands.append(rest - smooth)
        rest = smooth
    return bands, rest


def _whitened_coloured(rows: NDArray[np.float64], of: NDArray[np.bool_], style: NDArray[np.float64]) -> NDArray[np.float64]:
    """All `rows` (N, 3), transformed so that those `of` (N,) have the mean and covariance of `style` (M, 3).

    Li et al. 2017, section 3.1.
    """
    measured = rows[of]

    def root(covariance: NDArray[np.float64], power: float) -> NDArray[np.float64]:
        values, vectors = np.linalg.eigh(covariance)
        return (vectors * np.maximum(values, 1e-5) ** power) @ vectors.T

    whitening, colouring = root(np.cov(measured, rowvar=False), -0.5), root(np.cov(style, rowvar=False), 0.5)
    return (rows - measured.mean(axis=0)) @ whitening @ colouring + style.mean(axis=0)


def _matched(values: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """`values` with the distribution of `target` (histogram matching); Heeger & Bergen 1995, section 2."""
    order = np.argsort(values, kind="stable")
    quantiles = np.quantile(target, (np.arange(len(values)) + 0.5) / len(values))
    matched = np.empty_like(values)
    matched[order] = quantiles
    return matched


def with_statistics(garment: Picture, fabric: Picture, mask: NDArray[np.float32]) -> Picture:
    """`garment` with the colours and, at each scale, the texture strength of `fabric`, measured under `mask`."""
    inside = mask > 0.5
    if inside.sum() < 16:
        inside = np.ones(mask.shape, np.bool_)
    bands, rest = _bands(garment)
    fabric_bands, _ = _bands(fabric)
    mixed = np.zeros(garment.shape, np.float64)
    for band, other in zip(bands, fabric_bands, strict=True):
        spread, wanted = band[inside].std(axis=0) + 1e-4, other.std(axis=(0, 1))
        # A flat garment has no texture to amplify, so the fabric's own is added.
        mixed += band * np.clip(wanted / spread, 0.5, 4.0) + other * np.clip(1 - spread / (wanted + 1e-4), 0, 1)
    mixed += rest
    style = fabric.reshape(-1, 3).astype(np.float64)
    coloured = _whitened_coloured(mixed.reshape(-1, 3), inside.ravel(), style).reshape(mixed.shape)
    for channel in range(3):
        coloured[inside, channel] = _matched(coloured[inside, channel], style[:, channel])
    return np.clip(coloured, 0, 1).astype(np.float32)


def laid_over(result: Picture, original: Picture, mask: NDArray[np.float32]) -> Picture:
    """`result` blended over `original` by `mask` (H, W) in [0, 1]."""
    return original + mask[..., None] * (result - original)
