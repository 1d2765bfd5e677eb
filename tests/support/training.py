"""A tiny training on drawn pictures, for the tests of the train stage."""

import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import StoppedError
from pipeline.gan.training import Trainer
from pipeline.params import parse_section
from pipeline.stages.train.params import TrainParams
from pipeline.stages.train.run import run
from pipeline.storage.arrays import DatasetCard, split_sha256, write_card
from pipeline.storage.files import sha256_of_file
from pipeline.tracking.tracker import Tracker
from tests.support.splits import write_split

TINY: dict[str, Any] = {
    "network": {
        "name": "resnet",
        "latent_dim": 8,
        "generator_width": 4,
        "discriminator_width": 4,
        "max_width": 8,
        "truncation": 0.9,
        "stddev_group": 2,
    },
    "penalties": {"r1_gamma": 0.5, "r2_gamma": 0.0, "gradient_penalty": 0.0, "interval": 2, "weight_clip": 0.0},
    "batch_size": 8,
    "accumulate": 1,
    "total_kimg": 0.4,
    "ema_half_life_kimg": 0.1,
    "device": "cpu",
    "precision": "fp32",
    "log_every_kimg": 0.08,
    "sample_every_kimg": 0.16,
    "samples_per_category": 3,
    "checkpoint_every_kimg": 0.08,
    "watchdog": {"min_diversity": 0.02},
}


def tiny_params(**changes: Any) -> TrainParams:
    """TINY with `changes`."""
    section = parse_section("train", json.dumps({**TINY, **changes}))
    assert isinstance(section, TrainParams)
    return section


def write_data(folder: Path, channels: int = 1) -> Path:
    """Write 60 pictures of three categories into `folder` and return it."""
    numbers = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 20)
    images = (numbers.integers(0, 60, (60, 16, 16, channels)) + labels[:, None, None, None] * 90).astype(np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    write_split(folder, "train", images, labels)
    sha256 = {"train": split_sha256(folder, "train")}
    write_card(folder, DatasetCard(["a", "b", "c"], 16, 16, channels, "none", {"train": 60}, sha256))
    return folder


def whole_and_resumed(make: Callable[[], Trainer]) -> tuple[Trainer, Trainer]:
    """A trainer after nine steps, and one that took the last five of them from another's state after four."""
    whole, first, second = make(), make(), make()
    for _ in range(9):
        whole.step()
    for _ in range(4):
        first.step()
    second.restore({key: tensor.clone() for key, tensor in first.state().items()})
    for _ in range(5):
        second.step()
    return whole, second


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under `folder`, by path."""
    return {str(path.relative_to(folder)): sha256_of_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}


class _StopAt(Tracker):
    """Sends SIGTERM when the losses at `images` are logged."""

    def __init__(self, images: int) -> None:
        super().__init__()
        self._images = images

    def metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        if step == self._images and "loss_generator" in metrics:
            signal.raise_signal(signal.SIGTERM)


def run_and_stop_at(images: int, params: TrainParams, train: Path, folder: Path) -> None:
    """Train into `folder`/gan from `folder`/scratch, and stop with a checkpoint after so many images."""
    with pytest.raises(StoppedError):
        run(params, train=train, gan=folder / "gan", scratch=folder / "scratch", track=_StopAt(images))
