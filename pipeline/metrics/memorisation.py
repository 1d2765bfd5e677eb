"""Samples that look like a training picture: found by perceptual hash, confirmed by thumbnail, as in dedup."""

from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.imaging.hashing import phash_pixels, phashes
from pipeline.imaging.neighbours import HASH_BITS, LookAlikeLimits, Thumbnails
from pipeline.imaging.resizing import THUMBNAIL_SIDE_PX, thumbnail

PRINT = np.dtype([("phash", np.uint64), ("thumbnail", np.uint8, (THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX))])
QUERIES = 1024  # at a time, so that the candidates of all need not be held


@dataclass(frozen=True)
class PerceptualHash:
    """The ruler of look-alikes, as it stands in passports."""

    name: str = "phash"

    @property
    def in_passport(self) -> dict[str, str]:
        return {
            "name": self.name,
            "hash": f"imagehash's phash, {HASH_BITS} bits",
            "thumbnail": f"{THUMBNAIL_SIDE_PX}×{THUMBNAIL_SIDE_PX}, area averages",
        }


@dataclass(frozen=True)
class Closest:
    """For each of N pictures the one that looks most like it among others."""

    rows: NDArray[np.int64]  # (N,)
    distance_bits: NDArray[np.int64]  # (N,), between hashes
    differences: NDArray[np.float32]  # (N,), between thumbnails, as in Thumbnails.differences

    def within(self, limits: LookAlikeLimits) -> NDArray[np.bool_]:
        """Which look so much alike that one would be dropped as the other's duplicate."""
        return (self.distance_bits <= limits.distance_bits) & (self.differences <= limits.thumbnail_difference)


def prints_of(images: NDArray[np.uint8]) -> NDArray[np.void]:
    """Hash and thumbnail (N,), of the dtype PRINT, of `images` (N, H, W, 1 or 3)."""
    prints = np.zeros(len(images), PRINT)
    for start in range(0, len(images), QUERIES):
        batch = images[start : start + QUERIES]
        greys = [Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).convert("L") for image in batch]
        prints["phash"][start : start + QUERIES] = phashes(np.stack([phash_pixels(grey) for grey in greys]))
        prints["thumbnail"][start : start + QUERIES] = np.stack([thumbnail(grey) for grey in greys])
    return prints


def _bytes_of(hashes: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Hashes (N,) as faiss takes them, (N, 8)."""
    return np.ascontiguousarray(hashes.astype(">u8")).view(np.uint8).reshape(-1, HASH_BITS // 8)


def closest(prints: NDArray[np.void], others: NDArray[np.void], max_distance_bits: int) -> Closest:
    """Of the `others` within the distance, inclusive, the one with the least different thumbnail; else the nearest by hash."""
    index = faiss.IndexBinaryFlat(HASH_BITS)
    index.add(_bytes_of(others["phash"]))
    seen = Thumbnails(np.concatenate([prints["thumbnail"], others["thumbnail"]]))
    rows = np.empty(len(prints), dtype=np.int64)
    differences = np.empty(len(prints), dtype=np.float32)
    for start in range(0, len(prints), QUERIES):
        here = np.arange(start, min(start + QUERIES, len(prints)))
        queries = _bytes_of(prints["phash"][here])
        ends, _, within = index.range_search(queries, max_distance_bits + 1)  # to faiss the radius itself is outside
        alone = np.flatnonzero(np.diff(ends) == 0)
        nearest = index.search(queries[alone], 1)[1][:, 0] if len(alone) else alone
        asked = np.concatenate([here[alone], np.repeat(here, np.diff(ends).astype(np.int64))])
        found = np.concatenate([nearest, within])
        difference = seen.differences(asked, len(prints) + found)
        # Ties go to the first row, whatever faiss' threads did.
        order = np.lexsort((found, difference, asked))
        first = order[np.unique(asked[order], return_index=True)[1]]
        rows[here], differences[here] = found[first], difference[first]
    bits = np.bitwise_count(prints["phash"] ^ others["phash"][rows]).astype(np.int64)
    return Closest(rows, bits, differences)
