"""The scores equal torch-fidelity's own functions on the same features, and depend on neither order, batches nor threads."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from pipeline.metrics import neighbours
from pipeline.metrics.classifier import inception_score, softmax
from pipeline.metrics.frechet import frechet_distance_of_features
from pipeline.metrics.kernel import draw_subsets, kernel_distances
from pipeline.metrics.manifold import build_manifold, overlap
from pipeline.metrics.scores import ExtractorScores, ScoreSettings, reference_statistics, score_samples

COUNT, DIM = 400, 48
SETTINGS = ScoreSettings(neighbours=3, kid_subsets=5, kid_subset_size=COUNT, fd_counts=(), bootstraps=0, seed=0)


def _measured(real: NDArray[np.float32], samples: NDArray[np.float32], settings: ScoreSettings = SETTINGS) -> ExtractorScores:
    return score_samples(reference_statistics(real, settings), samples, settings)


def _features(seed: int, count: int = COUNT) -> NDArray[np.float32]:
    """Rectified, correlated numbers, as pooled features are."""
    mixing = np.random.default_rng(99).standard_normal((DIM, DIM)) / DIM**0.5
    rows = np.random.default_rng(seed).standard_normal((count, DIM)) @ mixing
    return np.maximum(rows + 0.2 * seed, 0).astype(np.float32)


@pytest.fixture(scope="module")
def real() -> NDArray[np.float32]:
    return _features(0)


@pytest.fixture(scope="module")
def samples() -> NDArray[np.float32]:
    return _features(1, 350)


@pytest.fixture(autouse=True)
def _as_many_threads_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("splits", [1, 10])
def test_the_inception_score_is_torch_fidelitys(splits: int) -> None:
    scores = 3 * np.random.default_rng(0).standard_normal((COUNT, 10)).astype(np.float32)
    theirs = isc_features_to_metric(torch.tensor(scores), splits=splits, shuffle=False)["inception_score_mean"]
    ours = np.mean([inception_score(softmax(part)) for part in np.split(scores, splits)])
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert theirs > 2


def test_the_kernel_distance_is_torch_fidelitys(real: NDArray[np.float32], samples: NDArray[np.float32]) -> None:
    drawn = {"kid_subsets": 6, "kid_subset_size": 100, "rng_seed": 7, "verbose": False}
    theirs = kid_features_to_metric(torch.tensor(samples), torch.tensor(real), **drawn)
    ours = kernel_distances(real, samples, draw_subsets((350, COUNT), 6, 100, 7))
    assert ours.mean() == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-4)
    assert ours.std() == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-4)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_and_recall_are_torch_fidelitys(real: NDArray[np.float32], samples: NDArray[np.float32], k: int) -> None:
    theirs = prc_features_to_metric(torch.tensor(samples), torch.tensor(real), prc_neighborhood=k, verbose=False)
    ours = overlap(build_manifold(real, k), build_manifold(samples, k))
    assert ours.scores["precision"] == pytest.approx(theirs["precision"], rel=1e-4)
    assert ours.scores["recall"] == pytest.approx(theirs["recall"], rel=1e-4)
    assert 0 < ours.scores["recall"] < 1


def test_the_frechet_distance_is_torch_fidelitys(real: NDArray[np.float32], samples: NDArray[np.float32]) -> None:
    moments = [fid_features_to_statistics(torch.tensor(rows, dtype=torch.float64)) for rows in (samples, real)]
    theirs = fid_statistics_to_metric(*moments, verbose=False)["frechet_inception_distance"]
    assert frechet_distance_of_features(real, samples) == pytest.approx(theirs, rel=1e-6)


def test_identical_sets_score_nothing_and_everything(real: NDArray[np.float32]) -> None:
    scores = _measured(real, real).values
    assert scores["fd"] == pytest.approx(0, abs=1e-6)
    # Of one set against itself the unbiased estimate is below zero, for its diagonal is left out on one side alone.
    assert scores["kid"] <= 0
    assert (scores["precision"], scores["recall"], scores["coverage"]) == (1, 1, 1)


def test_the_order_of_pictures_does_not_matter(real: NDArray[np.float32], samples: NDArray[np.float32]) -> None:
    numbers = np.random.default_rng(3)
    settings = ScoreSettings(neighbours=3, kid_subsets=1, kid_subset_size=350, fd_counts=(), bootstraps=0, seed=0)
    real = real[:350]
    straight = _measured(real, samples, settings)
    order = numbers.permutation(len(samples))
    shuffled = _measured(numbers.permutation(real), samples[order], settings)
    assert shuffled.values == pytest.approx(straight.values, rel=1e-6)
    np.testing.assert_allclose(shuffled.overlap.realism, straight.overlap.realism[order], rtol=1e-4)


def test_kids_subsets_agree_in_any_order_within_their_spread(real: NDArray[np.float32], samples: NDArray[np.float32]) -> None:
    drawn = draw_subsets((350, COUNT), 40, 100, 0)
    straight = kernel_distances(real, samples, drawn)
    shuffled = kernel_distances(real, np.random.default_rng(4).permutation(samples), drawn)
    assert straight.mean() != shuffled.mean()
    assert abs(straight.mean() - shuffled.mean()) < 4 * straight.std() / np.sqrt(20)


def test_neither_blocks_nor_threads_matter(
    real: NDArray[np.float32], samples: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    alone = _measured(real, samples)
    monkeypatch.setattr(neighbours, "BLOCK_ELEMENTS", 37 * COUNT)
    torch.set_num_threads(3)
    together = _measured(real, samples)
    assert together.values == pytest.approx(alone.values, rel=1e-6)
    np.testing.assert_allclose(together.overlap.realism, alone.overlap.realism, rtol=1e-4)
