"""Scores equal those of torch-fidelity on the same features, and do not depend on the order or on the number of threads."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from pipeline.metrics.classifier import inception_score
from pipeline.metrics.kernel import draw_subsets, kernel_distances
from pipeline.metrics.manifold import build_manifold, overlap
from pipeline.metrics.scores import ExtractorScores, ScoreSettings, reference_statistics, score_samples

COUNT, DIM = 400, 48
SETTINGS = ScoreSettings(neighbours=3, kid_subsets=5, kid_subset_size=COUNT, fd_counts=(), bootstraps=0, seed=0)


def _measured(real: NDArray[np.float32], samples: NDArray[np.float32], settings: ScoreSettings = SETTINGS) -> ExtractorScores:
    return score_samples(reference_statistics(real, settings), samples, settings)


def _features(seed: int, count: int = COUNT) -> NDArray[np.float32]:
    """Features (N, D), rectified and correlated like pooled activations."""
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
def _restore_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("splits", [1, 10])
def test_inception_score_equals_torch_fidelity(splits: int) -> None:
    scores = 3 * np.random.default_rng(0).standard_normal((COUNT, 10)).astype(np.float32)
    theirs = isc_features_to_metric(torch.tensor(scores), splits=splits, shuffle=False)["inception_score_mean"]
    ours = np.mean([inception_score(softmax(part, axis=1)) for part in np.split(scores, splits)])
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert theirs > 2


def test_kernel_distance_equals_torch_fidelity(real: NDArray[np.float32], samples: NDArray[np.float32]) -> None:
    drawn = {"kid_subsets": 6, "kid_subset_size": 100, "rng_seed": 7, "verbose": False}
    theirs = kid_features_to_metric(torch.tensor(samples), torch.tensor(real), **drawn)
    ours = kernel_distances(real, samples, draw_subsets((350, COUNT), 6, 100, 7))
    assert ours.mean() == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-4)
    assert ours.std() == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-4)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_and_recall_equal_torch_fidelity(real: NDArray[np.float32], samples: NDArray[np.float32], k: int) -> None:
    theirs = prc_features_to_metric(torch.tensor(samples), torch.tensor(real), prc_neighborhood=k, verbose=False)
    ours = overlap(build_manifold(real, k), build_manifold(samples, k))
    assert ours.scores["precision"] == pytest.approx(theirs["precision"], rel=1e-4)
    assert ours.scores["recall"] == pytest.approx(theirs["recall"], rel=1e-4)
    assert 0 < ours.scores["recall"] < 1


def test_identical_sets_have_distance_zero_and_full_overlap(real: NDArray[np.float32]) -> None:
    scores = _measured(real, real).values
    assert scores["fd"] == pytest.approx(0, abs=1e-6)
    # The unbiased estimate leaves out the diagonal within each set but not between them, so for equal sets it is negative.
    assert scores["kid"] <= 0
    assert (scores["precision"], scores["recall"], scores["coverage"]) == (1, 1, 1)


def test_scores_do_not_depend_on_the_order(real: NDArray[np.float32], samples: NDArray[np.float32]) -> None:
    rng = np.random.default_rng(3)
    settings = ScoreSettings(neighbours=3, kid_subsets=1, kid_subset_size=350, fd_counts=(), bootstraps=0, seed=0)
    real = real[:350]
    in_order = _measured(real, samples, settings)
    order = rng.permutation(len(samples))
    shuffled = _measured(rng.permutation(real), samples[order], settings)
    assert shuffled.values == pytest.approx(in_order.values, rel=1e-6)
    np.testing.assert_allclose(shuffled.overlap.realism, in_order.overlap.realism[order], rtol=1e-4)


def test_kid_of_shuffled_samples_agrees_within_its_standard_error(
    real: NDArray[np.float32], samples: NDArray[np.float32]
) -> None:
    drawn = draw_subsets((350, COUNT), 40, 100, 0)
    in_order = kernel_distances(real, samples, drawn)
    shuffled = kernel_distances(real, np.random.default_rng(4).permutation(samples), drawn)
    assert in_order.mean() != shuffled.mean()
    assert abs(in_order.mean() - shuffled.mean()) < 4 * in_order.std() / np.sqrt(20)


def test_scores_do_not_depend_on_the_number_of_threads(real: NDArray[np.float32], samples: NDArray[np.float32]) -> None:
    torch.set_num_threads(1)
    one_thread = _measured(real, samples)
    torch.set_num_threads(3)
    three_threads = _measured(real, samples)
    assert three_threads.values == pytest.approx(one_thread.values, rel=1e-6)
    np.testing.assert_allclose(three_threads.overlap.realism, one_thread.overlap.realism, rtol=1e-4)
