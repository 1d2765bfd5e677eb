"""Nearest neighbours, near copies, and mean distances."""

import numpy as np
import pytest

from pipeline.metrics import neighbours
from pipeline.metrics.neighbours import is_near_copy, mean_distances_to_others, nearest_neighbours


def test_nearest_neighbours_equal_loops_for_any_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    features, others = rng.standard_normal((30, 5)), rng.standard_normal((41, 5))
    table = np.array([[np.linalg.norm(one - other) for other in others] for one in features])
    monkeypatch.setattr(neighbours, "BLOCK_ELEMENTS", 41 * 4)
    distances, rows = nearest_neighbours(features, others)
    np.testing.assert_array_equal(rows, table.argmin(axis=1))
    np.testing.assert_allclose(distances, table.min(axis=1), rtol=1e-9)


def test_copy_is_at_distance_zero_from_its_original() -> None:
    others = np.random.default_rng(1).normal(50, 1, (100, 128)).astype(np.float32)
    distances, rows = nearest_neighbours(others[[42, 7]], others)
    np.testing.assert_array_equal(rows, [42, 7])
    np.testing.assert_allclose(distances, 0, atol=0.05)  # against about 16 to any other row


def test_near_copies_are_closer_than_unseen_images() -> None:
    unseen = np.linspace(1, 2, 101)
    np.testing.assert_array_equal(is_near_copy(np.array([0.0, 0.5, 1.5, 3.0]), unseen, 0.01), [True, True, False, False])
    assert is_near_copy(unseen, unseen, 0.01).mean() == pytest.approx(0.01, abs=0.005)


def test_mean_distances_in_a_square() -> None:
    square = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    assert mean_distances_to_others(square) == pytest.approx([(2 + np.sqrt(2)) / 3] * 4)
    assert mean_distances_to_others(square + 1e3) == pytest.approx([(2 + np.sqrt(2)) / 3] * 4)
