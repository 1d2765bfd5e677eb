"""Find look-alikes by the Hamming distance of their hashes, and confirm them by their thumbnails.

Hashes do not suffice: in Fashion-MNIST, every picture has about four unrelated ones within 4 bits of its pHash.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import faiss
import numpy as np
import pandas as pd
from numpy.typing import NDArray

HASH_BITS = 64
FLAT_QUERIES = 1024
MIN_DEVIATION = 1.0  # grey levels; a flatter thumbnail is only noise
BLOCK = 16_384  # thumbnails
MAX_AGREEING = 3  # bands
SAMPLE = 100_000  # hashes, for estimating the cost
COST_OF_SORTING = 20  # of one hash, in comparisons of candidates
COST_OF_BANDS = 20  # of comparing one candidate pair, in comparisons of faiss's exhaustive search

Indices = NDArray[np.int64]
Candidates = tuple[Indices, Indices]
Near = tuple[Indices, Indices, NDArray[np.uint8]]
Watch = Callable[[Iterable[Any]], Iterable[Any]]

# first < second are indices; distance_bits is between hashes, difference between thumbnails.
PAIRS = ["first", "second", "distance_bits", "difference", "mirrored"]


@dataclass(frozen=True)
class LookAlikeLimits:
    """The largest differences between look-alikes, inclusive."""

    distance_bits: int  # Hamming, between hashes
    thumbnail_difference: float  # as in Thumbnails.differences, 0 to 2


def _masks(max_distance_bits: int, agreeing: int) -> list[np.uint64]:
    """Bit masks such that any two hashes within the distance agree under at least one; each joins `agreeing` bands of bits.

    Two hashes that differ in at most r bits agree in at least m of r + m bands (Norouzi, Punjani, Fleet 2012 for m = 1; Manku,
    Jain, Das Sarma 2007). A larger m means more masks to sort by, and fewer hashes that agree by chance.
    """
    edges = np.linspace(0, HASH_BITS, max_distance_bits + agreeing + 1).astype(int).tolist()
    bands = [(1 << high) - (1 << low) for low, high in pairwise(edges)]
    return [np.uint64(sum(chosen)) for chosen in combinations(bands, agreeing)]


def _cheapest_masks(hashes: NDArray[np.uint64], max_distance_bits: int) -> list[np.uint64] | None:
    """The masks that find the pairs of `hashes` at the least cost, estimated on a sample; None for exhaustive search."""
    step = max(1, len(hashes) // SAMPLE)
    best: list[np.uint64] | None = None
    least = len(hashes) / COST_OF_BANDS  # work for each hash, in comparisons of candidates
    for agreeing in range(1, MAX_AGREEING + 1):
        masks = _masks(max_distance_bits, agreeing)
        if (work := len(masks) * COST_OF_SORTING) < least:
            work += _compared(hashes[::step], masks) * step**2 // len(hashes)
        if work < least:
            best, least = masks, work
    return best


def _runs(values: NDArray[np.uint64]) -> tuple[Indices, Indices]:
    """Start and length of each run of equal values in the sorted `values`."""
    starts = np.flatnonzero(np.diff(values, prepend=values[:1] + np.uint64(1)))
    return starts, np.diff(starts, append=len(values))


def _compared(hashes: NDArray[np.uint64], masks: list[np.uint64]) -> int:
    """Number of pairs of `hashes` that agree under a mask, summed over `masks`."""
    sizes = [_runs(np.sort(hashes & mask))[1] for mask in masks]
    return sum(int((size * (size - 1) // 2).sum()) for size in sizes)


def _candidates_by_band(hashes: NDArray[np.uint64], masks: list[np.uint64]) -> Iterator[Candidates]:
    for mask in masks:
        values = hashes & mask
        order = np.argsort(values)
        starts, sizes = _runs(values[order])
        # Number of equal values after each, in sorted order.
        following = np.repeat(starts + sizes, sizes) - np.arange(len(hashes)) - 1
        offset, places = 1, np.flatnonzero(following >= 1)
        while len(places):
            yield order[places], order[places + offset]
            offset += 1
            places = places[following[places] >= offset]


def _candidates_by_search(hashes: NDArray[np.uint64], max_distance_bits: int) -> Iterator[Candidates]:
    rows = np.ascontiguousarray(hashes.astype(">u8")).view(np.uint8).reshape(-1, HASH_BITS // 8)
    index = faiss.IndexBinaryFlat(HASH_BITS)
    index.add(rows)
    for start in range(0, len(rows), FLAT_QUERIES):
        # faiss excludes the radius itself.
        limits, _, found = index.range_search(rows[start : start + FLAT_QUERIES], max_distance_bits + 1)
        yield start + np.repeat(np.arange(len(limits) - 1), np.diff(limits).astype(np.int64)), found


def pairs_within(hashes: NDArray[np.uint64], max_distance_bits: int) -> Iterator[Near]:
    """Batches (first, second, distance) of all pairs of `hashes` within the distance, inclusive; first < second.

    A pair may occur more than once. Near-linear if the bands separate the hashes, otherwise exhaustive.
    """
    masks = _cheapest_masks(hashes, max_distance_bits)
    found = _candidates_by_search(hashes, max_distance_bits) if masks is None else _candidates_by_band(hashes, masks)
    for one, other in found:
        distance = np.bitwise_count(hashes[one] ^ hashes[other])
        near = (distance <= max_distance_bits) & (one != other)
        one, other = one[near], other[near]
        yield np.minimum(one, other), np.maximum(one, other), distance[near]


class Thumbnails:
    """Thumbnails (N, 16, 16) uint8, compared independently of brightness and contrast."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._pixels = pixels.reshape(len(pixels), -1)
        self._mean = self._pixels.mean(axis=1, dtype=np.float64)
        # In blocks, because NumPy holds every deviation as float64: 2 GB for a million thumbnails.
        starts = range(0, max(1, len(pixels)), BLOCK)
        variance = np.concatenate([self._pixels[start : start + BLOCK].var(axis=1, dtype=np.float64) for start in starts])
        self._deviation = np.maximum(np.sqrt(variance), MIN_DEVIATION)
        self._variance = variance / self._deviation**2

    def differences(self, one: Indices, other: Indices) -> NDArray[np.float32]:
        """√(2 - 2 correlation) of each pair: the RMS difference after normalising both to mean 0 and deviation 1."""
        # Products of bytes, and their sums, are exact in float32: 256 × 255² < 2²⁴.
        product = np.einsum("np,np->n", self._pixels[one].astype(np.float32), self._pixels[other].astype(np.float32))
        covariance = product.astype(np.float64) / self._pixels.shape[1] - self._mean[one] * self._mean[other]
        correlation = covariance / (self._deviation[one] * self._deviation[other])
        return np.sqrt(np.maximum(self._variance[one] + self._variance[other] - 2 * correlation, 0)).astype(np.float32)


def _confirmed(
    hashes: NDArray[np.uint64], thumbnails: NDArray[np.uint8], limits: LookAlikeLimits, watch: Watch
) -> pd.DataFrame:
    seen = Thumbnails(thumbnails)
    empty: Indices = np.empty(0, dtype=np.int64)
    found = [(empty, empty, empty.astype(np.uint8), empty.astype(np.float32))]
    for first, second, distance in watch(pairs_within(hashes, limits.distance_bits)):
        difference = seen.differences(first, second)
        sure = difference <= limits.thumbnail_difference
        found.append((first[sure], second[sure], distance[sure], difference[sure]))
    columns = dict(zip(PAIRS[:4], map(np.concatenate, zip(*found, strict=True)), strict=True))
    return pd.DataFrame(columns).drop_duplicates(["first", "second"])


def look_alikes(
    hashes: NDArray[np.uint64],
    mirrored_hashes: NDArray[np.uint64] | None,
    thumbnails: NDArray[np.uint8],
    limits: LookAlikeLimits,
    watch: Watch = iter,
) -> pd.DataFrame:
    """All pairs of pictures within `limits`, sorted, with the columns PAIRS; with `mirrored_hashes`, mirror images too.

    `hashes` are (N,), `thumbnails` (N, 16, 16). The column `mirrored` marks pairs that are alike only if one is mirrored.
    `watch` wraps the iterable of comparisons, to show progress.
    """
    if mirrored_hashes is None:
        pairs = _confirmed(hashes, thumbnails, limits, watch).assign(mirrored=False)
    else:
        all_hashes = np.concatenate([hashes, mirrored_hashes])
        both = _confirmed(all_hashes, np.concatenate([thumbnails, thumbnails[:, :, ::-1]]), limits, watch)
        count = len(hashes)
        both = both[both["first"] < count]  # pairs of two mirrored pictures repeat the others
        one, other = both["first"].to_numpy(), both["second"].to_numpy() % count
        pairs = both.assign(mirrored=both["second"] >= count, first=np.minimum(one, other), second=np.maximum(one, other))
        pairs = pairs[pairs["first"] != pairs["second"]]  # a symmetric garment is its own mirror image
    order = ["first", "second", "mirrored", "distance_bits", "difference"]
    return pairs.sort_values(order).drop_duplicates(["first", "second"])[PAIRS].reset_index(drop=True)
