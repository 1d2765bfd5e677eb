"""The train stage: its outputs, the same bytes again, also after kill -9, and what it says when it cannot go on."""

import csv
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pipeline.errors import DivergedError, ParamsError, StoppedError, TrainingError
from pipeline.gan.batches import EpochSampler, epoch_order
from pipeline.gan.checkpoints import load_generator
from pipeline.gan.devices import choose_precision
from pipeline.gan.history import HISTORY_COLUMNS, history_csv
from pipeline.gan.sampling import generate_images
from pipeline.gan.training import Trainer, rate_scale
from pipeline.inference.latents import draw_latents
from pipeline.stages.train import run as train_stage
from pipeline.stages.train.params import TrainParams
from pipeline.stages.train.run import run
from pipeline.stages.train.training_loop import crosses_interval
from pipeline.storage.arrays import read_card, write_attributes, write_card
from pipeline.storage.checkpoints import read_checkpoint
from pipeline.tracking.tracker import Tracker
from tests.support.training import TINY, hashes, tiny_params, whole_and_resumed, write_data


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data") / "train")


@pytest.fixture(scope="module")
def undisturbed(train: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    run(tiny_params(), train=train, gan=folder / "gan", scratch=folder / "scratch", track=Tracker())
    return folder


def test_the_outputs_are_all_there_and_agree(undisturbed: Path) -> None:
    gan = undisturbed / "gan"
    assert sorted(hashes(gan)) == [
        "SHA256SUMS",
        "checkpoint.pt",
        "generator.json",
        "generator.safetensors",
        "history.csv",
        *(f"samples/{images_seen:08d}.png" for images_seen in (0, 160, 320, 400)),
    ]
    assert not list((undisturbed / "scratch").rglob("*.pt"))

    generator, card = load_generator(gan, torch.device("cpu"))
    assert (card.categories, card.height, card.latent_dim, card.images_seen) == (["a", "b", "c"], 16, 8, 400)
    sheet = np.asarray(Image.open(gan / "samples" / "00000400.png"))
    assert sheet.shape == (3 * 16, 3 * 16)
    drawn = generate_images(generator, draw_latents(0, 9, 8), np.repeat(np.arange(3), 3))
    assert np.array_equal(sheet[16:32, 32:48], drawn[5, :, :, 0])

    state = read_checkpoint((gan / "checkpoint.pt").read_bytes())
    weights = load_file(gan / "generator.safetensors")
    assert all(torch.equal(state[f"average.{name}"], tensor) for name, tensor in weights.items())

    rows = list(csv.DictReader((gan / "history.csv").read_text(encoding="utf-8").splitlines()))
    assert list(rows[0]) == list(HISTORY_COLUMNS)
    assert [int(row["images"]) for row in rows] == [80, 160, 240, 320, 400]
    assert all(float(row["square_gradient_real"]) > 0 for row in rows)


def test_the_same_parameters_give_the_same_bytes_and_another_seed_does_not(
    train: Path, undisturbed: Path, tmp_path: Path
) -> None:
    for name, params in (("again", tiny_params()), ("other", tiny_params(seed=1))):
        run(params, train=train, gan=tmp_path / name, scratch=tmp_path / "scratch", track=Tracker())
    assert hashes(tmp_path / "again") == hashes(undisturbed / "gan")
    assert hashes(tmp_path / "other")["generator.safetensors"] != hashes(undisturbed / "gan")["generator.safetensors"]


VARIANTS: dict[str, dict[str, Any]] = {
    "dcgan": {
        "network": {
            "name": "dcgan",
            "latent_dim": 8,
            "generator_width": 4,
            "discriminator_width": 4,
            "max_width": 8,
            "truncation": 1.0,
        },
        "penalties": {"r1_gamma": 0.0, "r2_gamma": 0.0, "gradient_penalty": 0.0, "interval": 1, "weight_clip": 0.0},
    },
    "wgan-gp": {
        "loss": "wgan",
        "penalties": {"r1_gamma": 0.0, "r2_gamma": 0.0, "gradient_penalty": 10.0, "interval": 1, "weight_clip": 0.0},
    },
    "relativistic": {
        "loss": "relativistic",
        "penalties": {"r1_gamma": 0.5, "r2_gamma": 0.5, "gradient_penalty": 0.0, "interval": 3, "weight_clip": 0.0},
    },
    "stylegan2": {
        "network": {
            **TINY["network"],
            "name": "stylegan2",
            "style_dim": 8,
            "mapping_layers": 2,
            "style_mixing": 0.9,
            "path_length": 2.0,
            "path_length_interval": 2,
        },
        "mode_seeking": 0.0,
    },
    "wgan": {
        "loss": "wgan",
        "penalties": {"r1_gamma": 0.0, "r2_gamma": 0.0, "gradient_penalty": 0.0, "interval": 1, "weight_clip": 0.01},
        "discriminator_steps": 3,
    },
    "ada": {"condition": "none", "ada": {"target": -1.0, "ramp_kimg": 0.05, "interval": 3}},
    "hinge": {"loss": "hinge", "channels_last": False},
    "minimax": {"loss": "minimax", "mode_seeking": 0.1, "diffaugment": ["colour", "translation", "cutout"]},
    "bf16": {"precision": "bf16", "threads": 2},
    "fp16": {"precision": "fp16"},
    "projected": {"projected": {"warm_up_kimg": 0.03, "channels": 8}, "diffaugment": ["translation"]},
    "accumulate": {"accumulate": 2, "diffaugment": ["colour"], "mode_seeking": 0.1},
}


@pytest.mark.parametrize("name", ["dcgan", "hinge"])
def test_the_score_of_real_pictures_does_not_depend_on_the_generated_ones(name: str, train: Path) -> None:
    images, labels = np.load(train / "train_images.npy"), np.load(train / "train_labels.npy")
    trainers = [Trainer(tiny_params(**VARIANTS[name]), images, labels, 3, torch.device("cpu")) for _ in range(2)]
    with torch.no_grad():
        for weights in trainers[1].generator.parameters():
            weights.mul_(3)
    for trainer in trainers:
        trainer.step()
    one, other = (trainer.history.close_row(trainer.images_seen) for trainer in trainers)
    assert one["score_real"] == pytest.approx(other["score_real"], abs=1e-6)
    assert one["score_fake"] != other["score_fake"]


@pytest.mark.parametrize("name", VARIANTS)
def test_n_then_m_steps_are_n_plus_m(name: str, train: Path) -> None:
    images, labels = np.load(train / "train_images.npy"), np.load(train / "train_labels.npy")
    params = tiny_params(**VARIANTS[name])

    def fresh() -> Trainer:
        return Trainer(params, images, labels, 3, torch.device("cpu"))

    whole, second = whole_and_resumed(fresh)
    assert whole.history.close_row(whole.images_seen) == second.history.close_row(second.images_seen)
    expected, state = whole.state(), second.state()
    assert list(expected) == list(state)
    assert (whole.ada.p > 0) == (params.ada is not None)
    assert [key for key in expected if not torch.equal(expected[key], state[key])] == []


def _trainer(train: Path, **changes: Any) -> Trainer:
    images, labels = np.load(train / "train_images.npy"), np.load(train / "train_labels.npy")
    return Trainer(tiny_params(**changes), images, labels, 3, torch.device("cpu"))


def test_weights_are_clipped_after_every_step_of_the_discriminator(train: Path) -> None:
    trainer = _trainer(train, **VARIANTS["wgan"])
    trainer.step()
    assert max(float(weights.detach().abs().max()) for weights in trainer.discriminator.parameters()) == pytest.approx(0.01)
    assert trainer.images_seen == 3 * 8
    moments = trainer.discriminator_optimiser.moments()["0.step"], trainer.generator_optimiser.moments()["0.step"]
    assert [int(steps) for steps in moments] == [3, 1]


def test_the_unconditional_generator_draws_the_same_whatever_the_label(train: Path, tmp_path: Path) -> None:
    params = tiny_params(condition="none", total_kimg=0.04)
    run(params, train=train, gan=tmp_path / "gan", scratch=tmp_path / "scratch", track=Tracker())
    generator, card = load_generator(tmp_path / "gan", torch.device("cpu"))
    assert (card.condition, card.categories) == ("none", ["a", "b", "c"])
    first, last = (generate_images(generator, draw_latents(0, 4, 8), np.full(4, label)) for label in (0, 2))
    assert np.array_equal(first, last)


def test_attributes_are_trained_on_and_drawn_with(tmp_path: Path) -> None:
    train = write_data(tmp_path / "train")
    flags = np.tile(np.array([[1, 0, 1], [0, 1, 0]], dtype=np.uint8), (30, 1))
    write_attributes(train, flags)
    write_card(train, replace(read_card(train), attributes={"colour": ["blue", "red"], "season": ["winter"]}))
    params = tiny_params(condition="attributes", total_kimg=0.08)
    run(params, train=train, gan=tmp_path / "gan", scratch=tmp_path / "scratch", track=Tracker())
    generator, card = load_generator(tmp_path / "gan", torch.device("cpu"))
    assert card.attributes == {"colour": ["blue", "red"], "season": ["winter"]}
    latents, labels = torch.from_numpy(draw_latents(0, 2, 8)), torch.tensor([0, 1])
    unsaid, blue, red = (generator(latents, labels, torch.tensor([row] * 2)) for row in ([0.0, 0, 0], [1.0, 0, 0], [0.0, 1, 0]))
    assert torch.equal(generator(latents, labels), unsaid)
    assert not torch.allclose(blue, red)


def test_batch_norm_of_the_average_is_recalibrated_on_attributes_as_in_training() -> None:
    images, labels = np.full((16, 16, 16, 1), 128, np.uint8), np.arange(16) % 2
    flags = np.ones((16, 1), np.uint8)
    trainer = Trainer(tiny_params(condition="attributes"), images, labels, 2, torch.device("cpu"), flags)
    with torch.no_grad():
        trainer.average.embedding.of_attributes.fill_(5.0)  # type: ignore[operator, union-attr]

    def statistics() -> torch.Tensor:
        norms = [module for module in trainer.recalibrated_average(1).modules() if isinstance(module, torch.nn.BatchNorm2d)]
        return torch.cat([norm.running_mean for norm in norms if norm.running_mean is not None])

    said = statistics().clone()
    flags[:] = 0
    assert not torch.allclose(said, statistics(), atol=1e-3)


def test_a_signal_after_the_model_is_in_place_does_not_ask_to_resume(
    train: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = train_stage.delete_checkpoints

    def delete_and_stop(scratch: Path) -> None:
        delete(scratch)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(train_stage, "delete_checkpoints", delete_and_stop)
    run(tiny_params(total_kimg=0.08), train=train, gan=tmp_path / "gan", scratch=tmp_path / "scratch", track=Tracker())
    assert (tmp_path / "gan" / "generator.json").exists()


CLASHES: list[tuple[dict[str, Any], str]] = [
    ({"loss": "wgan", "penalties": {**TINY["penalties"], "r1_gamma": 0.0}}, r"penalties\.gradient_penalty: .*weight_clip"),
    ({"penalties": {**TINY["penalties"], "weight_clip": 0.01}}, r"penalties\.weight_clip: is for the loss wgan"),
    (
        {"loss": "wgan", "penalties": {**TINY["penalties"], "gradient_penalty": 10.0, "weight_clip": 0.01}},
        r"penalties\.weight_clip: is what gradient_penalty replaces",
    ),
    ({"loss": "relativistic", "ada": {"target": 0.6, "ramp_kimg": 500.0, "interval": 4}}, r"ada: .*set it to null"),
    ({"accumulate": 3}, r"accumulate: it must divide batch_size, 8, into parts of 2 pictures or more"),
    ({"accumulate": 8}, r"accumulate: it must divide batch_size, 8, into parts of 2 pictures or more"),
    ({"batch_size": 12, "accumulate": 4}, r"accumulate: it must leave parts of a multiple of network\.stddev_group, 2"),
    ({"accumulate": 2, "processes": 4}, r"processes: processes × accumulate must divide batch_size, 8, into parts of 2"),
]


@pytest.mark.parametrize(("changes", "output"), CLASHES)
def test_parts_that_do_not_go_together_are_one_line(changes: dict[str, Any], output: str) -> None:
    with pytest.raises(ParamsError, match=output):
        tiny_params(**changes)


WITHOUT_NORM = {**VARIANTS["stylegan2"]["network"], "stddev_group": 0, "path_length": 0.0}


@pytest.mark.parametrize("loss", ["non-saturating", "relativistic"])
def test_a_batch_in_parts_is_the_same_step(loss: str, train: Path) -> None:
    penalties = {"r1_gamma": 0.5, "r2_gamma": 0.5, "gradient_penalty": 0.0, "interval": 2, "weight_clip": 0.0}
    # Adam's steps are of one size, so where a gradient is next to nothing rounding decides on their direction: with tiny ones
    # the gradients themselves can be compared.
    changes = {
        "network": WITHOUT_NORM,
        "loss": loss,
        "penalties": penalties,
        "generator_rate": 1e-9,
        "discriminator_rate": 1e-9,
    }
    whole, parts = _trainer(train, **changes), _trainer(train, **changes, accumulate=4)
    for _ in range(4):
        whole.step()
        parts.step()
        _assert_same_gradients(whole, parts)
    assert whole.history.close_row(whole.images_seen) == pytest.approx(parts.history.close_row(parts.images_seen), rel=1e-4)
    assert torch.equal(whole.rng.get_state(), parts.rng.get_state())


def _assert_same_gradients(one: Trainer, other: Trainer) -> None:
    for network in ("generator", "discriminator"):
        pairs = zip(getattr(one, network).named_parameters(), getattr(other, network).parameters(), strict=True)
        for (name, weights), others in pairs:
            if weights.grad is not None:
                largest = float(weights.grad.abs().max())  # 0 for a bias that a relativistic loss does not see
                assert torch.allclose(weights.grad, others.grad, rtol=0, atol=1e-4 * largest + 1e-7), (network, name)


def _gradient(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([weights.grad.flatten() for weights in network.parameters() if weights.grad is not None])


@pytest.mark.parametrize("name", ["resnet", "stylegan2"])
def test_scaled_half_precision_has_the_gradients_of_fp32(name: str, train: Path) -> None:
    changes = {**VARIANTS.get(name, {}), "generator_rate": 1e-9, "discriminator_rate": 1e-9}
    full, half = _trainer(train, **changes), _trainer(train, **changes, precision="fp16")
    for optimiser in (half.generator_optimiser, half.discriminator_optimiser):
        optimiser.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    for _ in range(2):  # with penalties and without
        full.step()
        half.step()
        for network in ("generator", "discriminator"):
            one, other = _gradient(getattr(full, network)), _gradient(getattr(half, network))
            assert float((one - other).norm() / one.norm()) < 0.05, network
    assert full.history.close_row(full.images_seen) == pytest.approx(
        half.history.close_row(half.images_seen), rel=0.05, abs=1e-3
    )


def test_a_step_that_overflows_is_not_taken_and_the_scale_halves(train: Path) -> None:
    trainer = _trainer(train, precision="fp16")
    trainer.discriminator_optimiser.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60)
    before = {key: tensor.clone() for key, tensor in trainer.state().items()}
    trainer.step()
    after = trainer.state()
    weights = [key for key in before if key.startswith("discriminator.")]
    assert all(torch.equal(before[key], after[key]) for key in weights)
    assert after["discriminator_scaler"].tolist() == [2.0**59, 0]
    assert after["generator_scaler"].tolist() == [2.0**16, 1]
    assert bool(torch.isfinite(trainer.history.sums).all())
    assert trainer.history.close_row(trainer.images_seen)["gradient_discriminator"] == 0


def test_a_gradient_that_is_not_finite_in_itself_has_diverged(train: Path) -> None:
    trainer = _trainer(train, precision="fp16")
    trainer.discriminator_optimiser.scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    with torch.no_grad():
        for weights in trainer.discriminator.parameters():
            weights.mul_(1e25)
    trainer.step()
    with pytest.raises(DivergedError):
        trainer.history.close_row(trainer.images_seen)


def test_parts_take_less_memory(train: Path) -> None:
    """By what the graph keeps: the elements of all tensors saved for backward at once."""

    def most_kept(accumulate: int) -> int:
        kept = most = 0

        class Kept:
            def __init__(self, tensor: torch.Tensor) -> None:
                nonlocal kept, most
                self.tensor = tensor
                kept += tensor.numel()
                most = max(most, kept)

            def __del__(self) -> None:
                nonlocal kept
                kept -= self.tensor.numel()

        trainer = _trainer(train, batch_size=32, accumulate=accumulate)
        with torch.autograd.graph.saved_tensors_hooks(Kept, lambda held: held.tensor):
            trainer.step()
            trainer.step()
        return most

    assert most_kept(4) < 0.4 * most_kept(1)


@contextmanager
def _training(params: TrainParams, train: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The train command at work in `folder`; killed when the block ends."""
    paths = ["--train", str(train), "--gan", str(folder / "gan"), "--scratch", str(folder / "scratch")]
    command = [sys.executable, "-m", "pipeline", "train", "--params", params.model_dump_json(), *paths]
    with (folder / "output").open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield process
        finally:
            process.kill()


def _wait_for(pattern: str, count: int, folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Return when `count` files of `pattern` are in the scratch folder, or the process has ended."""
    while process.poll() is None and len(list((folder / "scratch").rglob(pattern))) < count:
        time.sleep(0.005)


def test_killed_at_random_moments_it_ends_with_the_same_bytes(train: Path, undisturbed: Path, tmp_path: Path) -> None:
    moments = random.Random(0)
    kills = 0
    for wanted in (1, 2):
        with _training(tiny_params(), train, tmp_path) as process:
            _wait_for("*.pt", wanted, tmp_path, process)
            time.sleep(moments.uniform(0, 0.05))
            kills += process.poll() is None
    assert kills
    run(tiny_params(), train=train, gan=tmp_path / "gan", scratch=tmp_path / "scratch", track=Tracker())
    assert hashes(tmp_path / "gan") == hashes(undisturbed / "gan")


def test_sigterm_saves_says_so_and_has_its_own_exit_status(train: Path, tmp_path: Path) -> None:
    with _training(tiny_params(total_kimg=1000.0), train, tmp_path) as process:
        _wait_for("*.pt", 1, tmp_path, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 75
    output = (tmp_path / "output").read_text(encoding="utf-8")
    assert "stopped by SIGTERM, all saved" in output
    assert "Traceback" not in output
    assert not (tmp_path / "gan").exists()


class _Stopping(Tracker):
    """Sends this process a signal when it hears of the losses at `step`."""

    def __init__(self, step: int, number: signal.Signals = signal.SIGTERM) -> None:
        super().__init__()
        self.step, self.number = step, number

    def metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        if step == self.step and "loss_generator" in metrics:
            signal.raise_signal(self.number)


@pytest.mark.parametrize(("step", "number"), [(80, signal.SIGTERM), (400, signal.SIGINT)])
def test_stopped_between_checkpoints_it_saves_and_ends_with_the_same_bytes(
    step: int, number: signal.Signals, train: Path, undisturbed: Path, tmp_path: Path
) -> None:
    params = tiny_params(checkpoint_every_kimg=0.16)
    scratch = tmp_path / "scratch"
    with pytest.raises(StoppedError, match=number.name):
        run(params, train=train, gan=tmp_path / "gan", scratch=scratch, track=_Stopping(step, number))
    assert max(int(path.name[:10]) for path in scratch.rglob("*.pt")) == step
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # the stage's handler has gone
    run(params, train=train, gan=tmp_path / "gan", scratch=scratch, track=Tracker())
    expected, found = hashes(undisturbed / "gan"), hashes(tmp_path / "gan")
    for name in ("generator.json", "SHA256SUMS"):  # the first holds the parameters, the second its digest
        del expected[name], found[name]
    assert found == expected


def test_as_many_checkpoints_are_kept_as_asked_for(train: Path, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        run(tiny_params(keep_checkpoints=3), train=train, gan=tmp_path, scratch=tmp_path / "scratch", track=_Stopping(320))
    assert sorted(int(path.name[:10]) for path in (tmp_path / "scratch").rglob("*.pt")) == [160, 240, 320]


def test_the_best_generator_is_kept_and_the_same_one_after_an_interruption(
    train: Path, undisturbed: Path, tmp_path: Path
) -> None:
    params = tiny_params(best_by="swd")
    track = Tracker(tmp_path / "spool.jsonl")
    run(params, train=train, gan=tmp_path / "whole", scratch=tmp_path / "scratch", track=track)
    track.close("FINISHED")
    events = [json.loads(line) for line in (tmp_path / "spool.jsonl").read_text(encoding="utf-8").splitlines()]
    scores = {event["step"]: event["metrics"]["swd"] for event in events if "swd" in event.get("metrics", {})}
    best = json.loads((tmp_path / "whole" / "best" / "score.json").read_text(encoding="utf-8"))
    assert best == {"images_seen": min(scores, key=scores.__getitem__), "swd": min(scores.values())}
    assert load_generator(tmp_path / "whole" / "best", torch.device("cpu"))[1].images_seen == best["images_seen"]
    state = read_checkpoint((tmp_path / "whole" / "best" / "checkpoint.pt").read_bytes())
    assert int(state["images_seen"]) == best["images_seen"]

    with pytest.raises(StoppedError):
        run(params, train=train, gan=tmp_path / "gan", scratch=tmp_path / "scratch", track=_Stopping(240))
    run(params, train=train, gan=tmp_path / "gan", scratch=tmp_path / "scratch", track=Tracker())
    assert hashes(tmp_path / "gan") == hashes(tmp_path / "whole")
    weights = "generator.safetensors"
    assert hashes(tmp_path / "gan")[weights] == hashes(undisturbed / "gan")[weights]  # looking changes nothing


def test_divergence_stops_with_one_line(train: Path, tmp_path: Path) -> None:
    params = tiny_params(generator_rate=1e30, discriminator_rate=1e30)
    with pytest.raises(TrainingError, match=r"diverged before image \d+.*after 2 rollbacks.*train\.generator_rate"):
        run(params, train=train, gan=tmp_path / "gan", scratch=tmp_path / "scratch", track=Tracker())
    assert not (tmp_path / "gan").exists()


def test_short_memory_names_the_parameter_to_lower(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(
        tiny_params(), np.load(train / "train_images.npy"), np.load(train / "train_labels.npy"), 3, torch.device("cpu")
    )

    def short(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")

    monkeypatch.setattr(trainer.discriminator, "forward", short)
    with pytest.raises(TrainingError, match=r"train\.batch_size 8 and train\.accumulate 1; raise train\.accumulate"):
        trainer.step()


def test_tracking_hears_of_losses_and_pictures(train: Path, tmp_path: Path) -> None:
    track = Tracker(tmp_path / "spool.jsonl")
    run(tiny_params(), train=train, gan=tmp_path / "gan", scratch=tmp_path / "scratch", track=track)
    track.close("FINISHED")
    events = [json.loads(line) for line in (tmp_path / "spool.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = [event for event in events if "loss_generator" in event.get("metrics", {})]
    assert [event["step"] for event in losses] == [80, 160, 240, 320, 400]
    pictures = [event for event in events if event["kind"] == "picture"]
    assert [event["step"] for event in pictures] == [0, 160, 320, 400]
    assert all(Path(event["path"]).is_file() for event in pictures)


def test_a_batch_that_groups_do_not_fill_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"batch_size: not a multiple of network\.stddev_group, 2 \(it is 9\)"):
        tiny_params(batch_size=9)


def test_every_epoch_sees_every_row_once() -> None:
    sampler = EpochSampler(np.zeros(12, dtype=np.int64), batch_size=4, group=0, seed=7)
    epochs = [np.concatenate([sampler.rows(step) for step in steps]) for steps in (range(3), range(3, 6))]
    assert all(sorted(epoch.tolist()) == list(range(12)) for epoch in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()
    assert np.array_equal(sampler.rows(1), epochs[0][4:8])  # back again, as after an interruption


def test_groups_are_of_one_label_and_scarce_labels_repeat() -> None:
    labels = np.array([0] * 9 + [1] * 4 + [2])
    order = epoch_order(labels, group=4, seed=0, epoch=0)
    assert sorted(labels[order].tolist()) == [0] * 8 + [1] * 4 + [2] * 4
    assert all(len(set(labels[run])) == 1 for run in order.reshape(-1, 4))
    assert len(EpochSampler(labels, batch_size=32, group=4, seed=0).rows(5)) == 32


def test_the_rate_falls_to_nothing_over_the_last_part() -> None:
    assert [rate_scale(seen, 100, 0.4) for seen in (0, 60, 80, 100)] == pytest.approx([1, 1, 0.5, 0])
    assert rate_scale(99, 100, 0.0) == 1


def test_passed_counts_multiples() -> None:
    assert not crosses_interval(0, 8, 0.01)
    assert crosses_interval(8, 16, 0.01)
    assert crosses_interval(16, 48, 0.01)
    assert not crosses_interval(24, 29, 0.01)


def test_history_is_exact_text() -> None:
    text = history_csv([[80.0, *([0.123456789] * (len(HISTORY_COLUMNS) - 1))]])
    header, row, _ = text.split("\n")
    assert header.startswith("images,loss_discriminator,")
    assert row.startswith("80,0.1234568,")


def test_automatic_precision_asks_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cpu")
    for capabilities, expected in (({"amx_bf16": True}, "bf16"), ({"avx512_bf16": True}, "bf16"), ({"avx2": True}, "fp32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda capabilities=capabilities: capabilities)
        assert choose_precision("auto", device) == expected
    assert choose_precision("fp32", device) == "fp32"


def test_a_compiled_training_wants_a_compiler(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ParamsError, match=r"train\.compile: true, but there is no C\+\+ compiler, no-such-compiler"):
        _trainer(train, compile=True)


def test_compiled_networks_are_the_networks(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what torch.compile makes of them counted and, lest it take a minute, the networks themselves."""
    calls: list[torch.nn.Module] = []

    def counted(network: torch.nn.Module, **_: object) -> Callable[..., torch.Tensor]:
        def call(*inputs: Any) -> torch.Tensor:
            calls.append(network)
            return network(*inputs)

        return call

    monkeypatch.setattr(torch, "compile", counted)
    plain, compiled = _trainer(train), _trainer(train, compile=True)
    for trainer in (plain, compiled):
        trainer.step()
        trainer.step()
    # Two steps, of which the first is penalised: its scores are differentiated twice.
    assert calls.count(compiled.generator) == 2
    assert calls.count(compiled.discriminator) == 3
    expected, state = plain.state(), compiled.state()
    assert list(expected) == list(state)
    assert all(torch.equal(expected[key], state[key]) for key in expected)
