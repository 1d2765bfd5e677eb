"""Interpolation of latents: closed forms, and the cases without a great circle."""

import numpy as np
import pytest

from pipeline.inference.latents import labels_in_shares, slerp


def test_labels_in_shares_are_at_least_as_many_as_asked_for_where_there_are_no_more() -> None:
    assert labels_in_shares(6, np.full(3, 1 / 3), 2).tolist() == [0, 0, 1, 1, 2, 2]
    assert labels_in_shares(7, np.array([0.9, 0.05, 0.05]), 2).tolist() == [0, 0, 0, 1, 1, 2, 2]


def test_fewer_labels_than_of_each_category_are_refused() -> None:
    with pytest.raises(ValueError, match="5 labels are too few for 2 of each of 3 categories"):
        labels_in_shares(5, np.full(3, 1 / 3), 2)


def test_slerp_of_orthogonal_latents_is_a_quarter_circle() -> None:
    shares = np.array([[0], [0.5], [1]], np.float32)
    points = slerp(np.array([2, 0], np.float32), np.array([0, 2], np.float32), shares)
    assert points.ravel() == pytest.approx([2, 0, 2**0.5, 2**0.5, 0, 2], abs=1e-6)


def test_slerp_interpolates_lengths_linearly() -> None:
    points = slerp(np.array([1, 0], np.float32), np.array([0, 3], np.float32), np.array([[0.25], [0.5]], np.float32))
    assert np.linalg.norm(points, axis=1) == pytest.approx([1.5, 2])


@pytest.mark.parametrize(
    ("first", "second", "point"),
    [([1, 0], [-1, 0], [0.5, 0]), ([0, 0], [1, 0], [0.25, 0]), ([1, 2], [1, 2], [1, 2]), ([0, 0], [0, 0], [0, 0])],
    ids=["opposite", "vanishing", "equal", "both vanishing"],
)
def test_slerp_is_linear_where_no_great_circle_is_defined(first: list[int], second: list[int], point: list[float]) -> None:
    ends = np.array(first, np.float32), np.array(second, np.float32)
    assert np.allclose(slerp(*ends, np.array([0.25], np.float32)), point)
