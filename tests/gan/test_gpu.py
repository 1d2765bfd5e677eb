"""Training on a GPU: as on a CPU but for rounding, the same bytes again, and no step waits for what it does not need."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed

from pipeline.errors import ParamsError, TrainingError
from pipeline.gan.devices import prepare_device
from pipeline.gan.forecast import estimate_training
from pipeline.gan.graphs import GraphedNetwork
from pipeline.gan.networks import PictureShape, build_discriminator, build_generator
from pipeline.gan.networks.convolution import no_weight_gradients
from pipeline.gan.processes import Processes, process_group
from pipeline.gan.training import Trainer
from pipeline.metrics.classifier import train_classifier
from pipeline.stages.train.run import dry_run, run
from pipeline.tracking.tracker import Tracker
from tests.stages.train.test_train import VARIANTS
from tests.stages.train.test_train_faults import KILLING, in_python
from tests.support.training import TINY, hashes, tiny_params, whole_and_resumed, write_data

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
]
CUDA = torch.device("cuda")
EVERYTHING: dict[str, dict[str, Any]] = {
    "resnet": {},
    **VARIANTS,
    "stylegan2 with ada": {**VARIANTS["stylegan2"], "ada": {"target": -1.0, "ramp_kimg": 0.05, "interval": 2}},
}
HALVES = {"bf16", "fp16"}
SEVERAL_STEPS = {name for name, changes in EVERYTHING.items() if changes.get("discriminator_steps", 1) > 1}
CALLED_TWICE = {"dcgan", "relativistic", "accumulate"}  # before they go backwards, so that there are no graphs


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data") / "train")


@pytest.fixture(scope="module")
def in_colour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data") / "train", channels=3)


@pytest.fixture(autouse=True)
def _as_the_stage_prepares_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # nearer to a CPU, by three digits
    prepare_device(CUDA, 1)


@contextmanager
def _waiting_is_an_error() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this is a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def _trainer(train: Path, device: str = "cuda", **changes: Any) -> Trainer:
    images, labels = np.load(train / "train_images.npy"), np.load(train / "train_labels.npy")
    return Trainer(tiny_params(**{"device": device, **changes}), images, labels, 3, torch.device(device))


@pytest.mark.parametrize("name", ["resnet", "dcgan", "stylegan2"])
def test_networks_and_their_derivatives_are_those_of_a_cpu(name: str) -> None:
    """The second ones, too, as in R1 and in path lengths."""
    network = tiny_params(**EVERYTHING[name]).network
    shape, found = PictureShape(32, 32, 3), {}
    torch.manual_seed(0)
    generator = build_generator(network.name, network.generator_arguments, shape, 3, network.latent_dim)
    discriminator = build_discriminator(network.name, network.discriminator_arguments, shape, 3)
    given = torch.randn(8, network.latent_dim), torch.randn(8, 3, 32, 32)
    labels = torch.arange(8) // 2 % 3
    for device in ("cpu", "cuda"):
        networks = generator.to(device), discriminator.to(device)
        inputs = [one.to(device).requires_grad_() for one in given]
        results = []
        for part, one in zip(networks, inputs, strict=True):
            result = part(one, labels.to(device))
            with no_weight_gradients():
                (gradient,) = torch.autograd.grad(result.square().sum(), one, create_graph=True)
            weights = [parameter for parameter in part.parameters() if parameter.requires_grad]
            twice = torch.autograd.grad(gradient.square().sum(), weights, retain_graph=True, allow_unused=True)
            once = torch.autograd.grad(result.square().sum(), weights, allow_unused=True)
            results += [tensor.cpu() for tensor in (result, gradient, *once, *twice) if tensor is not None]
        found[device] = results
    assert len(found["cpu"]) == len(found["cuda"])
    for there, here in zip(found["cuda"], found["cpu"], strict=True):
        # A bias before a batch norm has no gradient but for rounding.
        assert (there - here).norm() <= 1e-3 * here.norm() + 1e-3


@pytest.mark.parametrize("name", sorted(EVERYTHING.keys() - HALVES - SEVERAL_STEPS))
def test_a_step_is_that_of_a_cpu(name: str, in_colour: Path) -> None:
    found = {}
    for device in ("cpu", "cuda"):
        trainer = _trainer(in_colour, device, **EVERYTHING[name])
        trainer.step()
        found[device] = trainer.history.close_row(trainer.images_seen)
    # Before a weight moved; what comes after depends on signs of gradients that are next to nothing.
    for column in ("loss_discriminator", "score_real", "score_fake", "loss_penalty"):
        assert found["cuda"][column] == pytest.approx(found["cpu"][column], rel=1e-3, abs=1e-5), column


@pytest.mark.parametrize("name", EVERYTHING)
def test_there_are_graphs_where_a_network_is_called_once(name: str, in_colour: Path) -> None:
    trainer = _trainer(in_colour, **EVERYTHING[name])
    assert (
        isinstance(trainer.models._generate, GraphedNetwork)
        == isinstance(trainer.models._discriminate, GraphedNetwork)
        == (name not in CALLED_TWICE)
    )


@pytest.mark.parametrize("name", sorted(EVERYTHING.keys() - CALLED_TWICE))
def test_graphs_compute_what_the_networks_do(name: str, in_colour: Path) -> None:
    """To the bit."""
    trainers = [_trainer(in_colour, **EVERYTHING[name]) for _ in range(2)]
    trainers[0].models.eager = True
    for trainer in trainers:
        for _ in range(6):
            trainer.step()
    states = [trainer.state() for trainer in trainers]
    assert [key for key in states[0] if not torch.equal(states[0][key].cpu(), states[1][key].cpu())] == []


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", ["resnet", "stylegan2"])
def test_half_precision_is_near_full_precision(name: str, precision: str, in_colour: Path) -> None:
    rows = {}
    for wanted in ("fp32", precision):
        trainer = _trainer(in_colour, **{**EVERYTHING[name], "precision": wanted})
        trainer.step()
        rows[wanted] = trainer.history.close_row(trainer.images_seen)
    for column in ("loss_discriminator", "loss_generator", "score_real", "score_fake", "loss_penalty"):
        assert rows[precision][column] == pytest.approx(rows["fp32"][column], rel=0.05, abs=0.05), column


@pytest.mark.parametrize("name", EVERYTHING)
def test_n_then_m_steps_are_n_plus_m(name: str, in_colour: Path) -> None:
    """To the bit, without a warning of an operation that is not deterministic: a warning is an error here."""
    whole, second = whole_and_resumed(lambda: _trainer(in_colour, **EVERYTHING[name]))
    expected, state = whole.state(), second.state()
    assert (whole.ada.p > 0) == (whole.params.ada is not None)
    assert [key for key in expected if not torch.equal(expected[key].cpu(), state[key].cpu())] == []


@pytest.mark.parametrize("name", EVERYTHING)
def test_no_step_waits_for_the_gpu(name: str, in_colour: Path) -> None:
    """The CPU is a step ahead at all times: the next batch is there before it is wanted."""
    trainer = _trainer(in_colour, **EVERYTHING[name])
    for _ in range(8):
        trainer.step()
    with _waiting_is_an_error():
        for _ in range(8):
            trainer.step()


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:TensorFloat32")  # of torch's own compiler
@pytest.mark.parametrize("name", ["resnet", "stylegan2"])
def test_compiled_networks_compute_the_same(name: str, in_colour: Path) -> None:
    rows = []
    for compiled in (False, True):
        trainer = _trainer(in_colour, **{**EVERYTHING[name], "compile": compiled})
        for _ in range(3):
            trainer.step()
        rows.append(trainer.history.close_row(trainer.images_seen))
    for column in ("loss_discriminator", "loss_generator", "score_real", "score_fake"):
        assert rows[1][column] == pytest.approx(rows[0][column], rel=0.02, abs=0.01), column


def test_the_stage_leaves_the_same_bytes_twice(train: Path, tmp_path: Path) -> None:
    params = tiny_params(device="cuda", best_by="swd")
    for name in ("one", "other"):
        run(params, train=train, gan=tmp_path / name, scratch=tmp_path / "scratch", track=Tracker())
    assert hashes(tmp_path / "one") == hashes(tmp_path / "other")
    assert (tmp_path / "one" / "samples" / "00000400.png").exists()


@pytest.mark.timeout(600)
def test_killed_the_bytes_are_those_of_an_undisturbed_training(train: Path, tmp_path: Path) -> None:
    done = in_python(KILLING, tiny_params(device="cuda").model_dump_json(), str(train), str(tmp_path), "6")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] == 6
    assert found["ends"]
    assert all(found["ends"])


def test_short_memory_is_one_line_that_names_the_parameter_to_lower(train: Path) -> None:
    network = {**TINY["network"], "generator_width": 512, "discriminator_width": 512, "max_width": 1024}
    trainer = _trainer(train, network=network, batch_size=4096)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.02)
    try:
        with pytest.raises(TrainingError, match=r"^out of memory with train\.batch_size 4096 .*raise train\.accumulate"):
            trainer.step()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_the_forecast_of_memory_holds(in_colour: Path) -> None:
    network = {**VARIANTS["stylegan2"]["network"], "generator_width": 64, "discriminator_width": 64, "max_width": 128}
    changes: dict[str, Any] = {"network": network, "batch_size": 32}
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    forecast = estimate_training(_trainer(in_colour, **changes), 1, sample_every_kimg=1, checkpoint_every_kimg=1).peak_bytes
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    trainer = _trainer(in_colour, **changes)
    for _ in range(20):
        trainer.step()
    assert forecast == pytest.approx(torch.cuda.max_memory_reserved(), rel=0.25)


def test_a_dry_run_names_the_gpu(train: Path) -> None:
    params = tiny_params(device="cuda", precision="auto")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        forecast = dry_run(params, (16, 16, 3), train)
    assert torch.cuda.get_device_name(CUDA) in forecast


def test_a_classifier_and_its_features_are_those_of_a_cpu(in_colour: Path) -> None:
    images, labels = np.load(in_colour / "train_images.npy"), np.load(in_colour / "train_labels.npy")
    trained = train_classifier(images, labels, 3, seed=0, epochs=3, batch_size=20, device=CUDA)
    there = trained.features(images)
    trained.network.cpu()
    np.testing.assert_allclose(there, trained.features(images), rtol=1e-3, atol=1e-3)


def test_messages_go_through_nccl(tmp_path: Path) -> None:
    """With one process, because each needs a GPU of its own; `Processes` believes in two, so that it sends at all."""
    torch.cuda.set_device(0)
    torch.distributed.init_process_group(
        "cuda:nccl,cpu:gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1
    )
    try:
        both = Processes(0, 2)
        gradients = [torch.full((3, 2), 4.0, device=CUDA), torch.ones((), device=CUDA)]
        both.average(gradients)
        assert [gradient.flatten()[0].item() for gradient in gradients] == [2.0, 0.5]  # a sum of one, over two
        assert both.any(True)
        assert both.from_first(lambda: {"a": torch.ones(2)})["a"].tolist() == [1.0, 1.0]
    finally:
        torch.distributed.destroy_process_group()


def test_a_process_without_a_gpu_of_its_own_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = torch.cuda.device_count()
    monkeypatch.setenv("WORLD_SIZE", str(gpus + 1))
    monkeypatch.setenv("LOCAL_RANK", str(gpus))
    with pytest.raises(ParamsError, match="each with a GPU of its own"), process_group(gpus + 1, CUDA):
        pass
