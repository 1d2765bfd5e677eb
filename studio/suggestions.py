"""The next garments for a person: candidates drawn, measured, and chosen to please the likely tastes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from studio.preferences import comparisons, likely_tastes, offspring, pleased, pleasing_grid, spread_out
from studio.taste_features import Features

FRESH = 192  # candidates drawn anew where the truncation differs from that of the known ones
GENERATIONS, OFFSPRING = 2, 96
PARENTS = 48  # the favourites of as many tastes

Latents = NDArray[np.float32]
Look = Callable[[Latents], Features]
"""Draws garments of one category at latents (N, D) and returns their features (N, K)."""


@dataclass(frozen=True)
class KnownGarments:
    """Garments of one category that were drawn before, at truncation 1."""

    latents: Latents  # (N, D)
    features: Features  # (N, K)


@dataclass(frozen=True)
class Votes:
    """Garments that a person saw: in which grid, and 1 for liked, -1 for disliked, 0 for neither."""

    latents: Latents  # (M, D)
    grids: NDArray[np.int64]  # (M,)
    votes: NDArray[np.int64]  # (M,)


def suggested_latents(
    known: KnownGarments,
    look: Look,
    stated: Features,
    votes: Votes,
    count: int,
    rng: np.random.Generator,
    truncation: float = 1.0,
) -> Latents:
    """Latents (count, D) of the next grid, by what a profile has `stated` (K,) and by `votes`.

    Where both say nothing, the grid shows what there is. Otherwise candidates are the known garments and, for GENERATIONS,
    offspring of the favourites of likely tastes and of what was liked.
    """
    pool = known
    if truncation != 1:
        fresh = np.float32(truncation) * rng.standard_normal((FRESH, known.latents.shape[1]), dtype=np.float32)
        pool = KnownGarments(fresh, look(fresh))
    pairs = comparisons(votes.grids, votes.votes)
    if not len(pairs) and not stated.any():
        return pool.latents[spread_out(pool.features, count, rng)]
    seen = look(votes.latents) if len(votes.latents) else pool.features[:0]
    tastes = likely_tastes(pool.features, stated, seen, pairs, rng)
    latents, features, liked = pool.latents, pool.features, votes.latents[votes.votes > 0]
    pleasure = pleased(tastes, pool.features, features)
    for _ in range(GENERATIONS):
        asked = rng.permutation(len(pleasure))[:PARENTS]
        parents = np.unique(tastes.utilities(features)[asked].argmax(axis=1))
        children = offspring(np.concatenate([latents[parents], liked]), OFFSPRING, rng, truncation)
        child_features = look(children)
        latents, features = np.concatenate([latents, children]), np.concatenate([features, child_features])
        pleasure = np.concatenate([pleasure, pleased(tastes, pool.features, child_features)], axis=1)
    return latents[pleasing_grid(pleasure, features, count)]
