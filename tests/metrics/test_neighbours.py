"""Nearest neighbours, near copies, diversity, and the inception score."""

import numpy as np
import pytest

from pipeline.metrics import neighbours
from pipeline.metrics.inception_score import inception_score
from pipeline.metrics.neighbours import mean_distances, near_copies, nearest


def test_nearest_equals_loops_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = np.random.default_rng(0)
    features, others = numbers.standard_normal((30, 5)), numbers.standard_normal((41, 5))
    table = np.array([[np.linalg.norm(one - other) for other in others] for one in features])
    monkeypatch.setattr(neighbours, "BLOCK_ELEMENTS", 41 * 4)
    distances, rows = nearest(features, others)
    np.testing.assert_array_equal(rows, table.argmin(axis=1))
    np.testing.assert_allclose(distances, table.min(axis=1), rtol=1e-9)


def test_a_copy_is_at_distance_zero_from_its_original() -> None:
    others = np.random.default_rng(1).normal(50, 1, (100, 128)).astype(np.float32)
    distances, rows = nearest(others[[42, 7]], others)
    np.testing.assert_array_equal(rows, [42, 7])
    np.testing.assert_allclose(distances, 0, atol=0.05)  # against about 16 to any other row


def test_near_copies_are_those_closer_than_unseen_pictures_come() -> None:
    unseen = np.linspace(1, 2, 101)
    np.testing.assert_array_equal(near_copies(np.array([0.0, 0.5, 1.5, 3.0]), unseen, 0.01), [True, True, False, False])
    assert near_copies(unseen, unseen, 0.01).mean() == pytest.approx(0.01, abs=0.005)


def test_mean_distances_in_a_square() -> None:
    square = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    assert mean_distances(square) == pytest.approx([(2 + np.sqrt(2)) / 3] * 4)
    assert mean_distances(square + 1e3) == pytest.approx([(2 + np.sqrt(2)) / 3] * 4)


def test_inception_score_of_known_cases() -> None:
    assert inception_score(np.full((9, 4), 0.25)) == pytest.approx(1)
    assert inception_score(np.tile(np.eye(4), (5, 1))) == pytest.approx(4)
    assert inception_score(np.tile([[1.0, 0, 0]], (5, 1))) == pytest.approx(1)
    # Two categories, each row right with probability p: log 2 minus the entropy of p.
    p = 0.9
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    assert inception_score(np.array([[p, 1 - p], [1 - p, p]])) == pytest.approx(2 * np.exp(-entropy))
