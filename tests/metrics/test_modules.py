"""Any torch module as an extractor, and Inception's 768 features if its weights are present."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import ParamsError
from pipeline.metrics.extractors import Extractor, resize_rgb, to_float_nchw
from pipeline.metrics.modules import build_module, module_extractor, weights_sha256

CPU = torch.device("cpu")
WEIGHTS = Path(__file__).parents[3] / "shared" / "data" / "weights" / "inception2015_trunk_fp32.pth"
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 40, 30, 3), dtype=np.uint8)


def _extractor(**changes: Any) -> Extractor:
    options = {"name": "mine", "build": "tests.metrics.test_modules:maps", "arguments": {"channels": 5}, "side_px": 32}
    options |= {"mean": [0.5, 0.4, 0.3], "deviation": [0.5, 0.2, 0.1], "device": CPU}
    return module_extractor(**{**options, **changes})


def maps(channels: int) -> nn.Module:
    return nn.Conv2d(3, channels, 3)


def rows() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def refuses() -> nn.Module:
    raise KeyError("no weights")


class Pair(nn.Module):
    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        return pictures, pictures


def test_feature_maps_are_averaged_over_positions() -> None:
    extractor = _extractor()
    pictures = resize_rgb(to_float_nchw(IMAGES), 32, CPU) / 255
    pictures = (pictures - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / torch.tensor([0.5, 0.2, 0.1])[:, None, None]
    expected = build_module("tests.metrics.test_modules:maps", {"channels": 5})(pictures).mean((2, 3)).numpy()
    np.testing.assert_allclose(extractor.features(IMAGES), expected, atol=1e-5)
    assert (extractor.name, extractor.features(IMAGES).shape) == ("mine", (6, 5))


def test_feature_rows_stay_as_they_are() -> None:
    features = _extractor(build="tests.metrics.test_modules:rows", arguments={}).features(IMAGES)
    assert features.shape == (6, 3)


def test_passport_entry_depends_on_weights_and_scaling() -> None:
    one, again, other = (_extractor(**changes) for changes in ({}, {}, {"arguments": {"channels": 6}}))
    assert one.passport_entry == again.passport_entry
    assert one.weights_sha256 != other.weights_sha256
    assert _extractor(mean=[0.0, 0.0, 0.0]).passport_entry != one.passport_entry


def test_weights_sha256_depends_on_the_numbers() -> None:
    module = maps(2).bfloat16()
    before = weights_sha256(module)
    assert before == weights_sha256(module)
    with torch.no_grad():
        module.get_parameter("bias")[0] += 1
    assert weights_sha256(module) != before


@pytest.mark.parametrize(
    "changes",
    [
        {"build": "tests.nowhere:maps"},
        {"build": "tests.metrics.test_modules:nothing"},
        {"arguments": {"width": 5}},
        {"build": "builtins:dict"},
        {"build": "tests.metrics.test_modules:refuses", "arguments": {}},
    ],
)
def test_module_that_cannot_be_built_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ParamsError, match=rf"reference\.modules: {changes.get('build', '')}"):
        _extractor(**changes)


def test_output_that_is_not_features_is_refused() -> None:
    extractor = _extractor(build="tests.metrics.test_modules:Pair", arguments={})
    with pytest.raises(ParamsError, match=r"reference\.modules: mine .*tuple"):
        extractor.features(IMAGES)


@pytest.mark.skipif(not WEIGHTS.exists(), reason="no Inception trunk in ../shared/data/weights")
def test_inception768_features_change_with_the_images() -> None:
    inception = {
        "name": "inception768",
        "build": "tests.support.inception768:inception768",
        "arguments": {"weights": str(WEIGHTS)},
    }
    extractor = _extractor(**inception, side_px=299, mean=[0.5] * 3, deviation=[0.5] * 3)
    features = extractor.features(IMAGES)
    assert (features.shape, features.dtype) == ((6, 768), np.float32)
    assert features.min() >= 0
    assert features.std(axis=0).max() > 0.05
    darker = extractor.features((IMAGES // 4).astype(np.uint8))
    assert np.linalg.norm(features - darker, axis=1).min() > 0.1 * np.linalg.norm(features, axis=1).max()


@pytest.mark.parametrize(
    ("build", "arguments"),
    [
        ("os:system", {"command": "touch MARK"}),
        ("subprocess:run", {"args": "touch MARK", "shell": True}),
        ("subprocess:Popen", {"args": "touch MARK", "shell": True}),
        ("tests.metrics.test_modules:unannotated", {"path": "MARK"}),
    ],
)
def test_callable_not_annotated_as_a_module_is_not_called(tmp_path: Path, build: str, arguments: dict[str, Any]) -> None:
    mark = tmp_path / "called"
    arguments = {key: value.replace("MARK", str(mark)) if isinstance(value, str) else value for key, value in arguments.items()}
    with pytest.raises(ParamsError, match=rf"reference\.modules: {build} "):
        _extractor(build=build, arguments=arguments)
    assert not mark.exists()


def unannotated(path: str):  # type: ignore[no-untyped-def]
    Path(path).touch()


def test_torchvision_functions_and_module_classes_are_built() -> None:
    for build, arguments in (("torchvision.models:squeezenet1_1", {"num_classes": 2}), ("torch.nn:Flatten", {})):
        assert isinstance(build_module(build, arguments), nn.Module)
