"""The preference model before and after votes, and with simulated designers."""

from pathlib import Path

import numpy as np
import pytest

from studio.model import open_generator
from studio.preferences import PRIOR_DEVIATION, candidate_latents, comparisons, offspring, posterior, thompson_sample
from tests.support.simulated_designers import ROUNDS, rounds_by_search
from tests.support.studio_model import write_stand_in


def test_votes_are_compared_within_a_grid_only() -> None:
    rows = comparisons(np.array([1, 1, 1, 2, 2]), np.array([1, 0, -1, 1, 1]))
    assert sorted(map(tuple, rows.tolist())) == [(0, 1, -1, 0, 0), (1, -1, 0, 0, 0), (1, 0, -1, 0, 0)]


def test_without_votes_the_posterior_is_the_prior() -> None:
    candidate_features = np.random.default_rng(0).standard_normal((5, 3))
    mean, covariance = posterior(np.empty((0, 3)), np.empty((0, 0)), candidate_features)
    assert np.all(mean == 0)
    assert np.allclose(np.diag(covariance), PRIOR_DEVIATION**2)


def test_candidates_like_the_liked_one_have_a_higher_mean_and_less_variance() -> None:
    seen = np.array([[0.0, 0.0], [3.0, 0.0]])
    mean, covariance = posterior(seen, comparisons(np.array([1, 1]), np.array([1, -1])), np.array([[0.1, 0], [2.9, 0], [0, 9]]))
    assert mean[0] > 0.4 > -0.4 > mean[1]
    assert mean[2] == pytest.approx(0, abs=1e-6)
    variances = np.diag(covariance)
    assert max(variances[0], variances[1]) < variances[2] == pytest.approx(PRIOR_DEVIATION**2)
    assert np.linalg.eigvalsh(covariance).min() > -1e-8


def test_thompson_sampling_never_repeats_a_candidate() -> None:
    rng = np.random.default_rng(0)
    candidate_features = rng.standard_normal((30, 2))
    compared = comparisons(np.ones(4, int), np.array([1, 0, -1, -1]))
    assert len(set(thompson_sample(candidate_features[:4], compared, candidate_features, 8, rng))) == 8


def test_offspring_are_as_long_as_their_parents() -> None:
    rng = np.random.default_rng(0)
    parents = rng.standard_normal((4, 64), dtype=np.float32)
    children = offspring(parents, 200, rng)
    assert np.linalg.norm(children, axis=1).mean() == pytest.approx(8, rel=0.1)
    assert candidate_latents(parents, 64, 1.0, rng).shape[0] > candidate_latents(parents[:0], 64, 1.0, rng).shape[0]


@pytest.mark.slow
def test_simulated_designers_are_satisfied_sooner_than_by_chance(tmp_path: Path) -> None:
    found = rounds_by_search(open_generator(write_stand_in(tmp_path)), designers=12)
    for kind in ("garment in mind", "leaning"):
        learned, chance = (np.mean(np.array(found[kind, search]) <= ROUNDS) for search in ("preference model", "random"))
        assert learned >= chance + 0.2
