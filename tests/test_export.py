import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from pipeline import export
from pipeline.errors import ExportError, InputError
from pipeline.gan.checkpoints import GeneratorCard, save_generator
from pipeline.gan.latents import draw_latents, labels_in_equal_shares
from pipeline.gan.networks import PictureShape, build_generator
from pipeline.params import ExportParams
from pipeline.store.exported import CARD_NAME, MODEL_NAME, OnnxGenerator, read_exported
from pipeline.store.tracking import Tracker

PARAMS = ExportParams(max_difference=1e-4, check_latents=64, registered_name="atelier-generator")
CATEGORIES = ["bag", "dress", "shirt"]
NETWORKS = ("resnet", "dcgan")
ARGUMENTS = {"width": 8, "max_width": 16}


def drawn_generator(network: str) -> nn.Module:
    torch.manual_seed(0)
    generator = build_generator(network, ARGUMENTS, PictureShape(16, 16, 1), len(CATEGORIES), 8)
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training, not the 0 and 1 that fresh ones have
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return generator.eval()


def write_gan(folder: Path, network: str) -> nn.Module:
    generator = drawn_generator(network)
    folder.mkdir()
    save_generator(folder, generator, GeneratorCard(network, ARGUMENTS, CATEGORIES, 16, 16, 1, 8, 6400))
    return generator


@pytest.fixture(scope="module", params=NETWORKS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    generator = write_gan(folder / "gan", request.param)
    track = Tracker(folder / "spool.jsonl")
    export.run(PARAMS, gan=folder / "gan", export=folder / "export", track=track)
    track.close("FINISHED")
    return generator, folder / "export"


@pytest.mark.parametrize("count", [1, 2, 33])
def test_onnx_draws_what_torch_draws(exported: tuple[nn.Module, Path], count: int) -> None:
    generator, folder = exported
    latents, labels = draw_latents(5, count, 8), labels_in_equal_shares(count, 3)
    with torch.inference_mode():
        expected = generator(torch.from_numpy(latents), torch.from_numpy(labels)).numpy()
    pictures = read_exported(folder)[1].pictures(latents, labels)
    assert pictures.dtype == np.float32
    assert pictures.shape == (count, 1, 16, 16)
    assert np.abs(pictures - expected).max() < 1e-5
    assert np.abs(pictures).max() <= 1


def test_the_label_decides_what_is_drawn(exported: tuple[nn.Module, Path]) -> None:
    latents = np.repeat(draw_latents(0, 1, 8), 3, axis=0)
    first, second, third = read_exported(exported[1])[1].pictures(latents, np.arange(3))
    assert not np.allclose(first, second)
    assert not np.allclose(second, third)


def test_the_file_is_one_standard_graph_without_traces(exported: tuple[nn.Module, Path]) -> None:
    content = (exported[1] / MODEL_NAME).read_bytes()
    model = onnx.load_model_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert [(item.domain, item.version) for item in model.opset_import] == [("", export.OPSET)]
    assert not [tensor.name for tensor in model.graph.initializer if tensor.external_data]
    assert sorted(path.name for path in exported[1].iterdir()) == ["generator.json", "generator.onnx"]
    here = str(Path(export.__file__).parent).encode()
    for trace in (here, str(Path(torch.__file__).parent).encode(), b"stack_trace", b"site-packages"):
        assert trace not in content


def test_the_card_says_what_was_exported(exported: tuple[nn.Module, Path]) -> None:
    card, _ = read_exported(exported[1])
    assert (card.categories, card.height, card.width, card.channels) == (CATEGORIES, 16, 16, 1)
    assert (card.latent_dim, card.images_seen, card.checked_latents, card.opset) == (8, 6400, 64, export.OPSET)
    assert card.onnx_sha256 == hashlib.sha256((exported[1] / MODEL_NAME).read_bytes()).hexdigest()
    assert 0 < card.max_difference <= 1e-4
    assert card.intended_use


def test_registration_is_asked_for(exported: tuple[nn.Module, Path]) -> None:
    spool = exported[1].parent / "spool.jsonl"
    events = [json.loads(line) for line in spool.read_text().splitlines()]
    models = [event for event in events if event["kind"] == "model"]
    assert [(Path(event["path"]), event["registered_name"]) for event in models] == [
        (exported[1] / MODEL_NAME, "atelier-generator")
    ]


@pytest.mark.parametrize("exported", ["resnet"], indirect=True)
def test_another_process_writes_the_same_bytes(exported: tuple[nn.Module, Path], tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "pipeline", "export", "--params", PARAMS.model_dump_json()]
    command += ["--gan", str(exported[1].parent / "gan"), "--export", str(tmp_path / "again")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    for name in (MODEL_NAME, CARD_NAME):
        assert (exported[1] / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


@pytest.mark.parametrize("exported", ["resnet"], indirect=True)
@pytest.mark.parametrize(("error", "told"), [(2e-4, "0.0002"), (float("nan"), "nan")])
def test_pictures_too_far_from_torch_are_refused(
    exported: tuple[nn.Module, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: float, told: str
) -> None:
    model = (exported[1] / MODEL_NAME).read_bytes()
    monkeypatch.setattr(export, "as_onnx", lambda *_: model)
    drawn = OnnxGenerator.pictures
    monkeypatch.setattr(OnnxGenerator, "pictures", lambda *given: drawn(*given) + np.float32(error))
    (tmp_path / MODEL_NAME).write_text("the one before")
    with pytest.raises(ExportError, match=rf"differs from torch by {told}, over export.max_difference \(0.0001\)"):
        export.run(PARAMS, gan=exported[1].parent / "gan", export=tmp_path, track=Tracker())
    assert (tmp_path / MODEL_NAME).read_text() == "the one before"


def test_a_missing_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run train again"):
        export.run(PARAMS, gan=tmp_path, export=tmp_path / "export", track=Tracker())


@pytest.mark.parametrize(("value", "shown"), [(0.0, 0.0), (1.01e-7, 2e-7), (3e-6, 3e-6), (9.2e-6, 1e-5), (0.95, 1.0)])
def test_rounded_up_to_one_digit(value: float, shown: float) -> None:
    assert export.rounded_up(value) == shown
