"""The extractors: resizing as in clean-fid, onnxruntime against torch, verified Inception weights, and their documentation."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from cleanfid.resize import make_resizer
from numpy.typing import NDArray

from pipeline.errors import InputError, SourceError
from pipeline.imaging.efficientnet import EfficientLite0, weights_path
from pipeline.metrics import extractors
from pipeline.metrics.classifier import train_classifier
from pipeline.metrics.extractors import (
    PRETRAINED,
    Extractor,
    classifier_extractor,
    efflite0,
    inception,
    inception_weights,
    resize_rgb,
    to_float_nchw,
)
from pipeline.storage.files import sha256_of_file
from tests.support.project import ROOT
from tests.support.web_server import Reply, serving

CPU = torch.device("cpu")


def _images(count: int, height: int = 32, width: int = 32, channels: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels), dtype=np.uint8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exported") / "efflite0.onnx"


@pytest.fixture(scope="module")
def extractor(exported: Path) -> Extractor:
    return efflite0(32, exported=exported, threads=1, device=CPU)


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
@pytest.mark.parametrize(("height", "width", "side"), [(32, 32, 64), (32, 32, 299), (100, 70, 48), (64, 64, 64)])
def test_resize_rgb_equals_clean_fid(height: int, width: int, side: int) -> None:
    images = _images(2, height, width, 3)
    resizer = make_resizer("PIL", False, "bicubic", (side, side))
    expected = np.stack([resizer(image) for image in images]).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(resize_rgb(to_float_nchw(images), side, CPU).numpy(), expected, atol=1e-3)  # of 255


def test_grey_images_get_three_equal_channels() -> None:
    resized = resize_rgb(to_float_nchw(_images(3)), 40, CPU)
    assert resized.shape == (3, 3, 40, 40)
    assert torch.equal(resized[:, 0], resized[:, 2])


def test_onnxruntime_gives_the_features_of_torch(extractor: Extractor) -> None:
    images = _images(5, 40, 30, 3)
    with torch.inference_mode():
        expected = EfficientLite0(32)(resize_rgb(to_float_nchw(images), 32, CPU)).numpy()
    features = extractor.features(images)
    assert (features.shape, features.dtype) == ((5, 1280), np.float32)
    np.testing.assert_allclose(features, expected, atol=1e-4)
    assert features.std(axis=0).max() > 0.1


def test_features_do_not_depend_on_the_batch_or_the_order(extractor: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    images = _images(20)
    features = extractor.features(images)
    monkeypatch.setattr(extractors, "BATCH", 7)
    np.testing.assert_allclose(extractor.features(images), features, atol=1e-5)
    np.testing.assert_allclose(extractor.features(images[::-1])[::-1], features, atol=1e-5)


def test_efflite0_is_exported_once(extractor: Extractor, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extractors, "_export_onnx", lambda *_: pytest.fail("exported again"))
    again = efflite0(32, exported=exported, threads=1, device=CPU)
    np.testing.assert_array_equal(again.features(_images(3)), extractor.features(_images(3)))
    assert extractor.weights_sha256 == sha256_of_file(weights_path())


def test_without_inception_weights_there_is_a_reason(tmp_path: Path) -> None:
    reason = inception_weights(None, tmp_path)
    assert isinstance(reason, str)
    assert "reference.inception_weights" in reason


def test_inception_weights_are_downloaded_once_and_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"the network" * 1000
    monkeypatch.setattr(extractors, "INCEPTION_SHA256", hashlib.sha256(content).hexdigest())
    with serving({"/inception.pt": Reply(content)}) as server:
        monkeypatch.setattr(extractors, "INCEPTION_URL", f"{server.url}/inception.pt")
        for _ in range(2):
            found = inception_weights("download", tmp_path)
            assert isinstance(found, Path)
            assert found.read_bytes() == content
        assert server.paths() == ["/inception.pt"]


def test_download_with_another_sha256_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving({"/inception.pt": Reply(b"a page that says sorry")}) as server:
        monkeypatch.setattr(extractors, "INCEPTION_URL", f"{server.url}/inception.pt")
        with pytest.raises(SourceError, match=r"reference\.inception_weights"):
            inception_weights("download", tmp_path)
    assert not (tmp_path / extractors.INCEPTION_FILE).exists()


def test_inception_weights_with_another_sha256_are_refused(tmp_path: Path) -> None:
    (tmp_path / "inception.pt").write_bytes(b"another network")
    with pytest.raises(InputError, match=r"inception\.pt: .*reference\.inception_weights"):
        inception_weights(str(tmp_path / "inception.pt"), tmp_path)


class _Layers(torch.nn.Module):
    """In place of Inception's layers: 2,048 numbers per image, from the mean of each channel."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.mean((2, 3)).repeat(1, 683)[:, :2048]


class _Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = _Layers()

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.layers(pictures)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning", "ignore:`torch.jit:FutureWarning")
def test_inception_runs_through_clean_fids_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / "renamed.pt"
    torch.jit.script(_Network()).save(weights)
    monkeypatch.setattr(extractors, "INCEPTION_SHA256", hashlib.sha256(weights.read_bytes()).hexdigest())
    found = inception_weights(str(weights), tmp_path)
    assert found == weights
    images = _images(3, channels=3)
    features = inception(weights, device=CPU).features(images)
    assert features.shape == (3, 2048)
    expected = (resize_rgb(to_float_nchw(images), 299, CPU).mean((2, 3)).numpy() - 128) / 128
    np.testing.assert_allclose(features[:, :3], expected, atol=1e-5)


def test_classifier_extractor_gives_the_classifiers_features() -> None:
    images = _images(12, 16, 16)
    classifier = train_classifier(images, np.arange(12) % 2, 2, seed=0, epochs=1, batch_size=4, threads=1)
    extractor = classifier_extractor(classifier, "ab" * 32)
    assert (extractor.name, extractor.height_px, extractor.resize_filter) == ("classifier", 16, "none")
    np.testing.assert_allclose(extractor.features(images), classifier.features(images), rtol=1e-5, atol=1e-6)


def test_extract_accepts_floats_between_bytes(extractor: Extractor) -> None:
    images = _images(4, 40, 30, 3)
    np.testing.assert_array_equal(extractor.extract(to_float_nchw(images)), extractor.features(images))
    moved = extractor.extract(to_float_nchw(images) + 1e-3)
    assert 0 < np.abs(moved - extractor.features(images)).max() < 1e-2


@pytest.mark.parametrize("name", sorted(PRETRAINED))
def test_extractor_has_its_row_in_docs_metrics(name: str) -> None:
    rows = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8").splitlines()
    assert f"| `{name}` | {PRETRAINED[name].description} |" in rows
