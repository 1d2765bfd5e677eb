"""Pictures that were made from each other: cut, framed, flipped, turned, squeezed, recoloured, covered in part.

Candidates are pictures whose descriptors are near in one of the views; each is then confirmed by laying one over the other.
"""

from dataclasses import dataclass, fields

import faiss
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from pipeline.imaging.neighbours import Watch
from pipeline.imaging.sketches import IS_MIRROR, ORIENTATIONS, descriptors, views
from pipeline.stages.dedup.registration import Indices, Maps, composed, inverse
from pipeline.stages.dedup.registration_cache import RegistrationCache

EXACT_UP_TO = 100_000  # pictures; more are searched by inverted lists
LISTS_SEARCHED = 16
QUERIES = 4096
GUESSES = 3  # orientations tried for a pair: a symmetric garment looks the same from several
NEAR_CERTAIN = 0.95  # similarity of candidates that are compared first
MAX_BEST = 3  # groups that one chain of links is taken apart into; what is then left is linked directly or not at all
CHAINED = 0.15  # a picture that others link to the best one may agree with it that much less
STEP = 1024  # pairs between two ticks of the progress

# first < second: indices; agreement: see registration.Fit; orientation: index of sketches.ORIENTATIONS.
PAIRS = ["first", "second", "agreement", "orientation"]


@dataclass(frozen=True)
class EditLimits:
    """When one picture is taken for an edit of the other."""

    neighbours: int  # candidates of a picture in a view
    min_similarity: float  # of the descriptors of a candidate, -1 to 1
    min_agreement: float  # of a pair laid over each other …
    min_texture: float  # … and of its fine detail alone
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


_TURNED_BACK = np.array([np.abs(ORIENTATIONS - linear.T).sum(axis=(1, 2)).argmin() for linear in ORIENTATIONS])


def candidates(pixels: NDArray[np.uint8], limits: EditLimits) -> pd.DataFrame:
    """first, second, orientation, share, similarity: a few guesses a pair at how the second shows the first, best first."""
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
                        "orientation": np.where(turned, _TURNED_BACK[orientation], orientation),
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
    """first, second (P,) and the maps (P, GUESSES, 2, 3) of `guesses`, a pair's first guess repeated where it has too few."""
    starts = np.flatnonzero(~guesses.duplicated(["first", "second"]).to_numpy())
    sizes = np.diff(starts, append=len(guesses))
    turn = ORIENTATIONS[guesses["orientation"]] * guesses["share"].to_numpy(np.float32)[:, None, None]
    maps = np.concatenate([turn, np.zeros((len(turn), 2, 1), dtype=np.float32)], axis=2)
    places = starts[:, None] + np.where(np.arange(GUESSES) < sizes[:, None], np.arange(GUESSES), 0)
    pairs = guesses.iloc[starts]
    return pairs["first"].to_numpy(), pairs["second"].to_numpy(), maps[places]


def _orientations_of(maps: Maps) -> NDArray[np.int64]:
    """The orientation nearest to each of `maps`."""
    linear = maps[:, :, :2].reshape(-1, 4)
    return (linear @ ORIENTATIONS.reshape(-1, 4).T).argmax(axis=1)


@dataclass(frozen=True)
class _Links:
    """Pairs that were laid over each other and agree."""

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
        """One more than the number of its link, for each pair of `count` pictures that has one."""
        numbers = np.arange(1, len(self.first) + 1)
        return coo_array((numbers, (self.first, self.second)), shape=(count, count)).tocsr()


def _agreeing(
    fits: RegistrationCache, first: Indices, second: Indices, maps: Maps, limits: EditLimits, allowance: float = 0
) -> _Links:
    fit = fits.of(first, second, maps)
    good = (fit.agreement >= limits.min_agreement - allowance) & (fit.texture >= limits.min_texture)
    return _Links(first, second, fit.agreement, fit.maps).within(good)


def _ways_from_the_best(count: int, links: _Links) -> tuple[Indices, Indices, Maps]:
    """The best picture of each connected set with those linked to it only by way of others, and the maps along those ways."""
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


def _about_the_best(fits: RegistrationCache, count: int, links: _Links, limits: EditLimits) -> _Links:
    """`links` and those that a group needs: its best picture with each of the others; then the best of the rest, and so on."""
    rest = np.ones(count, dtype=bool)
    for _ in range(MAX_BEST):
        among = links.within(rest[links.first] & rest[links.second])
        links += _agreeing(fits, *_ways_from_the_best(count, among), limits, CHAINED)
        _, part = connected_components(among.graph(count), directed=False)
        _, roots = np.unique(part, return_index=True)
        led = np.zeros(count, dtype=bool)
        led[roots[np.bincount(part) > 1]] = True
        rest[links.second[led[links.first]]] = False
        rest &= ~led
    return links


def links_of(orientations: NDArray[np.int64]) -> NDArray[np.str_]:
    """What a reader calls each of `orientations`: `edited` when upright, else `mirror` or `turned`."""
    names = np.where(IS_MIRROR, "mirror", "turned")
    names[0] = "edited"
    return names[orientations]


def edited_pairs(pixels: NDArray[np.uint8], limits: EditLimits, fits: RegistrationCache, watch: Watch = iter) -> pd.DataFrame:
    """Pairs of `pixels` (N, 64, 64), sketches, the best picture first, of which one is an edit of the other; columns PAIRS.

    Not all of them: enough to form groups about their best pictures. The nearest candidates are compared first, and two that
    these have already linked, be it by way of others, are not compared again. `fits` are those of `pixels`.
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
            links += _agreeing(fits, first[here], second[here], maps[here], limits)
    links = _about_the_best(fits, len(pixels), links, limits)
    pairs = {"first": links.first, "second": links.second, "agreement": links.agreement}
    found = pd.DataFrame(pairs | {"orientation": _orientations_of(links.maps)})
    return found.drop_duplicates(["first", "second"]).sort_values(["first", "second"], ignore_index=True)[PAIRS]
