"""The classifier learns, is reproducible, and survives saving and loading; the inception score of its answers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.errors import InputError
from pipeline.metrics.classifier import (
    CARD,
    FEATURES,
    WEIGHTS,
    Classifier,
    accuracy,
    classifier_sha256,
    halvings,
    inception_score,
    load_classifier,
    save_classifier,
    train_classifier,
)


def _images(count: int, side: int = 16, channels: int = 1, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Noise with a bright top, a bright bottom, or neither."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 3
    images = rng.integers(0, 120, (count, side, side, channels), dtype=np.uint8)
    images[labels == 1, : side // 2] += 90
    images[labels == 2, side // 2 :] += 90
    return images, labels


def _trained(seed: int = 0, epochs: int = 6, threads: int = 1) -> Classifier:
    images, labels = _images(96)
    return train_classifier(images, labels, 3, seed=seed, epochs=epochs, batch_size=16, threads=threads)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return _trained()


def test_classifier_learns(classifier: Classifier) -> None:
    unseen, labels = _images(90, seed=1)
    assert accuracy(classifier.probabilities(unseen), labels) > 0.95


def test_features_and_probabilities_have_the_documented_shapes(classifier: Classifier) -> None:
    images, _ = _images(7)
    features, probabilities = classifier.features(images), classifier.probabilities(images)
    assert (features.shape, features.dtype) == ((7, FEATURES), np.float32)
    assert features.min() >= 0
    assert probabilities.shape == (7, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(probabilities, softmax(classifier.logits(features), axis=1), rtol=1e-6)


def test_logits_of_features_equal_those_of_the_whole_network(classifier: Classifier) -> None:
    images, _ = _images(5)
    whole = classifier.network(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1)
    np.testing.assert_allclose(classifier.logits(classifier.features(images)), whole.numpy(), rtol=1e-4, atol=1e-5)


def test_weights_depend_on_the_seed_only(classifier: Classifier, tmp_path: Path) -> None:
    digests = []
    for name, trained in (("first", classifier), ("again", _trained()), ("other", _trained(seed=1))):
        (tmp_path / name).mkdir()
        save_classifier(tmp_path / name, trained)
        digests.append(classifier_sha256(tmp_path / name))
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_training_restores_torchs_random_state_and_threads() -> None:
    torch.manual_seed(5)
    expected, threads = torch.rand(3), torch.get_num_threads()
    torch.manual_seed(5)
    _trained(epochs=1, threads=3)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_features_do_not_depend_on_the_batch_or_the_order(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    images, _ = _images(40)
    features = classifier.features(images)
    monkeypatch.setattr("pipeline.metrics.classifier.INFERENCE_BATCH", 7)
    np.testing.assert_allclose(classifier.features(images), features, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(classifier.features(images[::-1])[::-1], features, rtol=1e-4, atol=1e-5)


def test_load_restores_what_save_wrote(classifier: Classifier, tmp_path: Path) -> None:
    images, _ = _images(20)
    save_classifier(tmp_path, classifier)
    again = load_classifier(tmp_path)
    assert again.card == classifier.card
    np.testing.assert_array_equal(again.features(images), classifier.features(images))


@pytest.mark.parametrize("name", [WEIGHTS, CARD])
def test_damaged_file_raises_input_error(classifier: Classifier, tmp_path: Path, name: str) -> None:
    save_classifier(tmp_path, classifier)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="run reference again"):
        load_classifier(tmp_path)


@pytest.mark.parametrize(("height", "width", "channels"), [(16, 16, 3), (33, 20, 1), (64, 64, 3), (16, 128, 1)])
def test_images_of_any_shape_are_accepted(height: int, width: int, channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, height, width, channels), dtype=np.uint8)
    trained = train_classifier(images, np.arange(6) % 2, 2, seed=0, epochs=1, batch_size=4, threads=1)
    assert trained.features(images).shape == (6, FEATURES)


@pytest.mark.parametrize(("side", "times"), [(16, 2), (28, 3), (32, 3), (64, 4), (256, 6)])
def test_halvings_leave_about_four_cells(side: int, times: int) -> None:
    assert halvings(side, side) == times


def test_one_image_raises_input_error() -> None:
    images, labels = _images(1)
    with pytest.raises(InputError, match="train split"):
        train_classifier(images, labels, 3, seed=0, epochs=1)


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 5])
def test_training_works_for_any_number_of_steps(epochs: int) -> None:
    images, labels = _images(3)
    trained = train_classifier(images, labels, 3, seed=0, epochs=epochs, batch_size=16, threads=1)
    assert np.isfinite(trained.probabilities(images)).all()


def test_inception_score_of_known_cases() -> None:
    assert inception_score(np.full((9, 4), 0.25)) == pytest.approx(1)
    assert inception_score(np.tile(np.eye(4), (5, 1))) == pytest.approx(4)
    assert inception_score(np.tile([[1.0, 0, 0]], (5, 1))) == pytest.approx(1)
    # Two categories, each row right with probability p: log 2 minus the entropy of p.
    p = 0.9
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    assert inception_score(np.array([[p, 1 - p], [1 - p, p]])) == pytest.approx(2 * np.exp(-entropy))
