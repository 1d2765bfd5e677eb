"""Fréchet distances at several counts, and of infinitely many pictures."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.metrics.extrapolation import moments_of_first
from pipeline.metrics.frechet import frechet_distance, mean_and_covariance
from pipeline.metrics.infinity import line_to_infinity
from pipeline.metrics.scores import ScoreSettings, measure, statistics_of

DIM = 16
SHIFT = 0.5


def _gaussian(seed: int, count: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((count, DIM)) + SHIFT / DIM**0.5


def test_moments_of_the_first_rows_are_those_of_the_rows() -> None:
    features = np.random.default_rng(0).standard_normal((90, 7)).astype(np.float32) + 1000
    for count, (mean, covariance) in zip((3, 40, 90), moments_of_first(features, (3, 40, 90)), strict=True):
        expected = mean_and_covariance(features[:count])
        np.testing.assert_allclose(mean, expected[0], rtol=1e-12)
        np.testing.assert_allclose(covariance, expected[1], rtol=1e-9, atol=1e-9)


def test_a_distance_that_falls_as_one_over_the_count_is_extrapolated_exactly() -> None:
    assert line_to_infinity({count: 3 + 70 / count for count in (100, 130, 500)}) == pytest.approx((3, 70), rel=1e-12)


def test_gaussians_of_known_distance() -> None:
    # Unit covariances, means apart by SHIFT: the distance is SHIFT². Of few pictures it comes out larger.
    few, extrapolated = [], []
    for seed in range(40):
        counts = (150, 200, 300)
        moments = moments_of_first(_gaussian(seed, counts[-1]), counts)
        distances = [frechet_distance(np.zeros(DIM), np.eye(DIM), *of) for of in moments]
        few.append(distances[-1])
        extrapolated.append(line_to_infinity(dict(zip(counts, distances, strict=True)))[0])
    error = np.std(extrapolated) / np.sqrt(len(extrapolated))
    assert abs(np.mean(extrapolated) - SHIFT**2) < 4 * error
    assert np.mean(few) - SHIFT**2 > 8 * error


def test_the_samples_are_shuffled_first() -> None:
    # Two categories one after the other, as evaluate draws them: each alone is far from both together.
    samples = np.concatenate([_gaussian(0, 200) - 4, _gaussian(1, 200) + 4]).astype(np.float32)
    settings = ScoreSettings(neighbours=3, kid_subsets=1, kid_subset_size=10, fd_counts=(200,), bootstraps=0, seed=0)
    by_count = measure(statistics_of(samples, settings), samples, settings).fd_by_count
    assert list(by_count) == [200, 400]
    assert by_count[200] < 1


def test_without_counts_nothing_is_extrapolated() -> None:
    samples = _gaussian(0, 50).astype(np.float32)
    settings = ScoreSettings(neighbours=3, kid_subsets=1, kid_subset_size=10, fd_counts=(), bootstraps=0, seed=0)
    assert "fd_infinity" not in measure(statistics_of(samples, settings), samples, settings).values
