"""Samples that look like a training image: found by perceptual hash, confirmed by thumbnail, as in dedup."""

from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.imaging.hashing import phash_pixels, phashes
from pipeline.imaging.neighbours import HASH_BITS, LookAlikeLimits, Thumbnails
from pipeline.imaging.resizing import THUMBNAIL_SIDE_PX, thumbnail

FINGERPRINT = np.dtype([("phash", np.uint64), ("thumbnail", np.uint8, (THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX))])
BATCH = 1024  # bounds the number of candidates in memory


@dataclass(frozen=True)
class PerceptualHash:
    """The measure of look-alikes, in the place of an extractor."""

    name: str = "phash"

    @property
    def passport_entry(self) -> dict[str, str]:
        """The passport's `extractor`."""
        return {
            "name": self.name,
            "hash": f"imagehash's phash, {HASH_BITS} bits",
            "thumbnail": f"{THUMBNAIL_SIDE_PX}×{THUMBNAIL_SIDE_PX}, area averages",
        }


@dataclass(frozen=True)
class Closest:
    """For each of N images, the most similar one of another set."""

    rows: NDArray[np.int64]  # (N,)
    distance_bits: NDArray[np.int64]  # (N,), Hamming distance of the hashes
    differences: NDArray[np.float32]  # (N,), of the thumbnails, see Thumbnails.differences

    def within(self, limits: LookAlikeLimits) -> NDArray[np.bool_]:
        """Whether each pair is within `limits`, so that dedup would drop one of the two."""
        return (self.distance_bits <= limits.distance_bits) & (self.differences <= limits.thumbnail_difference)


def fingerprint(images: NDArray[np.uint8]) -> NDArray[np.void]:
    """Hash and thumbnail (N,) of `images` (N, H, W, 1 or 3), dtype FINGERPRINT."""
    fingerprints = np.zeros(len(images), FINGERPRINT)
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        greys = [Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).convert("L") for image in batch]
        fingerprints["phash"][start : start + BATCH] = phashes(np.stack([phash_pixels(grey) for grey in greys]))
        fingerprints["thumbnail"][start : start + BATCH] = np.stack([thumbnail(grey) for grey in greys])
    return fingerprints


def _to_bytes(hashes: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Hashes (N,) as the bytes (N, 8) that faiss expects."""
    return np.ascontiguousarray(hashes.astype(">u8")).view(np.uint8).reshape(-1, HASH_BITS // 8)


def find_closest(fingerprints: NDArray[np.void], others: NDArray[np.void], max_distance_bits: int) -> Closest:
    """For each image the most similar thumbnail within `max_distance_bits` (inclusive); if there is none, the nearest hash."""
    index = faiss.IndexBinaryFlat(HASH_BITS)
    index.add(_to_bytes(others["phash"]))
    thumbnails = Thumbnails(np.concatenate([fingerprints["thumbnail"], others["thumbnail"]]))
    rows = np.empty(len(fingerprints), dtype=np.int64)
    differences = np.empty(len(fingerprints), dtype=np.float32)
    for start in range(0, len(fingerprints), BATCH):
        batch = np.arange(start, min(start + BATCH, len(fingerprints)))
        queries = _to_bytes(fingerprints["phash"][batch])
        ends, _, within = index.range_search(queries, max_distance_bits + 1)  # faiss excludes the radius itself
        unmatched = np.flatnonzero(np.diff(ends) == 0)
        nearest = index.search(queries[unmatched], 1)[1][:, 0] if len(unmatched) else unmatched
        query = np.concatenate([batch[unmatched], np.repeat(batch, np.diff(ends).astype(np.int64))])
        found = np.concatenate([nearest, within])
        difference = thumbnails.differences(query, len(fingerprints) + found)
        # Ties go to the first row: the order of faiss' results depends on its threads.
        order = np.lexsort((found, difference, query))
        first = order[np.unique(query[order], return_index=True)[1]]
        rows[batch], differences[batch] = found[first], difference[first]
    bits = np.bitwise_count(fingerprints["phash"] ^ others["phash"][rows]).astype(np.int64)
    return Closest(rows, bits, differences)
