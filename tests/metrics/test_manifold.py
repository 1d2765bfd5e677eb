"""Precision, recall, density, coverage and realism against loops over all pairs, and where the answer is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.metrics import neighbours
from pipeline.metrics.manifold import Overlap, build_manifold, overlap


def _measured(real: NDArray[np.float64], samples: NDArray[np.float64], k: int) -> Overlap:
    return overlap(build_manifold(real, k), build_manifold(samples, k))


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.sqrt(((one - other) ** 2).sum()))


def _radii(points: NDArray[np.float64], k: int) -> list[float]:
    return [
        sorted(_distance(point, other) for n, other in enumerate(points) if n != m)[k - 1] for m, point in enumerate(points)
    ]


def _by_loops(
    real: NDArray[np.float64], samples: NDArray[np.float64], k: int
) -> tuple[float, float, float, float, list[float]]:
    radii, sample_radii = _radii(real, k), _radii(samples, k)
    inside = [[_distance(sample, point) <= radius for point, radius in zip(real, radii, strict=True)] for sample in samples]
    recalled = [any(_distance(p, s) <= r for s, r in zip(samples, sample_radii, strict=True)) for p in real]
    middle = sorted(radii)[(len(radii) - 1) // 2]
    realism = [max(r / _distance(s, p) for p, r in zip(real, radii, strict=True) if r <= middle * (1 + 1e-6)) for s in samples]
    return (
        sum(any(row) for row in inside) / len(samples),
        sum(recalled) / len(real),
        sum(sum(row) for row in inside) / (k * len(samples)),
        sum(any(row[n] for row in inside) for n in range(len(real))) / len(real),
        realism,
    )


@pytest.mark.parametrize(("k", "counts"), [(3, (60, 60)), (1, (50, 40)), (5, (30, 61))])
def test_scores_equal_loops_over_all_pairs(k: int, counts: tuple[int, int]) -> None:
    rng = np.random.default_rng(k)
    real, samples = rng.standard_normal((counts[0], 3)), rng.standard_normal((counts[1], 3)) * 0.8 + 1.4
    found = _measured(real, samples, k)
    precision, recall, density, coverage, realism = _by_loops(real, samples, k)
    assert found.scores == pytest.approx({"precision": precision, "recall": recall, "density": density, "coverage": coverage})
    np.testing.assert_allclose(found.realism, realism, rtol=1e-9)
    assert 0 < precision < 1


def test_scores_do_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    real, samples = rng.standard_normal((100, 4)), rng.standard_normal((90, 4)) + 0.5
    whole = _measured(real, samples, 3)
    monkeypatch.setattr(neighbours, "BLOCK_ELEMENTS", 700)  # seven rows at a time, the last block shorter
    blocks = _measured(real, samples, 3)
    assert blocks.scores == whole.scores
    np.testing.assert_allclose(blocks.realism, whole.realism, rtol=1e-12)


def test_distant_sets_score_zero() -> None:
    features = np.random.default_rng(3).standard_normal((50, 6))
    found = _measured(features, features + 100, 3)
    assert found.scores == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}
    assert found.realism.max() < 1


def test_mode_collapse_has_full_precision_and_almost_no_recall() -> None:
    real = np.random.default_rng(4).standard_normal((200, 6))
    found = _measured(real, real[:1] + np.random.default_rng(5).normal(0, 1e-3, (200, 6)), 3)
    assert found.scores["precision"] == 1
    assert found.scores["recall"] <= 2 / 200
    assert found.scores["coverage"] < 0.2


def test_k_is_at_most_the_number_of_other_points() -> None:
    real, samples = np.arange(8.0).reshape(4, 2), np.arange(8.0).reshape(4, 2) + 0.5
    assert build_manifold(real, 9).k == 3
    assert _measured(real, samples, 9).scores["precision"] == 1
