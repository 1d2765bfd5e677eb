"""The kernel distance: equal to clean-fid on the same subsets, and unbiased."""

from itertools import permutations, product

import numpy as np
import pytest
from cleanfid.fid import kernel_distance as clean_fid_distance
from numpy.typing import NDArray

from pipeline.metrics.kernel import draw_subsets, kernel_distances, subset_means


def _features(seed: int, count: int, dim: int, shift: float = 0.0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((count, dim)) + shift


def _distances(
    real: NDArray[np.floating], samples: NDArray[np.floating], subsets: int, size: int, seed: int = 0
) -> NDArray[np.float64]:
    return kernel_distances(real, samples, draw_subsets((len(samples), len(real)), subsets, size, seed))


@pytest.mark.parametrize("counts", [(300, 300), (120, 300), (300, 50)])
def test_distance_equals_clean_fid_on_the_same_subsets(counts: tuple[int, int]) -> None:
    real, samples = _features(0, counts[0], 24), _features(1, counts[1], 24, 0.3)
    np.random.seed(7)  # noqa: NPY002
    expected = clean_fid_distance(real, samples, num_subsets=6, max_subset_size=100)
    distances = _distances(real, samples, 6, 100, 7)
    assert distances.shape == (6,)
    assert distances.mean() == pytest.approx(expected, rel=1e-9)


def test_single_precision_features_keep_six_digits() -> None:
    real, samples = _features(0, 500, 64), _features(1, 500, 64, 0.3)
    exact = _distances(real, samples, 3, 200)
    single = _distances(real.astype(np.float32), samples.astype(np.float32), 3, 200)
    np.testing.assert_allclose(single, exact, rtol=1e-6)


def test_one_subset_is_the_sum_over_pairs() -> None:
    samples, real = _features(2, 4, 3), _features(3, 4, 3)

    def kernel(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        return float((x @ y / 3 + 1) ** 3)

    within = sum(kernel(a, b) for rows in (samples, real) for a, b in permutations(rows, 2)) / 12
    across = sum(kernel(a, b) for a, b in product(samples, real)) / 16
    assert _distances(real, samples, 1, 4) == pytest.approx(within - 2 * across, rel=1e-12)


def test_distance_of_equal_distributions_is_unbiased_around_zero() -> None:
    distances = [_distances(_features(seed + 1000, 40, 8), _features(seed, 40, 8), 1, 40)[0] for seed in range(200)]
    error = np.std(distances) / np.sqrt(len(distances))
    assert min(distances) < 0 < max(distances)
    assert abs(np.mean(distances)) < 4 * error


def test_numpys_global_state_is_left_alone() -> None:
    np.random.seed(3)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    _distances(_features(0, 30, 4), _features(1, 30, 4), 2, 10)
    assert np.random.random() == expected  # noqa: NPY002


def test_known_means_within_the_reference_give_the_same_distances() -> None:
    real, samples = _features(0, 60, 8), _features(1, 50, 8, 0.3)
    drawn = draw_subsets((50, 60), 4, 20, 0)
    known = subset_means(real, [rows for _, rows in drawn])
    np.testing.assert_array_equal(kernel_distances(real, samples, drawn, known), kernel_distances(real, samples, drawn))
