"""Find edited copies: cropped, framed, flipped, rotated, squeezed, recoloured or partly covered pictures.

Candidates are pictures with similar descriptors in one of the views; each candidate pair is then confirmed by registration.
"""

from dataclasses import dataclass, fields

import faiss
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from pipeline.imaging.neighbours import Watch
from pipeline.imaging.sketches import IS_MIRROR, ORIENTATIONS, SketchRows, descriptors, views
from pipeline.stages.dedup.registration import Indices, Maps, composed, inverse
from pipeline.stages.dedup.registration_cache import RegistrationCache

EXACT_UP_TO = 100_000  # pictures; more are searched with inverted lists
LISTS_SEARCHED = 16
QUERIES = 4096
GUESSES = 3  # orientations tried per pair: a symmetric garment looks alike in several
NEAR_CERTAIN = 0.95  # similarity from which candidates are registered first
MAX_BEST = 3  # groups that one chain of links is divided into; the rest is linked directly or not at all
CHAINED = 0.15  # allowance in agreement for a picture that other links connect to the best one
STEP = 1024  # pairs per update of the progress bar

# first < second are indices; agreement: see registration.Fit; orientation indexes sketches.ORIENTATIONS.
PAIRS = ["first", "second", "agreement", "orientation"]


@dataclass(frozen=True)
class EditLimits:
    """When one picture counts as an edit of another."""

    neighbours: int  # candidates per picture and view
    min_similarity: float  # of descriptors, -1 to 1
    min_agreement: float  # of a registered pair
    min_texture: float  # of the fine detail of a registered pair
    mirrored: bool  # whether mirror images count


def _index(found: NDArray[np.float32]) -> faiss.Index:
    dimensions = found.shape[1]
    if len(found) <= EXACT_UP_TO:
        index: faiss.Index = faiss.IndexFlatIP(dimensions)
    else:
        lists = int(4 * np.sqrt(len(found)))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dimensions), dimensions, lists, faiss.METRIC_INNER_PRODUCT)
        index.train(found[:: max(1, len(found) // (40 * lists))])
        index.nprobe = LISTS_SEARCHED
    index.add(found)
    return index


_INVERSE_ORIENTATION = np.array([np.abs(ORIENTATIONS - linear.T).sum(axis=(1, 2)).argmin() for linear in ORIENTATIONS])


def candidates(pixels: SketchRows, limits: EditLimits) -> pd.DataFrame:
    """first, second, orientation, share, similarity: up to GUESSES per pair at how the second shows the first, best first."""
    whole = descriptors(pixels)
    index = _index(whole)
    found = []
    for orientation, share, seen in views(pixels, limits.mirrored):
        for start in range(0, len(whole), QUERIES):
            similarity, near = index.search(seen[start : start + QUERIES], min(limits.neighbours, len(whole)))
            moving = np.arange(start, start + len(near)).repeat(near.shape[1])
            good = (similarity.ravel() >= limits.min_similarity) & (near.ravel() >= 0) & (near.ravel() != moving)
            still, moving = near.ravel()[good], moving[good]
            turned = still > moving
            found.append(
                pd.DataFrame(
                    {
                        "first": np.minimum(still, moving),
                        "second": np.maximum(still, moving),
                        "orientation": np.where(turned, _INVERSE_ORIENTATION[orientation], orientation),
                        "share": np.where(turned, 1 / share, share).astype(np.float32),
                        "similarity": similarity.ravel()[good],
                    }
                )
            )
    guesses = pd.concat(found, ignore_index=True).sort_values(
        ["first", "second", "similarity", "orientation", "share"], ascending=[True, True, False, True, True]
    )
    guesses = guesses.drop_duplicates(["first", "second", "orientation"])
    return guesses[guesses.groupby(["first", "second"]).cumcount() < GUESSES].reset_index(drop=True)


def _maps_of(guesses: pd.DataFrame) -> tuple[Indices, Indices, Maps]:
    """first, second (P,) and maps (P, GUESSES, 2, 3) of `guesses`; the first guess of a pair fills up missing ones."""
    starts = np.flatnonzero(~guesses.duplicated(["first", "second"]).to_numpy())
    sizes = np.diff(starts, append=len(guesses))
    turn = ORIENTATIONS[guesses["orientation"]] * guesses["share"].to_numpy(np.float32)[:, None, None]
    maps = np.concatenate([turn, np.zeros((len(turn), 2, 1), dtype=np.float32)], axis=2)
    places = starts[:, None] + np.where(np.arange(GUESSES) < sizes[:, None], np.arange(GUESSES), 0)
    pairs = guesses.iloc[starts]
    return pairs["first"].to_numpy(), pairs["second"].to_numpy(), maps[places]


def _orientations_of(maps: Maps) -> NDArray[np.int64]:
    """The closest orientation to each of `maps`."""
    linear = maps[:, :, :2].reshape(-1, 4)
    return (linear @ ORIENTATIONS.reshape(-1, 4).T).argmax(axis=1)


@dataclass(frozen=True)
class _Links:
    """Registered pairs that agree."""

    first: Indices
    second: Indices
    agreement: NDArray[np.float32]
    maps: Maps  # from the first to the second

    @classmethod
    def none(cls) -> "_Links":
        empty = np.empty(0, dtype=np.int64)
        return cls(empty, empty, empty.astype(np.float32), np.empty((0, 2, 3), dtype=np.float32))

    def __add__(self, other: "_Links") -> "_Links":
        return _Links(*(np.concatenate([getattr(part, field.name) for part in (self, other)]) for field in fields(self)))

    def within(self, chosen: NDArray[np.bool_]) -> "_Links":
        return _Links(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def graph(self, count: int) -> coo_array:
        """A sparse matrix (count, count) with the link number plus one for each linked pair."""
        numbers = np.arange(1, len(self.first) + 1)
        return coo_array((numbers, (self.first, self.second)), shape=(count, count)).tocsr()


def _agreeing(
    cache: RegistrationCache, first: Indices, second: Indices, maps: Maps, limits: EditLimits, allowance: float = 0
) -> _Links:
    fit = cache.register(first, second, maps)
    good = (fit.agreement >= limits.min_agreement - allowance) & (fit.texture >= limits.min_texture)
    return _Links(first, second, fit.agreement, fit.maps).within(good)


def _indirect_links_to_best(count: int, links: _Links) -> tuple[Indices, Indices, Maps]:
    """Pairs of the best picture of each component with those linked to it only indirectly, and the maps composed on the way."""
    graph = links.graph(count)
    _, part = connected_components(graph, directed=False)
    _, roots = np.unique(part, return_index=True)
    first, second, maps = [], [], []
    for root in roots[np.bincount(part) >= 3]:
        order, before = breadth_first_order(graph, root, directed=False)
        ways = {int(root): np.eye(2, 3, dtype=np.float32)[None]}
        for item in map(int, order[1:]):
            via = int(before[item])
            number = int(graph[min(via, item), max(via, item)]) - 1
            step = links.maps[[number]]
            ways[item] = composed(step if via < item else inverse(step), ways[via])
            if via != root:
                first.append(int(root))
                second.append(item)
                maps.append(ways[item])
    return (
        np.array(first, dtype=np.int64),
        np.array(second, dtype=np.int64),
        np.concatenate([np.empty((0, 2, 3), dtype=np.float32), *maps])[:, None],
    )


def _linked_to_best(cache: RegistrationCache, count: int, links: _Links, limits: EditLimits) -> _Links:
    """`links` plus those between the best picture of a group and each other member; then of the best of the rest, and so on."""
    rest = np.ones(count, dtype=bool)
    for _ in range(MAX_BEST):
        among = links.within(rest[links.first] & rest[links.second])
        links += _agreeing(cache, *_indirect_links_to_best(count, among), limits, CHAINED)
        _, part = connected_components(among.graph(count), directed=False)
        _, roots = np.unique(part, return_index=True)
        led = np.zeros(count, dtype=bool)
        led[roots[np.bincount(part) > 1]] = True
        rest[links.second[led[links.first]]] = False
        rest &= ~led
    return links


def links_of(orientations: NDArray[np.int64]) -> NDArray[np.str_]:
    """The name of each of `orientations` in the column link: `edited` if upright, else `mirror` or `turned`."""
    names = np.where(IS_MIRROR, "mirror", "turned")
    names[0] = "edited"
    return names[orientations]


def edited_pairs(pixels: SketchRows, limits: EditLimits, cache: RegistrationCache, watch: Watch = iter) -> pd.DataFrame:
    """Pairs of edited copies among the sketches `pixels` (N, 64, 64), best picture first; columns PAIRS.

    Not every pair, but enough to form groups around their best pictures. The most similar candidates are registered first, and
    pairs that these have already linked, even indirectly, are not registered. `cache` must be that of `pixels`.
    """
    links = _Links.none()
    guesses = candidates(pixels, limits)
    nearest = guesses.groupby(["first", "second"])["similarity"].transform("max") >= NEAR_CERTAIN
    for some in (guesses[nearest], guesses[~nearest]):
        _, part = connected_components(links.graph(len(pixels)), directed=False)
        apart = part[some["first"]] != part[some["second"]]
        first, second, maps = _maps_of(some[apart])
        for start in watch(range(0, len(first), STEP)):
            here = slice(start, start + STEP)
            links += _agreeing(cache, first[here], second[here], maps[here], limits)
    links = _linked_to_best(cache, len(pixels), links, limits)
    pairs = {"first": links.first, "second": links.second, "agreement": links.agreement}
    found = pd.DataFrame(pairs | {"orientation": _orientations_of(links.maps)})
    return found.drop_duplicates(["first", "second"]).sort_values(["first", "second"], ignore_index=True)[PAIRS]
