"""± by drawing pictures again: closed forms against resampling, and against the spread of sets that were really drawn anew."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.metrics import bootstrap
from pipeline.metrics.frechet import frechet_distance_of_features
from pipeline.metrics.kernel import drawn_subsets, kernel_distances
from pipeline.metrics.neighbours import mean_distances
from pipeline.metrics.scores import ScoreSettings, deviations_of, measure, statistics_of

SETTINGS = ScoreSettings(neighbours=3, kid_subsets=60, kid_subset_size=40, fd_counts=(), bootstraps=40, seed=0)


def _set(seed: int, count: int = 400, shift: float = 0.0) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).standard_normal((count, 6)) + shift).astype(np.float32)


def test_the_deviation_of_a_mean_is_what_resampling_gives() -> None:
    parts = np.random.default_rng(0).random(200) ** 3
    resampled = bootstrap.deviation_of(lambda rows: float(rows.mean()), (parts,), 4000, 1)
    assert bootstrap.deviation_of_mean(parts) == pytest.approx(resampled, rel=0.05)


def test_the_deviation_of_a_mean_over_pairs_is_that_over_new_sets() -> None:
    spread = np.std([mean_distances(_set(seed, 100)).mean() for seed in range(200)], ddof=1)
    assert bootstrap.deviation_of_pairs(mean_distances(_set(999, 100))) == pytest.approx(spread, rel=0.3)


def test_the_deviation_of_subsets_is_that_over_new_sets() -> None:
    drawn = drawn_subsets((400, 400), 60, 40, 0)
    spread = np.std([kernel_distances(_set(n), _set(n + 500, shift=0.4), drawn).mean() for n in range(60)], ddof=1)
    found = bootstrap.deviation_of_subsets(kernel_distances(_set(900), _set(901, shift=0.4), drawn), 40, 400)
    assert found == pytest.approx(spread, rel=0.5)


def test_the_distances_deviation_is_that_over_new_sets() -> None:
    distances = [frechet_distance_of_features(_set(n), _set(n + 500, shift=0.4)) for n in range(100)]
    samples, reference = _set(901, shift=0.4), statistics_of(_set(900), SETTINGS)
    found = deviations_of(reference, samples, measure(reference, samples, SETTINGS), SETTINGS)
    assert found["fd"] == pytest.approx(np.std(distances, ddof=1), rel=0.5)
    assert found.keys() == {"fd", "kid", "precision", "recall", "density", "coverage"}


def test_the_same_seed_draws_the_same_rows_and_leaves_numpys_alone() -> None:
    np.random.seed(3)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    first, again = (list(bootstrap.resamples((9, 5), 3, 1)) for _ in range(2))
    assert np.random.random() == expected  # noqa: NPY002
    for mine, yours in zip(first, again, strict=True):
        assert [len(rows) for rows in mine] == [9, 5]
        for one, other in zip(mine, yours, strict=True):
            np.testing.assert_array_equal(one, other)


def test_where_there_is_nothing_to_draw_there_is_no_deviation() -> None:
    assert bootstrap.deviation_of_subsets(np.ones(5), 40, 40) is None
    assert bootstrap.deviation_of(lambda rows: float(rows.mean()), (np.ones(5),), 1, 0) is None
