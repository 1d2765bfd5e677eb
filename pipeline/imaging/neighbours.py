"""Pictures that look alike: found by the Hamming distance of their hashes, confirmed by their thumbnails.

Hashes alone are not enough: in Fashion-MNIST every picture has about four strangers within 4 bits of its pHash.
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
MIN_DEVIATION = 1.0  # grey levels; a flatter thumbnail is all noise
MAX_AGREEING = 3  # bands
SAMPLE = 100_000  # hashes, to tell what work there will be
COST_OF_SORTING = 20  # a hash, in comparisons of candidates
COST_OF_BANDS = 20  # comparing one candidate pair costs about as much as 20 in faiss's exhaustive search

Indices = NDArray[np.int64]
Candidates = tuple[Indices, Indices]
Near = tuple[Indices, Indices, NDArray[np.uint8]]
Watch = Callable[[Iterable[Any]], Iterable[Any]]

# first < second: indices; distance_bits between hashes; difference between thumbnails.
PAIRS = ["first", "second", "distance_bits", "difference", "mirrored"]


@dataclass(frozen=True)
class LookAlikeLimits:
    """How far look-alikes may differ, inclusive."""

    distance_bits: int  # Hamming, between hashes
    thumbnail_difference: float  # as in Thumbnails.differences, 0 to 2


def _masks(max_distance_bits: int, agreeing: int) -> list[np.uint64]:
    """Sets of bits of which any two hashes within the distance share one: each is `agreeing` of some bands of bits.

    Two hashes that differ in at most r bits agree in at least m of r + m bands (Norouzi, Punjani, Fleet 2012 for m = 1; Manku,
    Jain, Das Sarma 2007). A larger m means more sets, each to be sorted by, and fewer hashes that agree by chance.
    """
    edges = np.linspace(0, HASH_BITS, max_distance_bits + agreeing + 1).astype(int).tolist()
    bands = [(1 << high) - (1 << low) for low, high in pairwise(edges)]
    return [np.uint64(sum(chosen)) for chosen in combinations(bands, agreeing)]


def _cheapest_masks(hashes: NDArray[np.uint64], max_distance_bits: int) -> list[np.uint64] | None:
    """The masks by which the pairs of `hashes` are found with the least work, as a sample tells; None: compare all with all."""
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
    """Start and length of each run of equal ones in the sorted `values`."""
    starts = np.flatnonzero(np.diff(values, prepend=values[:1] + np.uint64(1)))
    return starts, np.diff(starts, append=len(values))


def _compared(hashes: NDArray[np.uint64], masks: list[np.uint64]) -> int:
    """How many pairs of `hashes` agree under one of `masks`, counted for each of them."""
    sizes = [_runs(np.sort(hashes & mask))[1] for mask in masks]
    return sum(int((size * (size - 1) // 2).sum()) for size in sizes)


def _candidates_by_band(hashes: NDArray[np.uint64], masks: list[np.uint64]) -> Iterator[Candidates]:
    for mask in masks:
        values = hashes & mask
        order = np.argsort(values)
        starts, sizes = _runs(values[order])
        # How many equal ones follow each in that order.
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
        # To faiss the radius itself is outside.
        limits, _, found = index.range_search(rows[start : start + FLAT_QUERIES], max_distance_bits + 1)
        yield start + np.repeat(np.arange(len(limits) - 1), np.diff(limits).astype(np.int64)), found


def pairs_within(hashes: NDArray[np.uint64], max_distance_bits: int) -> Iterator[Near]:
    """Batches of (first, second, distance) with every pair of `hashes` within the distance, inclusive, first < second.

    A pair may come more than once. Near-linear while bands tell hashes apart, exhaustive where they do not.
    """
    masks = _cheapest_masks(hashes, max_distance_bits)
    found = _candidates_by_search(hashes, max_distance_bits) if masks is None else _candidates_by_band(hashes, masks)
    for one, other in found:
        distance = np.bitwise_count(hashes[one] ^ hashes[other])
        near = (distance <= max_distance_bits) & (one != other)
        one, other = one[near], other[near]
        yield np.minimum(one, other), np.maximum(one, other), distance[near]


class Thumbnails:
    """Thumbnails (N, 16, 16) uint8, to be compared whatever their brightness and contrast."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._pixels = pixels.reshape(len(pixels), -1)
        self._mean = self._pixels.mean(axis=1, dtype=np.float64)
        self._deviation = np.maximum(self._pixels.std(axis=1, dtype=np.float64), MIN_DEVIATION)
        self._variance = self._pixels.var(axis=1, dtype=np.float64) / self._deviation**2

    def differences(self, one: Indices, other: Indices) -> NDArray[np.float32]:
        """For each pair, the root mean square difference of the two brought to mean 0 and deviation 1: √(2 - 2 correlation)."""
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
    """Every pair of pictures within `limits`, once, sorted, in the columns PAIRS; mirror images too where hashes are given.

    `hashes` are (N,), `thumbnails` (N, 16, 16). `mirrored` marks pairs that look alike only when one of them is mirrored.
    `watch` goes round the comparisons, to show their progress.
    """
    if mirrored_hashes is None:
        pairs = _confirmed(hashes, thumbnails, limits, watch).assign(mirrored=False)
    else:
        all_hashes = np.concatenate([hashes, mirrored_hashes])
        both = _confirmed(all_hashes, np.concatenate([thumbnails, thumbnails[:, :, ::-1]]), limits, watch)
        count = len(hashes)
        both = both[both["first"] < count]  # two mirrored ones say nothing new
        one, other = both["first"].to_numpy(), both["second"].to_numpy() % count
        pairs = both.assign(mirrored=both["second"] >= count, first=np.minimum(one, other), second=np.maximum(one, other))
        pairs = pairs[pairs["first"] != pairs["second"]]  # a symmetric garment is its own mirror image
    order = ["first", "second", "mirrored", "distance_bits", "difference"]
    return pairs.sort_values(order).drop_duplicates(["first", "second"])[PAIRS].reset_index(drop=True)
