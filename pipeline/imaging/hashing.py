"""pHash, bit-identical to imagehash's, for many pictures at once.

In two steps, so that pictures need not be held: a small array per picture, then the hashes of many arrays.
"""

from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from PIL import Image

PHASH_SIDE_PX = 32
HASH_SIDE = 8
LANCZOS_LOBES = 3
WEIGHT_UNITS = 1 << 22  # fixed-point precision of Pillow's filter weights
ROWS = 64  # at a time, so that their float64 pixels fit in the cache
COLUMNS = 8  # of the 32, computed together because they read neighbouring pixels


@lru_cache(maxsize=256)
def _lanczos(length: int) -> list[tuple[slice, NDArray[np.float64]]]:
    """For each COLUMNS of the 32 output pixels of a line: the input pixels they depend on, and the weights (N, COLUMNS)."""
    step = length / PHASH_SIDE_PX
    scale = max(step, 1.0)
    parts = []
    for centre in ((np.arange(PHASH_SIDE_PX) + 0.5) * step).reshape(-1, COLUMNS):
        reach = LANCZOS_LOBES * scale
        first, last = (np.clip((centre + end + 0.5).astype(int), 0, length) for end in (-reach, reach))
        at = np.arange(first[0], last[-1])[:, None]
        away = (at + 0.5 - centre) / scale
        weights = np.where((at >= first) & (at < last), np.sinc(away) * np.sinc(away / LANCZOS_LOBES), 0)
        weights = np.rint(weights / weights.sum(axis=0) * WEIGHT_UNITS) / WEIGHT_UNITS
        parts.append((slice(first[0], last[-1]), weights))
    return parts


def _resized_to_32(lines: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`lines` (N, length) as (N, 32). Sums of bytes times 22-bit weights are exact in float64, in any order."""
    levels = lines.astype(np.float64)
    sums = np.concatenate([levels[:, seen] @ weights for seen, weights in _lanczos(lines.shape[1])], axis=1)
    return np.clip(sums + 0.5, 0, 255).astype(np.uint8)


def phash_pixels(grey: Image.Image) -> NDArray[np.uint8]:
    """The input (32, 32) of imagehash.phash for `grey`, mode L; bit-identical to Pillow's resize with LANCZOS.

    Large pictures are resized by matrix products, in a third of the time.
    """
    if grey.width <= PHASH_SIDE_PX or grey.height - PHASH_SIDE_PX > 2 * (grey.width - PHASH_SIDE_PX):
        # Pillow resizes these vertically first, and rounds in between.
        return np.asarray(grey.resize((PHASH_SIDE_PX, PHASH_SIDE_PX), Image.Resampling.LANCZOS))
    pixels = np.asarray(grey)
    rows = [_resized_to_32(pixels[start : start + ROWS]) for start in range(0, len(pixels), ROWS)]
    return _resized_to_32(np.concatenate(rows).T).T


def _packed(bits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """`bits` (N, 8, 8) as one integer each, first bit most significant."""
    return np.packbits(bits.reshape(len(bits), HASH_SIDE * HASH_SIDE), axis=1).view(">u8")[:, 0].astype(np.uint64)


def phashes(pixels: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """imagehash.phash (N,) of `pixels` (N, 32, 32): the low 8×8 cosine coefficients compared with their median."""
    low = scipy.fft.dct(scipy.fft.dct(pixels.astype(np.float64), axis=1), axis=2)[:, :HASH_SIDE, :HASH_SIDE]
    return _packed(low > np.median(low, axis=(1, 2), keepdims=True))
