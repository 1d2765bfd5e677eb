"""The Fréchet distance against closed forms and clean-fid, with covariances of full and of low rank."""

import numpy as np
import pytest
from cleanfid.fid import frechet_distance as clean_fid_distance
from numpy.typing import NDArray

from pipeline.metrics.frechet import frechet_distance, frechet_distance_of_features, mean_and_covariance, prefix_moments


def _covariance(dim: int, seed: int) -> NDArray[np.float64]:
    rows = np.random.default_rng(seed).standard_normal((3 * dim, dim)) * np.linspace(0.1, 2, dim)
    return rows.T @ rows / len(rows)


def test_equal_covariances_give_the_squared_distance_of_the_means() -> None:
    covariance, mean = _covariance(20, 0), np.arange(20.0)
    assert frechet_distance(mean, covariance, mean + 2, covariance) == pytest.approx(20 * 2**2, rel=1e-9)


def test_diagonal_covariances_give_the_closed_form() -> None:
    first, second = np.linspace(0.5, 3, 12), np.linspace(4, 0.1, 12)
    mean1, mean2 = np.zeros(12), np.linspace(0, 1, 12)
    expected = ((mean1 - mean2) ** 2).sum() + ((np.sqrt(first) - np.sqrt(second)) ** 2).sum()
    assert frechet_distance(mean1, np.diag(first), mean2, np.diag(second)) == pytest.approx(expected, rel=1e-12)


def test_one_dimension_gives_squared_differences_of_means_and_deviations() -> None:
    one = np.ones(1)
    assert frechet_distance(3 * one, np.array([[4.0]]), one, np.array([[25.0]])) == pytest.approx((3 - 1) ** 2 + (2 - 5) ** 2)


def test_identical_sets_have_distance_zero() -> None:
    features = np.random.default_rng(1).standard_normal((200, 30)).astype(np.float32)
    assert frechet_distance_of_features(features, features) == pytest.approx(0, abs=1e-10)


def test_distance_is_symmetric() -> None:
    one, other = _covariance(15, 1), _covariance(15, 2)
    there = frechet_distance(np.zeros(15), one, np.ones(15), other)
    assert frechet_distance(np.ones(15), other, np.zeros(15), one) == pytest.approx(there, rel=1e-10)


@pytest.mark.filterwarnings("ignore:The `disp` argument is deprecated:DeprecationWarning")
@pytest.mark.parametrize("dim", [5, 128, 400])
def test_distance_equals_clean_fid(dim: int) -> None:
    mean1, mean2 = np.random.default_rng(dim).standard_normal((2, dim))
    covariance1, covariance2 = _covariance(dim, dim), _covariance(dim, dim + 1)
    expected = clean_fid_distance(mean1, covariance1, mean2, covariance2)
    assert frechet_distance(mean1, covariance1, mean2, covariance2) == pytest.approx(expected, rel=1e-6)


def test_fewer_samples_than_dimensions_give_the_distance_in_their_subspace() -> None:
    # Embedding ten dimensions isometrically in a hundred leaves the distance as it is; only the covariances become singular.
    rng = np.random.default_rng(3)
    few, others = rng.standard_normal((40, 10)), rng.standard_normal((40, 10)) * 2
    embedding = np.linalg.qr(rng.standard_normal((100, 100)))[0][:10]
    in_ten = frechet_distance_of_features(few, others)
    assert frechet_distance_of_features(few @ embedding, others @ embedding) == pytest.approx(in_ten, rel=1e-9)


def test_covariances_on_disjoint_axes_give_the_sum_of_their_traces() -> None:
    first, second = np.diag([1.0, 2, 0, 0]), np.diag([0.0, 0, 3, 4])
    assert frechet_distance(np.zeros(4), first, np.zeros(4), second) == pytest.approx(10)


def test_mean_and_covariance_equal_numpys() -> None:
    features = np.random.default_rng(4).standard_normal((50, 7)).astype(np.float32)
    mean, covariance = mean_and_covariance(features)
    np.testing.assert_allclose(mean, features.astype(np.float64).mean(0), rtol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(features.astype(np.float64), rowvar=False), rtol=1e-10)


def test_prefix_moments_equal_the_moments_of_each_prefix() -> None:
    features = np.random.default_rng(0).standard_normal((90, 7)).astype(np.float32) + 1000
    for count, (mean, covariance) in zip((3, 40, 90), prefix_moments(features, (3, 40, 90)), strict=True):
        expected = mean_and_covariance(features[:count])
        np.testing.assert_allclose(mean, expected[0], rtol=1e-12)
        np.testing.assert_allclose(covariance, expected[1], rtol=1e-9, atol=1e-9)
