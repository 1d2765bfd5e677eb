"""Any torch module as an extractor; Inception's 768 features where the weights are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import ParamsError
from pipeline.metrics.extractors import as_floats, resized_rgb
from pipeline.metrics.modules import build_module, of_module, weights_sha256_of
from pipeline.metrics.params import ModuleParams

CPU = torch.device("cpu")
WEIGHTS = Path(__file__).parents[3] / "shared" / "data" / "weights" / "inception2015_trunk_fp32.pth"
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 40, 30, 3), dtype=np.uint8)


def _params(**changes: Any) -> ModuleParams:
    plain = {"name": "mine", "build": "tests.metrics.test_modules:maps", "arguments": {"channels": 5}, "side_px": 32}
    return ModuleParams.model_validate({**plain, "mean": [0.5, 0.4, 0.3], "deviation": [0.5, 0.2, 0.1], **changes})


def maps(channels: int) -> nn.Module:
    return nn.Conv2d(3, channels, 3)


def rows() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def refuses() -> nn.Module:
    raise KeyError("no weights")


class Pair(nn.Module):
    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        return pictures, pictures


def test_feature_maps_are_averaged_over_places() -> None:
    extractor = of_module(_params(), CPU)
    pictures = resized_rgb(as_floats(IMAGES), 32, CPU) / 255
    pictures = (pictures - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / torch.tensor([0.5, 0.2, 0.1])[:, None, None]
    expected = build_module(_params())(pictures).mean((2, 3)).numpy()
    np.testing.assert_allclose(extractor.features(IMAGES), expected, atol=1e-5)
    assert (extractor.name, extractor.features(IMAGES).shape) == ("mine", (6, 5))


def test_rows_of_features_are_taken_as_they_are() -> None:
    features = of_module(_params(build="tests.metrics.test_modules:rows", arguments={}), CPU).features(IMAGES)
    assert features.shape == (6, 3)


def test_the_passport_tells_weights_and_scaling_apart() -> None:
    one, again, other = (of_module(_params(**changes), CPU) for changes in ({}, {}, {"arguments": {"channels": 6}}))
    assert one.in_passport == again.in_passport
    assert one.weights_sha256 != other.weights_sha256
    assert of_module(_params(mean=[0.0, 0.0, 0.0]), CPU).in_passport != one.in_passport


def test_the_sha256_is_of_names_and_numbers() -> None:
    module = maps(2).bfloat16()
    before = weights_sha256_of(module)
    assert before == weights_sha256_of(module)
    with torch.no_grad():
        module.get_parameter("bias")[0] += 1
    assert weights_sha256_of(module) != before


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"build": "tests.nowhere:maps"}, "cannot be imported"),
        ({"build": "tests.metrics.test_modules:nothing"}, "cannot be imported"),
        ({"arguments": {"width": 5}}, "unexpected keyword argument"),
        ({"build": "builtins:dict"}, "returns dict, not a torch module"),
        ({"build": "tests.metrics.test_modules:refuses", "arguments": {}}, "refuses: 'no weights'$"),
    ],
)
def test_what_cannot_be_built_is_told(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ParamsError, match=rf"reference\.modules: .*{told}"):
        of_module(_params(**changes), CPU)


def test_what_are_no_features_is_told() -> None:
    extractor = of_module(_params(build="tests.metrics.test_modules:Pair", arguments={}), CPU)
    with pytest.raises(ParamsError, match="mine gives tuple for 6 pictures"):
        extractor.features(IMAGES)


@pytest.mark.skipif(not WEIGHTS.exists(), reason="no Inception trunk in ../shared/data/weights")
def test_inception768_sees_what_changes() -> None:
    inception = {
        "name": "inception768",
        "build": "tests.support.inception768:inception768",
        "arguments": {"weights": str(WEIGHTS)},
    }
    extractor = of_module(_params(**inception, side_px=299, mean=[0.5] * 3, deviation=[0.5] * 3), CPU)
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
def test_what_is_not_said_to_be_a_module_is_not_called(tmp_path: Path, build: str, arguments: dict[str, Any]) -> None:
    mark = tmp_path / "called"
    told = {key: value.replace("MARK", str(mark)) if isinstance(value, str) else value for key, value in arguments.items()}
    with pytest.raises(ParamsError, match=rf"reference\.modules: {build} "):
        of_module(_params(build=build, arguments=told), CPU)
    assert not mark.exists()


def unannotated(path: str):  # type: ignore[no-untyped-def]
    Path(path).touch()


def test_torchvisions_functions_and_classes_of_modules_are_called() -> None:
    for build, arguments in (("torchvision.models:squeezenet1_1", {"num_classes": 2}), ("torch.nn:Flatten", {})):
        assert isinstance(build_module(_params(build=build, arguments=arguments)), nn.Module)
