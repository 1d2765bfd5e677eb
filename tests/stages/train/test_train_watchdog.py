"""Faults planted into a tiny training: each is found, reported with pictures and, where possible, mended."""

import csv
import json
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import StoppedError
from pipeline.gan.history import HISTORY_COLUMNS
from pipeline.gan.losses import LOSSES
from pipeline.gan.networks.parts import Generator
from pipeline.gan.training import Trainer
from pipeline.gan.watchdog import Watchdog, diversity, events_of_diversity, events_of_history, has_vanished, has_won, is_finite
from pipeline.stages.train.run import run
from pipeline.tracking.tracker import Tracker
from tests.support.training import hashes, tiny_params, write_data


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data") / "train")


def _train(train: Path, folder: Path, **changes: Any) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
    """Rows of events.csv and what tracking heard."""
    track = Tracker(folder / "spool.jsonl")
    run(tiny_params(**changes), train=train, gan=folder / "gan", scratch=folder / "scratch", track=track)
    track.close("FINISHED")
    heard = [json.loads(line) for line in (folder / "spool.jsonl").read_text(encoding="utf-8").splitlines()]
    table = folder / "gan" / "events.csv"
    return (list(csv.DictReader(table.read_text(encoding="utf-8").splitlines())) if table.exists() else []), heard


def _assert_reported_with_pictures(name: str, images: int, heard: list[dict[str, Any]]) -> None:
    assert [event["step"] for event in heard if event["kind"] == "event" and event["name"] == name] == [images]
    pictures = [event for event in heard if event["kind"] == "picture" and event["name"] == f"event-{name}"]
    assert [event["step"] for event in pictures] == [images]
    assert all(Path(event["path"]).is_file() for event in pictures)


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[nn.Module], None]], None]:
    """Does something to the discriminator after the step that comes to so many images, at the full rate only."""

    def planted(images: int, fault: Callable[[nn.Module], None]) -> None:
        step = Trainer.step

        def faulty(self: Trainer) -> None:
            step(self)
            if self.images_seen == images and self.rate_factor == 1:
                with torch.no_grad():
                    fault(self.discriminator)

        monkeypatch.setattr(Trainer, "step", faulty)

    return planted


def _nan(discriminator: nn.Module) -> None:
    next(discriminator.parameters()).view(-1)[0] = torch.nan


def _huge(discriminator: nn.Module) -> None:
    for weights in discriminator.parameters():
        weights.mul_(1e25)


class _Stopping(Tracker):
    """Sends SIGTERM at the first row of losses behind `step`."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        if step > self.step and "loss_generator" in metrics:
            signal.raise_signal(signal.SIGTERM)


def test_nan_goes_back_to_the_last_checkpoint_with_a_smaller_rate(
    plant: Callable[..., None], train: Path, tmp_path: Path
) -> None:
    plant(264, _nan)
    events, heard = _train(train, tmp_path / "whole")
    assert events == [
        {
            "images": "272",  # one step behind
            "name": "diverged",
            "message": "a loss, gradient or weight is not a finite number: back to image 240, rates × 0.5",
        }
    ]
    _assert_reported_with_pictures("diverged", 272, heard)
    rates = [event["metrics"]["rate"] for event in heard if "rate" in event.get("metrics", {})]
    assert rates[:3] == [0.001] * 3
    assert rates[3] == pytest.approx(0.0005 * (88 / 160))  # 312 of 400 images seen, decay over the last 160

    # The same again, interrupted before and behind the fault.
    paths: dict[str, Any] = {"train": train, "gan": tmp_path / "gan", "scratch": tmp_path / "scratch"}
    for step in (100, 300):
        with pytest.raises(StoppedError):
            run(tiny_params(), **paths, track=_Stopping(step))
    run(tiny_params(), **paths, track=Tracker())
    assert hashes(tmp_path / "gan") == hashes(tmp_path / "whole" / "gan")


def test_a_checkpoint_from_which_training_diverges_again_is_given_up_for_the_one_before(
    plant: Callable[..., None], train: Path, tmp_path: Path
) -> None:
    plant(240, _huge)
    events, _ = _train(train, tmp_path)
    assert [event["message"].split(": ")[1] for event in events] == [
        "back to image 240, rates × 0.5",
        "back to image 160, rates × 0.25",
    ]


def test_nan_in_the_weights_is_never_saved(plant: Callable[..., None], train: Path, tmp_path: Path) -> None:
    plant(240, _nan)
    events, _ = _train(train, tmp_path)
    assert [event["message"].split(": ")[1] for event in events] == ["back to image 160, rates × 0.5"]


def test_collapse_is_reported(monkeypatch: pytest.MonkeyPatch, train: Path, tmp_path: Path) -> None:
    def one_picture(_self: Generator, latents: Tensor) -> Tensor:
        return torch.zeros_like(latents)

    monkeypatch.setattr(Generator, "truncate", one_picture)
    events, heard = _train(train, tmp_path)
    assert [event["name"] for event in events] == ["collapse"]
    assert "a (0), b (0), c (0)" in events[0]["message"]
    _assert_reported_with_pictures("collapse", 320, heard)


def test_a_discriminator_that_has_won_is_reported(train: Path, tmp_path: Path) -> None:
    penalties = {"r1_gamma": 0.0, "r2_gamma": 0.0, "gradient_penalty": 0.0, "interval": 1, "weight_clip": 0.0}
    events, heard = _train(train, tmp_path, discriminator_rate=0.02, generator_rate=1e-9, penalties=penalties)
    won = [int(event["images"]) for event in events if event["name"] == "discriminator-won"]
    assert len(won) == 1
    _assert_reported_with_pictures("discriminator-won", won[0], heard)


def test_vanishing_gradients_are_told(monkeypatch: pytest.MonkeyPatch, train: Path, tmp_path: Path) -> None:
    healthy = LOSSES["non-saturating"]
    faulty = replace(healthy, generator=lambda real, fake: healthy.generator(real, fake) * 1e-9)
    monkeypatch.setitem(LOSSES, "non-saturating", faulty)
    events, heard = _train(train, tmp_path)
    assert [event["name"] for event in events] == ["vanishing-gradient-generator"]
    _assert_reported_with_pictures("vanishing-gradient-generator", 240, heard)


def test_a_healthy_training_raises_nothing(train: Path, tmp_path: Path) -> None:
    events, heard = _train(train, tmp_path)
    assert events == []
    assert not any(event["kind"] == "event" for event in heard)
    assert not (tmp_path / "gan" / "events").exists()


def test_events_are_told_once_for_as_long_as_they_last() -> None:
    def rows(losses: list[float]) -> list[list[float]]:
        return [[80.0 * (index + 1), *([loss] + [1.0] * (len(HISTORY_COLUMNS) - 2))] for index, loss in enumerate(losses)]

    losses = [1.0, 0.01, 0.01, 0.01, 0.01, 1.0, 0.01, 0.01, 0.01]
    found = [events_of_history(HISTORY_COLUMNS, rows(losses[: count + 1]), 1.386) for count in range(len(losses))]
    assert [[event.name for event in events] for events in found] == [
        *([[]] * 3),
        ["discriminator-won"],
        *([[]] * 4),
        ["discriminator-won"],
    ]


def test_what_counts_as_won_and_as_vanished() -> None:
    assert has_won([1.0, 0.01, 0.01, 0.01], 1.386)
    assert not has_won([0.01, 0.01], 1.386)  # not for long enough
    assert not has_won([0.01, 0.5, 0.01], 1.386)
    assert not has_won([-50.0, -50.0, -50.0], 0.0)  # Wasserstein: the loss has no bottom
    assert has_vanished([2.0, 3.0, 2.0, 3.0, 1e-5, 1e-5, 1e-5])
    assert not has_vanished([2.0, 3.0, 2.0, 3.0, 1e-2, 1e-2, 1e-2])
    assert has_vanished([0.0, 0.0, 0.0])


def test_diversity_is_the_root_mean_square_difference_of_pairs() -> None:
    pictures = np.zeros((5, 2, 2, 1), dtype=np.uint8)
    pictures[1] += 30
    labels = np.array([0, 0, 1, 1, 2])
    assert diversity(pictures, labels, 3) == pytest.approx([30, 0, 0])
    three = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3)).astype(np.uint8)
    flat = three.reshape(3, -1).astype(float)
    pairs = [np.mean((flat[a] - flat[b]) ** 2) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert diversity(three, np.zeros(3, dtype=np.int64), 1)[0] == pytest.approx(np.sqrt(np.mean(pairs)))


def test_a_category_collapses_after_the_first_samples() -> None:
    shares = [[0.0, 0.0, 0.01], [100.0, 0.9, 0.01], [200.0, 0.8, 0.01], [300.0, 0.05, 0.01]]
    messages = [[event.message for event in events_of_diversity(shares[:count], ["hat", "shoe"], 0.1)] for count in range(1, 5)]
    assert messages[:2] == [[], []]
    assert "shoe (0.01)" in messages[2][0]
    assert "hat (0.05)" in messages[3][0]
    assert "shoe" not in messages[3][0]


def test_a_category_of_one_real_picture_never_collapses() -> None:
    params = tiny_params().watchdog
    watchdog = Watchdog(params, ["hat"], np.zeros(1), 1.386)
    pictures, labels = np.zeros((2, 4, 4, 1), dtype=np.uint8), np.zeros(2, dtype=np.int64)
    assert not [event for images in range(4) for event in watchdog.check_samples(images, pictures, labels)]


def test_is_finite_looks_at_floats() -> None:
    assert is_finite({"steps": torch.tensor(3), "weights": torch.ones(2)})
    assert not is_finite({"weights": torch.tensor([1.0, torch.inf])})
