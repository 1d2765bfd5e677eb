"""Likely tastes before and after votes and with a stated profile, and the grids that please them."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from studio import preferences
from studio.model import open_generator
from studio.preferences import (
    IN_MIND_SHARE,
    IN_MIND_SHARE_OF_STATED,
    KEPT_TASTES,
    NEAR,
    Tastes,
    comparisons,
    likely_tastes,
    offspring,
    pleased,
    pleasing_grid,
    spread_out,
)
from studio.taste_features import COLOUR_COLUMNS, COLUMNS, COMPONENT_COLUMNS, Features, colour_column, measure_column
from tests.support.simulated_designers import KINDS, Kind, Search, found_by_search, open_wardrobe
from tests.support.studio_model import alpha_graph, write_stand_in

NO_PAIRS = np.empty((0, 2), np.int64)
RED, BLUE, BRIGHT = colour_column("red"), colour_column("blue"), measure_column("brightness")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def known(rng: np.random.Generator) -> Features:
    """Garments that are red or blue, of any components and measures."""
    rows = rng.standard_normal((200, COLUMNS))
    rows[:, COMPONENT_COLUMNS] *= 0.2
    rows[:, COLOUR_COLUMNS] = 0
    rows[::2, RED], rows[1::2, BLUE] = 1, 1
    return rows


def test_votes_are_compared_within_a_grid_only() -> None:
    pairs = comparisons(np.array([1, 1, 1, 2, 2]), np.array([1, 0, -1, 1, 1]))
    assert pairs.tolist() == [[0, 1], [0, 2], [1, 2]]


def test_a_taste_with_a_garment_in_mind_likes_by_distance_and_a_leaning_by_weights(known: Features) -> None:
    leaning = np.zeros((1, COLUMNS))
    leaning[0, BRIGHT] = 2
    by_distance, by_weights = Tastes(known[:1, COMPONENT_COLUMNS], leaning).utilities(known)
    assert by_distance[0] == pytest.approx(0, abs=1e-6)
    assert by_distance[1] == pytest.approx(-np.linalg.norm(known[1, COMPONENT_COLUMNS] - known[0, COMPONENT_COLUMNS]))
    assert by_weights == pytest.approx(2 * known[:, BRIGHT])


def test_before_votes_tastes_are_of_both_sorts_and_lean_as_stated(known: Features, rng: np.random.Generator) -> None:
    open_minded = likely_tastes(known, np.zeros(COLUMNS), known[:0], NO_PAIRS, rng)
    assert len(open_minded.wanted) / KEPT_TASTES == pytest.approx(IN_MIND_SHARE, abs=0.08)
    stated = np.zeros(COLUMNS)
    stated[RED] = 3
    tastes = likely_tastes(known, stated, known[:0], NO_PAIRS, rng)
    assert len(tastes.wanted) / KEPT_TASTES == pytest.approx(IN_MIND_SHARE_OF_STATED, abs=0.08)
    assert tastes.leanings[:, RED].mean() == pytest.approx(3, abs=0.2)
    assert tastes.leanings[:, BLUE].mean() == pytest.approx(0, abs=0.2)


def test_votes_overrule_what_was_stated(known: Features, rng: np.random.Generator) -> None:
    stated = np.zeros(COLUMNS)
    stated[RED] = 1.5
    seen = np.zeros((8, COLUMNS))
    seen[:4, RED], seen[4:, BLUE] = 1, 1
    pairs = comparisons(np.ones(8, np.int64), np.array([-1] * 4 + [1] * 4))
    leanings = likely_tastes(known, stated, seen, pairs, rng).leanings
    assert (leanings[:, BLUE] > leanings[:, RED]).mean() > 0.95


def test_the_memory_that_votes_take_does_not_grow_with_their_comparisons(
    known: Features, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preferences, "DRAWN_TASTES", 500)
    pairs = rng.integers(40, size=(2000, 2))
    tracemalloc.start()
    likely_tastes(known, np.zeros(COLUMNS), known[:40], pairs, rng)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 8 << 20  # a float64 for each taste and comparison takes 16 MB


def test_votes_by_nearness_speak_for_a_garment_in_mind(known: Features, rng: np.random.Generator) -> None:
    distances = np.linalg.norm(known[:24, COMPONENT_COLUMNS] - known[100, COMPONENT_COLUMNS], axis=1)
    votes = np.zeros(24, np.int64)
    for grid in range(3):
        order = 8 * grid + np.argsort(distances[8 * grid : 8 * grid + 8])
        votes[order[:2]], votes[order[-3:]] = 1, -1
    pairs = comparisons(np.repeat([1, 2, 3], 8), votes)
    tastes = likely_tastes(known, np.zeros(COLUMNS), known[:24], pairs, rng)
    assert len(tastes.wanted) / KEPT_TASTES > 0.9
    before = np.linalg.norm(known[:, COMPONENT_COLUMNS] - known[100, COMPONENT_COLUMNS], axis=1).mean()
    assert np.linalg.norm(tastes.wanted.mean(axis=0) - known[100, COMPONENT_COLUMNS]) < 0.8 * before


def test_a_taste_is_pleased_by_the_best_of_what_is_known(known: Features) -> None:
    leaning = np.zeros((1, COLUMNS))
    leaning[0, BRIGHT] = 1
    pleasure = pleased(Tastes(np.empty((0, COMPONENT_COLUMNS.stop)), leaning), known, known)[0]
    assert np.argmax(pleasure) == np.argmax(known[:, BRIGHT])
    assert pleasure.max() > 0.5 > np.quantile(pleasure, 0.98)


def test_a_grid_pleases_different_tastes_and_repeats_no_garment(known: Features) -> None:
    pleasure = np.zeros((30, len(known)))
    pleasure[:20, :3], pleasure[20:27, 3], pleasure[27:, 4] = 1, 1, 1
    components = known.copy()
    components[:3, COMPONENT_COLUMNS] = components[0, COMPONENT_COLUMNS]
    picked = pleasing_grid(pleasure, components, 8)
    assert picked[:3] == [0, 3, 4]
    assert len(set(picked)) == 8
    places = components[picked][:, COMPONENT_COLUMNS]
    assert np.linalg.norm(places[:, None] - places[None], axis=-1)[~np.eye(8, dtype=bool)].min() >= NEAR
    assert len(set(pleasing_grid(pleasure[:, :8], np.repeat(known[:1], 8, axis=0), 8))) == 8  # nothing but near ones


def test_the_first_grid_shows_every_sort_of_garment(rng: np.random.Generator) -> None:
    features = np.zeros((80, COLUMNS))
    features[:, 0] = np.repeat(np.arange(8), 10)
    assert sorted(features[spread_out(features, 8, rng), 0]) == list(range(8))


def test_offspring_are_as_long_as_their_parents(rng: np.random.Generator) -> None:
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
