"""The preference model before and after votes and with a stated taste, and the grids that follow from it."""

from pathlib import Path

import numpy as np
import pytest

from studio.model import open_generator
from studio.preferences import NEAR, comparisons, fit_taste, kernel, offspring, spread_out, thompson_sample
from studio.taste_features import COLOUR_COLUMNS, COMPONENT_COLUMNS, Features, colour_column
from tests.support.simulated_designers import KINDS, Kind, Search, found_by_search, open_wardrobe
from tests.support.studio_model import alpha_graph, write_stand_in

COLUMNS = COLOUR_COLUMNS.stop + 8


def random_features(count: int) -> Features:
    rows = np.random.default_rng(0).standard_normal((count, COLUMNS))
    rows[:, COMPONENT_COLUMNS] *= 0.2
    return rows


def nothing_seen() -> tuple[Features, Features]:
    return np.empty((0, COLUMNS)), np.empty((0, 0))


def test_votes_are_compared_within_a_grid_only() -> None:
    rows = comparisons(np.array([1, 1, 1, 2, 2]), np.array([1, 0, -1, 1, 1]))
    assert sorted(map(tuple, rows.tolist())) == [(0, 1, -1, 0, 0), (1, -1, 0, 0, 0), (1, 0, -1, 0, 0)]


def test_without_votes_the_posterior_is_what_was_stated_with_the_prior_covariance() -> None:
    candidates, stated = random_features(5), np.zeros(COLUMNS)
    stated[colour_column("red")] = 3
    taste = fit_taste(stated, *nothing_seen())
    assert np.allclose(taste.mean(candidates), 3 * candidates[:, colour_column("red")])
    assert np.allclose(taste.covariance(candidates), kernel(candidates, candidates))


def test_candidates_like_the_liked_one_have_a_higher_mean_and_less_variance() -> None:
    seen = random_features(2)
    taste = fit_taste(np.zeros(COLUMNS), seen, comparisons(np.array([1, 1]), np.array([1, -1])))
    candidates = np.concatenate([seen * 1.01, random_features(3)[2:]])
    mean, covariance = taste.mean(candidates), taste.covariance(candidates)
    assert mean[0] > 0 > mean[1]
    assert np.all(np.diag(covariance)[:2] < np.diag(kernel(candidates, candidates))[:2])
    assert np.linalg.eigvalsh(covariance).min() > -1e-8


def test_votes_overrule_what_was_stated() -> None:
    stated = np.zeros(COLUMNS)
    stated[colour_column("red")] = 3
    garments = np.zeros((8, COLUMNS))
    garments[:4, colour_column("red")] = 1
    garments[4:, colour_column("blue")] = 1
    before = fit_taste(stated, *nothing_seen()).mean(garments)
    after = fit_taste(stated, garments, comparisons(np.ones(8, int), np.array([-1] * 4 + [1] * 4))).mean(garments)
    assert before[0] > before[4]
    assert after[0] < after[4]


def test_thompson_sampling_never_repeats_a_candidate_nor_shows_near_ones_while_there_are_others() -> None:
    rng = np.random.default_rng(0)
    candidates = random_features(60)
    candidates[:50] = candidates[0]  # fifty times the same garment
    taste = fit_taste(np.zeros(COLUMNS), candidates[:4], comparisons(np.ones(4, int), np.array([1, 0, -1, -1])))
    picked = thompson_sample(taste, candidates, 8, rng)
    assert len(set(picked)) == 8
    assert sum(place < 50 for place in picked) <= 1
    components = candidates[picked][:, COMPONENT_COLUMNS]
    distances = np.linalg.norm(components[:, None] - components[None], axis=-1)[~np.eye(8, dtype=bool)]
    assert distances.min() >= NEAR
    assert len(set(thompson_sample(taste, candidates[:50], 8, rng))) == 8  # nothing but near ones


def test_the_first_grid_shows_every_sort_of_garment() -> None:
    features = np.zeros((80, COLUMNS))
    features[:, 0] = np.repeat(np.arange(8), 10)
    assert sorted(features[spread_out(features, 8, np.random.default_rng(0)), 0]) == list(range(8))


def test_offspring_are_as_long_as_their_parents() -> None:
    rng = np.random.default_rng(0)
    parents = rng.standard_normal((4, 64), dtype=np.float32)
    assert np.linalg.norm(offspring(parents, 200, rng), axis=1).mean() == pytest.approx(8, rel=0.1)
    short = offspring(np.float32(0.5) * parents, 200, rng, truncation=0.5)
    assert np.linalg.norm(short, axis=1).mean() == pytest.approx(4, rel=0.1)


@pytest.mark.slow
def test_simulated_designers_are_satisfied_sooner_than_by_chance_and_soonest_with_a_profile(tmp_path: Path) -> None:
    generator = open_generator(write_stand_in(tmp_path, alpha_graph()))
    wardrobes = [open_wardrobe(generator, 1)]

    def satisfied(kind: Kind, search: Search, rounds: int) -> float:
        found = found_by_search(generator, wardrobes, kind, search, 12)
        return float(np.mean([one.rounds <= rounds for one in found]))

    for kind in KINDS:
        assert satisfied(kind, "votes", 4) >= satisfied(kind, "random", 4) + 0.2
    assert satisfied("profile", "profile and votes", 2) >= satisfied("profile", "votes", 2)
