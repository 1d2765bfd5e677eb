import functools
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from pipeline.errors import ExportError, InputError
from pipeline.gan.checkpoints import GeneratorCard, save_generator
from pipeline.gan.networks import PictureShape, build_generator
from pipeline.gan.networks.parts import Generator
from pipeline.gan.networks.stylegan2 import Stylegan2Generator
from pipeline.inference.latents import draw_latents, labels_in_equal_shares
from pipeline.inference.onnx_generator import JUDGE_NAME, MODEL_NAME, OnnxGenerator, OnnxJudge, read_exported, read_model
from pipeline.inference.transparency import Ground, on_ground, straight
from pipeline.metrics.classifier import load_classifier, save_classifier, train_classifier
from pipeline.metrics.reference_set import ReferenceCard
from pipeline.stages.export import run as export
from pipeline.stages.export.onnx_graphs import OPSET, generator_as_onnx, optional_inputs, with_defaults
from pipeline.stages.export.params import ExportParams
from pipeline.stages.export.parity import Parity, rounded_up, sampled_labels
from pipeline.stages.export.precision_choice import chosen_precision, variants_of
from pipeline.stages.export.precisions import in_fp16, in_int8
from pipeline.tracking.tracker import Tracker

PARAMS = ExportParams(
    precisions=["fp32", "fp16", "int8"],
    max_difference=1e-4,
    max_mean_difference=0.02,
    max_fd_change=50.0,
    check_latents=64,
    registered_name="atelier-generator",
)
CATEGORIES = ["bag", "dress", "shirt"]
TEST_COUNTS = [100, 40, 20]  # test pictures of each
ARGUMENTS: dict[str, dict[str, Any]] = {
    "resnet": {"width": 8, "max_width": 16, "upsampling": "bilinear"},  # dcgan has transposed convolutions
    "dcgan": {"width": 8, "max_width": 16},
    "stylegan2": {"width": 8, "max_width": 16, "style_dim": 16, "mapping_layers": 3, "truncation": 0.7},
}


def drawn_generator(network: str, channels: int = 1, side_px: int = 16, attributes: int = 0) -> Generator:
    torch.manual_seed(0)
    shape = PictureShape(side_px, side_px, channels)
    generator = build_generator(network, ARGUMENTS[network], shape, len(CATEGORIES), 8, attributes)
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training, not the 0 and 1 that fresh ones have
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return generator.eval()


@functools.cache
def with_two_attributes(network: str) -> tuple[Generator, bytes]:
    """A generator conditioned on attributes, too, and its graph without optional inputs: tracing one takes seconds."""
    generator = drawn_generator(network, side_px=8, attributes=2)
    return generator, generator_as_onnx(generator, 8, 3, {"attributes": 2})


@functools.cache
def drawn_in_onnx(network: str) -> tuple[Generator, OnnxGenerator]:
    """The same with its optional inputs; the stage exports generators without attributes in `exported` and in tests/studio."""
    generator, graph = with_two_attributes(network)
    return generator, OnnxGenerator(with_defaults(graph, optional_inputs(generator, 8, 3, {"attributes": 2})), threads=1)


def write_gan(folder: Path, network: str, channels: int = 1) -> Generator:
    generator = drawn_generator(network, channels)
    folder.mkdir()
    save_generator(folder, generator, GeneratorCard(network, ARGUMENTS[network], CATEGORIES, 16, 16, channels, 8, 6400))
    return generator


def write_reference(folder: Path, channels: int = 1, ground: Ground | None = None) -> None:
    """A classifier that has learned nothing much, its features of pictures that are noise, and their card."""
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (160, 16, 16, channels), dtype=np.uint8)
    classifier = train_classifier(images, np.arange(160) % 3, 3, seed=0, epochs=1, batch_size=32, threads=1)
    save_classifier(folder, classifier)
    np.save(folder / "classifier_test.npy", classifier.features(images))
    card = ReferenceCard(32, [], {}, [], {}, {}, {}, TEST_COUNTS, ground)
    (folder / "reference.json").write_text(json.dumps(asdict(card)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Generator, Path]:
    """A DCGAN, whose batch norms int8 folds; the tests of texts and of alpha export the other networks."""
    folder = tmp_path_factory.mktemp("exported")
    generator = write_gan(folder / "gan", "dcgan")
    write_reference(folder / "reference")
    track = Tracker(folder / "spool.jsonl")
    export.run(PARAMS, reference=folder / "reference", gan=folder / "gan", export=folder / "export", track=track)
    track.close("FINISHED")
    return generator, folder / "export"


def test_samples_have_every_category_first_and_then_the_shares_of_the_test_pictures() -> None:
    labels = sampled_labels(1000, np.array([0.7, 0.3, 0.0]))
    assert labels[:3].tolist() == [0, 1, 2]
    assert np.bincount(labels).tolist() == [699, 300, 1]
    assert 0 < labels[3:100].mean() < 1  # in random order


@pytest.mark.parametrize("network", ARGUMENTS)
def test_every_network_draws_in_onnx_what_it_draws_in_torch(network: str) -> None:
    generator, onnx_generator = drawn_in_onnx(network)
    latents, labels = draw_latents(5, 3, 8), labels_in_equal_shares(3, 3)
    with torch.inference_mode():
        expected = generator(torch.from_numpy(latents), torch.from_numpy(labels)).numpy()
    np.testing.assert_allclose(onnx_generator.pictures(latents, labels), expected, atol=1e-4)
    optional = {
        "category_mix": np.eye(3, dtype=np.float32)[labels],
        "layer_latents": np.repeat(latents[:, None], generator.style_layers, axis=1),
    }
    drawn = onnx_generator.pictures(np.zeros_like(latents), np.full(3, -1), **optional)
    np.testing.assert_allclose(drawn, expected, atol=1e-4)


@pytest.mark.parametrize("network", ["resnet", "stylegan2"])
def test_a_latent_for_each_style_layer_draws_in_onnx_what_it_draws_in_torch(network: str) -> None:
    generator, onnx_generator = drawn_in_onnx(network)
    rows, mix = (
        draw_latents(5, 2 * generator.style_layers, 8).reshape(2, -1, 8),
        np.array([[1, 0, 0], [0.5, 0, 0.5]], np.float32),
    )
    with torch.inference_mode():
        expected = generator(torch.from_numpy(rows), torch.from_numpy(mix)).numpy()
    optional = {"category_mix": mix, "layer_latents": rows}
    drawn = onnx_generator.pictures(np.zeros((2, 8), np.float32), np.full(2, -1), **optional)
    np.testing.assert_allclose(drawn, expected, atol=1e-4)


def test_style_layers_of_stylegan2_are_those_of_its_styles() -> None:
    generator = drawn_generator("stylegan2")
    assert isinstance(generator, Stylegan2Generator)
    coarse, fine = (torch.from_numpy(latents) for latents in draw_latents(5, 2, 8)[:, None])
    label, cut, layers = torch.tensor([1]), 2, generator.style_layers
    with torch.inference_mode():
        styles = torch.cat([generator.styles(coarse, label)[:, :cut], generator.styles(fine, label)[:, cut:]], dim=1)
        expected = generator.pictures(styles).clamp(-1, 1).numpy()
        rows = torch.cat([coarse.expand(cut, -1), fine.expand(layers - cut, -1)])[None]
        drawn = generator(rows, torch.eye(3)[label]).numpy()
    np.testing.assert_allclose(drawn, expected, atol=1e-5)


@pytest.mark.parametrize(("convert", "tolerance"), [(bytes, 1e-4), (in_fp16, 1e-2)], ids=["fp32", "fp16"])
@pytest.mark.parametrize("network", ARGUMENTS)
def test_attributes_are_optional(network: str, convert: Callable[[bytes], bytes], tolerance: float) -> None:
    generator, graph = with_two_attributes(network)
    onnx_generator = OnnxGenerator(
        with_defaults(convert(graph), optional_inputs(generator, 8, 3, {"attributes": 2})), threads=1
    )
    latents, labels, attributes = draw_latents(5, 3, 8), labels_in_equal_shares(3, 3), np.eye(3, 2, dtype=np.float32)
    with torch.inference_mode():
        inputs = torch.from_numpy(latents), torch.from_numpy(labels)
        expected, without = generator(*inputs, torch.from_numpy(attributes)).numpy(), generator(*inputs).numpy()
    np.testing.assert_allclose(onnx_generator.pictures(latents, labels, attributes=attributes), expected, atol=tolerance)
    np.testing.assert_allclose(onnx_generator.pictures(latents, labels), without, atol=tolerance)
    assert np.abs(expected[:2] - without[:2]).max() > 3e-4  # fresh weights change little, but more than the tolerance of fp32


@pytest.mark.parametrize("count", [1, 2, 33])
def test_onnx_draws_what_torch_draws(exported: tuple[Generator, Path], count: int) -> None:
    generator, folder = exported
    latents, labels = draw_latents(5, count, 8), labels_in_equal_shares(count, 3)
    with torch.inference_mode():
        expected = generator(torch.from_numpy(latents), torch.from_numpy(labels)).numpy()
    pictures = read_exported(folder)[1].pictures(latents, labels)
    assert pictures.dtype == np.float32
    assert pictures.shape == (count, 1, 16, 16)
    assert np.abs(pictures - expected).max() < 1e-5
    assert np.abs(pictures).max() <= 1


def test_labels_change_the_pictures(exported: tuple[Generator, Path]) -> None:
    latents = np.repeat(draw_latents(0, 1, 8), 3, axis=0)
    first, second, third = read_exported(exported[1])[1].pictures(latents, np.arange(3))
    assert not np.allclose(first, second)
    assert not np.allclose(second, third)


def test_the_file_is_standard_onnx_without_paths_or_stack_traces(exported: tuple[Generator, Path]) -> None:
    content = (exported[1] / MODEL_NAME).read_bytes()
    model = onnx.load_model_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert [(item.domain, item.version) for item in model.opset_import] == [("", OPSET)]
    assert not [tensor.name for tensor in model.graph.initializer if tensor.external_data]
    names = [
        "SHA256SUMS",
        "early_layers.onnx",
        "generator.fp16.onnx",
        "generator.int8.onnx",
        "generator.json",
        "generator.onnx",
        "judge.onnx",
    ]
    assert sorted(path.name for path in exported[1].iterdir()) == names
    here = str(Path(export.__file__).parent).encode()
    for trace in (here, str(Path(torch.__file__).parent).encode(), b"stack_trace", b"site-packages"):
        assert trace not in content


def test_the_card_describes_the_export(exported: tuple[Generator, Path]) -> None:
    card, _ = read_exported(exported[1])
    assert (card.categories, card.height, card.width, card.channels) == (CATEGORIES, 16, 16, 1)
    assert (card.latent_dim, card.images_seen, card.checked_latents, card.opset) == (8, 6400, 64, OPSET)
    assert card.onnx_sha256 == hashlib.sha256((exported[1] / MODEL_NAME).read_bytes()).hexdigest()
    assert 0 < card.max_difference <= 1e-4
    assert card.intended_use


def test_the_model_is_registered(exported: tuple[Generator, Path]) -> None:
    spool = exported[1].parent / "spool.jsonl"
    events = [json.loads(line) for line in spool.read_text().splitlines()]
    models = [event for event in events if event["kind"] == "model"]
    assert [(Path(event["path"]), event["registered_name"]) for event in models] == [
        (exported[1] / MODEL_NAME, "atelier-generator")
    ]


def test_another_process_writes_the_same_bytes(exported: tuple[Generator, Path], tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "pipeline", "export", "--params", PARAMS.model_dump_json()]
    command += ["--gan", str(exported[1].parent / "gan"), "--reference", str(exported[1].parent / "reference")]
    command += ["--export", str(tmp_path / "again")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    for path in exported[1].iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


@pytest.mark.parametrize(("error", "shown"), [(2e-4, "0.0002"), (float("nan"), "nan")])
def test_pictures_too_far_from_torch_are_refused(
    exported: tuple[Generator, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: float, shown: str
) -> None:
    model = (exported[1] / MODEL_NAME).read_bytes()
    monkeypatch.setattr(export, "export_precisions", lambda *_: {"fp32": model})
    drawn = OnnxGenerator.pictures
    monkeypatch.setattr(OnnxGenerator, "pictures", lambda *args, **optional: drawn(*args, **optional) + np.float32(error))
    (tmp_path / MODEL_NAME).write_text("the one before")
    with pytest.raises(ExportError, match=rf"differs from torch by {shown}, over export.max_difference \(0.0001\)"):
        paths = {"reference": exported[1].parent / "reference", "gan": exported[1].parent / "gan"}
        export.run(PARAMS, **paths, export=tmp_path, track=Tracker())
    assert (tmp_path / MODEL_NAME).read_text() == "the one before"


def test_a_missing_model_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run train again"):
        export.run(PARAMS, reference=tmp_path, gan=tmp_path, export=tmp_path / "export", track=Tracker())


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_fp16_and_int8_draw_almost_the_same(exported: tuple[Generator, Path], precision: str) -> None:
    card, exact = read_exported(exported[1])
    variant = next(one for one in card.variants if one.precision == precision)
    content = (exported[1] / variant.file).read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (variant.bytes, variant.sha256)
    assert len(content) < (exported[1] / MODEL_NAME).stat().st_size
    latents, labels = draw_latents(9, 40, 8), np.arange(40) % 3
    difference = np.abs(OnnxGenerator(content).pictures(latents, labels) - exact.pictures(latents, labels))
    assert 0 < difference.mean() <= 1.5 * variant.mean_difference <= 1.5 * PARAMS.max_mean_difference
    kept = onnx.load_model_from_string(content).graph
    bits = {onnx.TensorProto.FLOAT16} if precision == "fp16" else {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}
    largest = max(kept.initializer, key=lambda tensor: np.prod(tensor.dims))
    assert largest.data_type in bits


def test_the_exported_judge_has_the_classifiers_logits(exported: tuple[Generator, Path]) -> None:
    card, _ = read_exported(exported[1])
    judge = OnnxJudge(read_model(exported[1], str(card.judge_sha256), JUDGE_NAME))
    images = np.random.default_rng(1).integers(0, 256, (40, 16, 16, 1), dtype=np.uint8)
    classifier = load_classifier(exported[1].parent / "reference")
    assert np.abs(judge.scores(images) - classifier.logits(classifier.features(images))).max() < 1e-3


def test_parity_and_speed_of_every_precision_are_tracked(exported: tuple[Generator, Path]) -> None:
    card, _ = read_exported(exported[1])
    exact, half, bytes_ = card.variants
    assert (card.precision, exact.file, exact.sha256) == ("fp32", MODEL_NAME, card.onnx_sha256)
    assert exact.fd_change == 0
    assert exact.mean_difference < half.mean_difference < bytes_.mean_difference
    assert all(one.mean_difference <= one.max_difference for one in card.variants)
    events = [json.loads(line) for line in (exported[1].parent / "spool.jsonl").read_text().splitlines()]
    tracked = {name for event in events if event["kind"] == "metrics" for name in event["metrics"]}
    assert tracked >= {"fd_classifier_int8", "onnx_bytes_fp16", "latency_ms_fp32_cpu", "pictures_per_s_int8_cpu"}


@pytest.mark.parametrize(
    ("precisions", "mean", "fd", "chosen"),
    [
        (["fp32", "fp16"], 0.0, 0.0, "fp32"),
        (["fp16", "fp32"], 0.01, 0.04, "fp16"),
        (["fp16", "fp32"], 0.03, 0.04, "fp32"),
        (["fp16", "fp32"], 0.01, -0.06, "fp32"),
    ],
)
def test_the_first_precision_within_the_limits_is_chosen(precisions: list[str], mean: float, fd: float, chosen: str) -> None:
    params = PARAMS.model_copy(update={"precisions": precisions, "max_mean_difference": 0.02, "max_fd_change": 0.05})
    assert chosen_precision({"fp32": Parity(0, 0, 1.0), "fp16": Parity(mean, mean, 1.0 + fd)}, params) == chosen


def test_a_precision_that_overflows_is_left_out_with_a_line(caplog: pytest.LogCaptureFixture) -> None:
    class Overflowing:
        def of(self, model: bytes) -> Parity:
            return Parity(*[float("nan")] * 3) if model == b"half" else Parity(0.0, 0.0, 1.0)

    models = {"fp32": b"exact", "fp16": b"half"}
    parities = export.checked_parities(models, Overflowing(), PARAMS, Tracker())  # type: ignore[arg-type]
    assert set(parities) == {"fp32"}
    assert "fp16 is not exported: its pictures overflow" in caplog.text
    params = PARAMS.model_copy(update={"precisions": ["fp16", "fp32"]})
    assert chosen_precision(parities, params) == "fp32"
    assert [variant.precision for variant in variants_of({"fp32": b"exact"}, parities, "fp32", params)] == ["fp32"]


def test_a_judge_of_another_picture_shape_is_refused(exported: tuple[Generator, Path], tmp_path: Path) -> None:
    card = json.loads((exported[1].parent / "reference" / "classifier.json").read_text())
    shutil.copytree(exported[1].parent / "reference", tmp_path / "reference")
    images = np.zeros((4, 16, 16, 3), np.uint8)
    save_classifier(tmp_path / "reference", train_classifier(images, np.arange(4) % 3, 3, seed=0, epochs=1, batch_size=2))
    assert card["channels"] == 1
    with pytest.raises(InputError, match="run reference and train again"):
        paths = {"reference": tmp_path / "reference", "gan": exported[1].parent / "gan"}
        export.run(PARAMS, **paths, export=tmp_path / "export", track=Tracker())


def check_alpha(folder: Path, generator: Generator) -> None:
    """Assert that `folder` has, in every precision, pictures with alpha as `generator` draws them, and a judge on grey."""
    exported, exact = read_exported(folder / "export")
    assert exported.alpha
    assert exported.channel_meanings == ["red × alpha", "green × alpha", "blue × alpha", "2 alpha - 1"]
    latents, labels = draw_latents(9, 40, 8), np.arange(40) % 3
    with torch.inference_mode():
        of_labels = torch.from_numpy(labels)
        expected = generator(torch.from_numpy(latents), of_labels, generator.complete(of_labels, None)).numpy()
    assert np.abs(exact.pictures(latents, labels) - expected).max() <= PARAMS.max_difference
    for variant in exported.variants:
        drawn = OnnxGenerator((folder / "export" / variant.file).read_bytes()).pictures(latents, labels)
        assert np.abs(drawn - expected).mean() <= 1.5 * PARAMS.max_mean_difference  # which the stage checks on other latents
        assert (np.abs(drawn[:, :3]) <= (drawn[:, 3:] + 1) / 2 + 1e-3).all()  # no colour is stronger than its alpha
    images = straight(expected)
    judge = OnnxJudge(read_model(folder / "export", str(exported.judge_sha256), JUDGE_NAME))
    classifier = load_classifier(folder / "reference")
    on_grey = classifier.logits(classifier.features(on_ground(images, "grey")))
    assert np.abs(judge.scores(images) - on_grey).max() < 0.1  # levels are rounded for one of them


@pytest.mark.slow  # the residual network's is in test_export_text.py
def test_alpha_of_stylegan2_is_exported_in_every_precision(tmp_path: Path) -> None:
    generator = write_gan(tmp_path / "gan", "stylegan2", channels=4)
    write_reference(tmp_path / "reference", channels=3, ground="grey")
    paths = {"reference": tmp_path / "reference", "gan": tmp_path / "gan", "export": tmp_path / "export"}
    export.run(PARAMS, **paths, track=Tracker())
    check_alpha(tmp_path, generator)


@pytest.mark.parametrize(("value", "shown"), [(0.0, 0.0), (1.01e-7, 2e-7), (3e-6, 3e-6), (9.2e-6, 1e-5), (0.95, 1.0)])
def test_rounded_up_to_one_digit(value: float, shown: float) -> None:
    assert rounded_up(value) == shown


def test_int8_is_made_without_warnings(exported: tuple[Generator, Path], capfd: pytest.CaptureFixture[str]) -> None:
    card, _ = read_exported(exported[1])
    in_int8((exported[1] / MODEL_NAME).read_bytes(), card.latent_dim, len(card.categories), {})
    assert capfd.readouterr().err == ""
