"""pHash, bit for bit imagehash's, for many pictures at a time.

It comes in two halves: a small array from one picture, and the hashes of many such arrays, so that pictures need not be held.
"""

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from PIL import Image

PHASH_SIDE_PX = 32
HASH_SIDE = 8
LANCZOS = Image.Resampling.LANCZOS


def phash_pixels(grey: Image.Image) -> NDArray[np.uint8]:
    """What imagehash.phash looks at: `grey`, of mode L, as (32, 32)."""
    return np.asarray(grey.resize((PHASH_SIDE_PX, PHASH_SIDE_PX), LANCZOS))


def _packed(bits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """(N, 8, 8) as one number each, first bit highest."""
    return np.packbits(bits.reshape(len(bits), HASH_SIDE * HASH_SIDE), axis=1).view(">u8")[:, 0].astype(np.uint64)


def phashes(pixels: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """imagehash.phash of each of `pixels` (N, 32, 32): the low 8×8 of the cosine transform against its median."""
    low = scipy.fft.dct(scipy.fft.dct(pixels.astype(np.float64), axis=1), axis=2)[:, :HASH_SIDE, :HASH_SIDE]
    return _packed(low > np.median(low, axis=(1, 2), keepdims=True))
