"""± and bias of scores: closed forms against resampling, and against the spread over independent sets."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.metrics import sampling_error
from pipeline.metrics.frechet import frechet_distance, frechet_distance_of_features, prefix_moments
from pipeline.metrics.kernel import draw_subsets, kernel_distances
from pipeline.metrics.neighbours import mean_distances_to_others
from pipeline.metrics.scores import ScoreSettings, bootstrap_deviations, reference_statistics, score_samples

DIM = 16
SHIFT = 0.5
SETTINGS = ScoreSettings(neighbours=3, kid_subsets=60, kid_subset_size=40, fd_counts=(), bootstraps=40, seed=0)


def _set(seed: int, count: int = 400, shift: float = 0.0) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).standard_normal((count, 6)) + shift).astype(np.float32)


def test_deviation_of_mean_equals_resampling() -> None:
    parts = np.random.default_rng(0).random(200) ** 3
    resampled = sampling_error.bootstrap_deviation(lambda rows: float(rows.mean()), (parts,), 4000, 1)
    assert sampling_error.deviation_of_mean(parts) == pytest.approx(resampled, rel=0.05)


def test_deviation_of_pairs_equals_the_spread_over_new_sets() -> None:
    spread = np.std([mean_distances_to_others(_set(seed, 100)).mean() for seed in range(200)], ddof=1)
    assert sampling_error.deviation_of_pairs(mean_distances_to_others(_set(999, 100))) == pytest.approx(spread, rel=0.3)


def test_deviation_of_subsets_equals_the_spread_over_new_sets() -> None:
    drawn = draw_subsets((400, 400), 60, 40, 0)
    spread = np.std([kernel_distances(_set(n), _set(n + 500, shift=0.4), drawn).mean() for n in range(60)], ddof=1)
    found = sampling_error.deviation_of_subsets(kernel_distances(_set(900), _set(901, shift=0.4), drawn), 40, 400)
    assert found == pytest.approx(spread, rel=0.5)


def test_deviation_of_the_frechet_distance_equals_the_spread_over_new_sets() -> None:
    distances = [frechet_distance_of_features(_set(n), _set(n + 500, shift=0.4)) for n in range(100)]
    samples, reference = _set(901, shift=0.4), reference_statistics(_set(900), SETTINGS)
    found = bootstrap_deviations(reference, samples, score_samples(reference, samples, SETTINGS), SETTINGS)
    assert found["fd"] == pytest.approx(np.std(distances, ddof=1), rel=0.5)
    assert found.keys() == {"fd", "kid", "precision", "recall", "density", "coverage"}


def test_resamples_are_seeded_and_leave_numpys_global_state_alone() -> None:
    np.random.seed(3)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    first, again = (list(sampling_error.resamples((9, 5), 3, 1)) for _ in range(2))
    assert np.random.random() == expected  # noqa: NPY002
    for draw, other in zip(first, again, strict=True):
        assert [len(rows) for rows in draw] == [9, 5]
        for rows, other_rows in zip(draw, other, strict=True):
            np.testing.assert_array_equal(rows, other_rows)


def test_deviation_without_resamples_is_none() -> None:
    assert sampling_error.deviation_of_subsets(np.ones(5), 40, 40) is None
    assert sampling_error.bootstrap_deviation(lambda rows: float(rows.mean()), (np.ones(5),), 1, 0) is None


def _gaussian(seed: int, count: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((count, DIM)) + SHIFT / DIM**0.5


def test_extrapolation_is_exact_for_a_distance_linear_in_one_over_the_count() -> None:
    assert sampling_error.extrapolate_to_infinity({count: 3 + 70 / count for count in (100, 130, 500)}) == pytest.approx(
        (3, 70), rel=1e-12
    )


def test_extrapolated_distance_of_known_gaussians_is_unbiased() -> None:
    # Unit covariances, means apart by SHIFT: the distance is SHIFT². Of few pictures it comes out larger.
    few, extrapolated = [], []
    for seed in range(40):
        counts = (150, 200, 300)
        moments = prefix_moments(_gaussian(seed, counts[-1]), counts)
        distances = [frechet_distance(np.zeros(DIM), np.eye(DIM), *of) for of in moments]
        few.append(distances[-1])
        extrapolated.append(sampling_error.extrapolate_to_infinity(dict(zip(counts, distances, strict=True)))[0])
    error = np.std(extrapolated) / np.sqrt(len(extrapolated))
    assert abs(np.mean(extrapolated) - SHIFT**2) < 4 * error
    assert np.mean(few) - SHIFT**2 > 8 * error


def test_frechet_by_count_shuffles_the_samples() -> None:
    # Two categories in a row, as evaluate draws them: each is far from both together.
    samples = np.concatenate([_gaussian(0, 200) - 4, _gaussian(1, 200) + 4]).astype(np.float32)
    settings = ScoreSettings(neighbours=3, kid_subsets=1, kid_subset_size=10, fd_counts=(200,), bootstraps=0, seed=0)
    by_count = score_samples(reference_statistics(samples, settings), samples, settings).fd_by_count
    assert list(by_count) == [200, 400]
    assert by_count[200] < 1


def test_without_fd_counts_there_is_no_fd_infinity() -> None:
    samples = _gaussian(0, 50).astype(np.float32)
    settings = ScoreSettings(neighbours=3, kid_subsets=1, kid_subset_size=10, fd_counts=(), bootstraps=0, seed=0)
    assert "fd_infinity" not in score_samples(reference_statistics(samples, settings), samples, settings).values
