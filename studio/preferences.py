"""Which tastes are likely by a stated profile, likes and dislikes, and which grid of garments pleases most of them.

A taste is one of two sorts. Somebody has a garment in mind, and likes others by their nearness in the components of pictures;
or leans, and likes by a weighted sum of measured attributes and colours, whose expected weights are what the profile states.
Tastes are drawn from this prior and weighted by the votes (importance sampling): within each grid, what was liked beats what
got no vote, and that beats what was disliked, by probit comparisons (Chu & Ghahramani 2005), some of which are slips (a lapse
rate: Wichmann & Hill 2001). The next grid is the set of which most tastes find one garment among the best: chosen greedily, it
is a good recommendation and a good question in one (Viappiani & Boutilier 2010).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from pipeline.inference.latents import slerp
from studio.taste_features import COLOUR_COLUMNS, COMPONENT_COLUMNS, MEASURE_COLUMNS, Features

DRAWN_TASTES = 12_000  # of each sort
KEPT_TASTES = 400
TYPICAL = 96  # garments that tell how much a taste varies
IN_MIND_SHARE = 0.5  # of tastes before votes
IN_MIND_SHARE_OF_STATED = 0.2  # where a profile says how somebody leans
MEASURE_DEVIATION = 1.0  # of the weight of a measure's standard deviation
COLOUR_DEVIATION = 1.0  # of the weight of a colour's share
NOISE = 0.1  # of a comparison, in standard deviations of a taste
SLIP = 0.08  # share of comparisons that come out wrong however clear they are; twice as many say nothing
INDEPENDENT_SHARE = 0.6  # exponent of the likelihood: comparisons of the same garment are not independent
BEST_SHARE = 0.01  # of the known garments, which a taste is pleased by
EDGE = 0.15  # softness of that limit, in standard deviations of a taste
NEAR = 0.3  # garments nearer than this, relative to the typical distance, do not share a grid
MUTATION = 0.4  # share of fresh noise in an offspring's latent

Tastings = NDArray[np.float64]


@dataclass(frozen=True)
class Tastes:
    """Equally likely tastes."""

    wanted: Features  # (A, C) components of garments in mind
    leanings: Features  # (B, K) weights of the features

    def utilities(self, garments: Features) -> Tastings:
        """How much each taste likes each of `garments` (N, K): (A + B, N)."""
        components = garments[:, COMPONENT_COLUMNS]
        squared = (self.wanted**2).sum(axis=1)[:, None] + (components**2).sum(axis=1) - 2 * self.wanted @ components.T
        return np.concatenate([-np.sqrt(np.maximum(squared, 0)), self.leanings @ garments.T])


def comparisons(grids: NDArray[np.int64], votes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs (P, 2) of the better and the worse of two garments of the same grid; votes (M,) are 1, 0 and -1."""
    return np.argwhere((grids[:, None] == grids[None]) & (votes[:, None] > votes[None]))


def prior_tastes(known: Features, stated: Features, count: int, rng: np.random.Generator) -> Tastes:
    """`count` tastes of each sort for garments like `known` (N, K), where a profile has `stated` weights (K,)."""
    components = known[:, COMPONENT_COLUMNS]
    wanted = components.mean(axis=0) + components.std(axis=0) * rng.standard_normal((count, components.shape[1]))
    deviations = np.zeros(known.shape[1])
    deviations[MEASURE_COLUMNS], deviations[COLOUR_COLUMNS] = MEASURE_DEVIATION, COLOUR_DEVIATION
    used = np.flatnonzero(deviations)
    leanings = np.zeros((count, known.shape[1]))
    leanings[:, used] = stated[used] + deviations[used] * rng.standard_normal((count, len(used)))
    return Tastes(wanted, leanings)


def likely_tastes(
    known: Features, stated: Features, seen: Features, pairs: NDArray[np.int64], rng: np.random.Generator
) -> Tastes:
    """KEPT_TASTES by what is `stated` (K,) and by the comparisons `pairs` (P, 2) of the garments `seen` (M, K)."""
    tastes = prior_tastes(known, stated, DRAWN_TASTES, rng)
    in_mind = IN_MIND_SHARE_OF_STATED if stated.any() else IN_MIND_SHARE
    logs = np.repeat(np.log([in_mind, 1 - in_mind]), DRAWN_TASTES)
    if len(pairs):
        spread = tastes.utilities(known[rng.permutation(len(known))[:TYPICAL]]).std(axis=1, keepdims=True)
        scaled = tastes.utilities(seen) / np.maximum(NOISE * spread, 1e-9)
        of_garments = np.ascontiguousarray(scaled.T, np.float32)  # (M, S)
        for better, worse in pairs:  # all pairs at once would take more than a gigabyte
            logs += INDEPENDENT_SHARE * np.log(SLIP + (1 - 2 * SLIP) * ndtr(of_garments[better] - of_garments[worse]))
    shares = np.exp(logs - logs.max())
    kept = rng.choice(len(shares), KEPT_TASTES, p=shares / shares.sum())
    return Tastes(tastes.wanted[kept[kept < DRAWN_TASTES]], tastes.leanings[kept[kept >= DRAWN_TASTES] - DRAWN_TASTES])


def pleased(tastes: Tastes, known: Features, candidates: Features) -> Tastings:
    """How sure each taste finds each of `candidates` (N, K) among its best BEST_SHARE of those `known`: (S, N) in [0, 1]."""
    of_known = tastes.utilities(known)
    limits = np.quantile(of_known, 1 - BEST_SHARE, axis=1)[:, None]
    softness = EDGE * np.maximum(of_known.std(axis=1), 1e-9)[:, None]
    return np.asarray(expit((tastes.utilities(candidates) - limits) / softness), np.float64)


def pleasing_grid(pleasure: Tastings, candidates: Features, count: int) -> list[int]:
    """Indices of `count` of `candidates` (N, K), of which one pleases most tastes, by their `pleasure` (S, N); greedily.

    None is NEAR another while there are others.
    """
    components = candidates[:, COMPONENT_COLUMNS]
    displeased = np.ones(len(pleasure))
    near = np.zeros(len(candidates), bool)
    picked: list[int] = []
    for _ in range(count):
        gains = displeased @ pleasure
        if not near.all():
            gains[near] = -1
        gains[picked] = -2
        picked.append(int(np.argmax(gains)))
        displeased *= 1 - pleasure[:, picked[-1]]
        near |= np.linalg.norm(components - components[picked[-1]], axis=1) < NEAR
    return picked


def offspring(
    parents: NDArray[np.float32], count: int, rng: np.random.Generator, truncation: float = 1.0
) -> NDArray[np.float32]:
    """Latents (count, D): slerps of random pairs of `parents` (M, D), with fresh noise times `truncation` mixed in."""
    pairs = rng.integers(len(parents), size=(count, 2))
    shares = rng.random(count).astype(np.float32)
    between = slerp(parents[pairs[:, 0]], parents[pairs[:, 1]], shares[:, None])
    noise = np.float32(truncation) * rng.standard_normal(between.shape, dtype=np.float32)
    return (np.sqrt(1 - MUTATION**2) * between + MUTATION * noise).astype(np.float32)


def spread_out(features: Features, count: int, rng: np.random.Generator) -> list[int]:
    """Indices of `count` garments that together are near to all of `features` (N, K): greedy k-medoids."""
    places = rng.permutation(len(features))[:256]
    components = features[places][:, COMPONENT_COLUMNS]
    distances = np.linalg.norm(components[:, None] - components[None], axis=-1)
    nearest = np.full(len(places), np.inf)
    picked: list[int] = []
    for _ in range(count):
        gains = np.minimum(nearest[None], distances).sum(axis=1)
        gains[picked] = np.inf
        best = int(np.argmin(gains))
        picked.append(best)
        nearest = np.minimum(nearest, distances[best])
    return [int(places[one]) for one in picked]
