"""The taste model: what it says before and after votes, and simulated designers who use it."""

from pathlib import Path

import numpy as np
import pytest

from studio.model import open_generator
from studio.taste import SPREAD, bred, candidate_latents, chosen, comparisons, posterior
from tests.support.simulated_designers import ROUNDS, rounds_by_search
from tests.support.studio_model import write_stand_in


def test_votes_are_compared_within_a_wall_alone() -> None:
    rows = comparisons(np.array([1, 1, 1, 2, 2]), np.array([1, 0, -1, 1, 1]))
    assert sorted(map(tuple, rows.tolist())) == [(0, 1, -1, 0, 0), (1, -1, 0, 0, 0), (1, 0, -1, 0, 0)]


def test_before_any_vote_everything_pleases_alike() -> None:
    looks = np.random.default_rng(0).standard_normal((5, 3))
    mean, covariance = posterior(np.empty((0, 3)), np.empty((0, 0)), looks)
    assert np.all(mean == 0)
    assert np.allclose(np.diag(covariance), SPREAD**2)


def test_what_looks_like_the_liked_pleases_more_and_is_doubted_less() -> None:
    seen = np.array([[0.0, 0.0], [3.0, 0.0]])
    mean, covariance = posterior(seen, comparisons(np.array([1, 1]), np.array([1, -1])), np.array([[0.1, 0], [2.9, 0], [0, 9]]))
    assert mean[0] > 0.4 > -0.4 > mean[1]
    assert mean[2] == pytest.approx(0, abs=1e-6)
    doubts = np.diag(covariance)
    assert max(doubts[0], doubts[1]) < doubts[2] == pytest.approx(SPREAD**2)
    assert np.linalg.eigvalsh(covariance).min() > -1e-8


def test_a_wall_never_shows_a_garment_twice() -> None:
    rng = np.random.default_rng(0)
    looks = rng.standard_normal((30, 2))
    compared = comparisons(np.ones(4, int), np.array([1, 0, -1, -1]))
    assert len(set(chosen(looks[:4], compared, looks, 8, rng))) == 8


def test_descendants_are_as_likely_as_their_parents() -> None:
    rng = np.random.default_rng(0)
    parents = rng.standard_normal((4, 64), dtype=np.float32)
    children = bred(parents, 200, rng)
    assert np.linalg.norm(children, axis=1).mean() == pytest.approx(8, rel=0.1)
    assert candidate_latents(parents, 64, 1.0, rng).shape[0] > candidate_latents(parents[:0], 64, 1.0, rng).shape[0]


@pytest.mark.slow
def test_simulated_designers_are_satisfied_sooner_than_by_chance(tmp_path: Path) -> None:
    found = rounds_by_search(open_generator(write_stand_in(tmp_path)), designers=12)
    for kind in ("garment in mind", "leaning"):
        learned, chance = (np.mean(np.array(found[kind, search]) <= ROUNDS) for search in ("taste model", "random"))
        assert learned >= chance + 0.2
