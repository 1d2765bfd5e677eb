"""Which stopped training is resumed, which is not, and the line that names what changed."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.errors import TrainingError
from pipeline.gan.checkpoints import read_generator_card
from pipeline.stages.train.resume import IDENTITY, changes, run_identity
from pipeline.stages.train.run import run
from pipeline.tracking.tracker import Tracker
from tests.support.training import TINY, hashes, run_and_stop_at, tiny_params, write_data

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data") / "train")


def _stop_at(step: int, train: Path, folder: Path, **parameters: Any) -> None:
    run_and_stop_at(step, tiny_params(**parameters), train, folder)


def _finish(train: Path, folder: Path, *, resume_anyway: bool = False, **parameters: Any) -> None:
    paths: dict[str, Any] = {"train": train, "gan": folder / "gan", "scratch": folder / "scratch"}
    run(tiny_params(**parameters), **paths, track=Tracker(), resume_anyway=resume_anyway)


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "pipeline.stages.train.resume"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"keep_checkpoints": 3, "log_every_kimg": 0.16, "sample_every_kimg": 0.08, "checkpoint_every_kimg": 0.16},
        {"watchdog": {**TINY["watchdog"], "max_rollbacks": 5, "min_diversity": 0.0}},
        {"total_kimg": 0.8},  # at image 160 neither schedule has begun to fall
    ],
)
def test_changes_that_do_not_decide_the_result_resume(parameters: dict[str, Any], train: Path) -> None:
    old, new = (run_identity(tiny_params(**changed), train, CPU) for changed in ({}, parameters))
    assert changes(old, new, 160) == []


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"batch_size": 16}, ["train.batch_size 8 → 16"]),
        ({"processes": 2, "accumulate": 1}, ["train.processes 1 → 2"]),
        ({"network": {**TINY["network"], "latent_dim": 4}}, ["train.network.latent_dim 8 → 4"]),
        ({"seed": 1, "loss": "hinge"}, ['train.loss "non-saturating" → "hinge"', "train.seed 0 → 1"]),
    ],
)
def test_changes_that_decide_the_result_are_named(parameters: dict[str, Any], expected: list[str], train: Path) -> None:
    old, new = (run_identity(tiny_params(**changed), train, CPU) for changed in ({}, parameters))
    assert changes(old, new, 160) == expected


@pytest.mark.parametrize(("images_seen", "total_kimg"), [(320, 0.8), (160, 0.2), (480, 0.4)])
def test_the_schedule_decides_once_the_rate_has_fallen(images_seen: int, total_kimg: float, train: Path) -> None:
    old = run_identity(tiny_params(total_kimg=1.0 if images_seen == 480 else 0.4), train, CPU)
    [found] = changes(old, run_identity(tiny_params(total_kimg=total_kimg), train, CPU), images_seen)
    assert found.startswith("train.total_kimg ")


def test_data_code_torch_and_device_decide(train: Path, tmp_path: Path) -> None:
    old = run_identity(tiny_params(), train, CPU)
    colour = run_identity(tiny_params(), write_data(tmp_path / "colour", channels=3), CPU)
    assert changes(old, colour, 0) == ["data/train: train"]
    other = replace(old, code={**old.code, "pipeline/gan/losses.py": "0"}, torch="0.1", device="cuda")
    assert changes(other, old, 0) == ["code: pipeline/gan/losses.py", f"torch 0.1 → {torch.__version__}", "device cuda → cpu"]


def test_a_longer_training_resumes_to_the_bytes_of_an_undisturbed_one(
    train: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _stop_at(80, train, tmp_path / "stopped", total_kimg=0.24)
    _finish(train, tmp_path / "stopped", total_kimg=0.4)
    _finish(train, tmp_path / "whole", total_kimg=0.4)
    assert _warnings(caplog) == []
    assert hashes(tmp_path / "stopped" / "gan") == hashes(tmp_path / "whole" / "gan")


def test_a_changed_parameter_starts_anew_with_one_line_and_keeps_the_checkpoints_until_the_end(
    train: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _stop_at(160, train, tmp_path)
    _stop_at(80, train, tmp_path, seed=1)
    [line] = _warnings(caplog)
    assert "train.seed 0 → 1" in line
    assert "--resume-anyway" in line
    assert "\n" not in line
    assert len({path.parent for path in (tmp_path / "scratch").rglob("*.pt")}) == 2
    caplog.clear()
    _finish(train, tmp_path, seed=1)  # resumes its own checkpoints
    assert _warnings(caplog) == []
    assert not list((tmp_path / "scratch").rglob("*.pt"))
    assert read_generator_card(tmp_path / "gan").resumed_across == []
    assert "resumed_across" not in (tmp_path / "gan" / "generator.json").read_text(encoding="utf-8")


def test_resumed_anyway_it_goes_on_and_the_card_records_the_change(
    train: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    _stop_at(160, train, tmp_path)
    _finish(train, tmp_path, resume_anyway=True, generator_rate=0.002)
    assert any("resuming from image 160" in record.getMessage() for record in caplog.records)
    assert read_generator_card(tmp_path / "gan").resumed_across == ["image 160: train.generator_rate 0.001 → 0.002"]


def test_checkpoints_that_do_not_fit_are_one_error(train: Path, tmp_path: Path) -> None:
    _stop_at(80, train, tmp_path)
    with pytest.raises(TrainingError, match="--resume-anyway"):
        _finish(train, tmp_path, resume_anyway=True, network={**TINY["network"], "generator_width": 8})


def test_checkpoints_of_an_older_version_start_anew_unless_resumed_anyway(
    train: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _stop_at(160, train, tmp_path)
    [identity] = (tmp_path / "scratch").rglob(IDENTITY)
    identity.unlink()
    _stop_at(80, train, tmp_path)
    assert len(_warnings(caplog)) == 1
    _finish(train, tmp_path, resume_anyway=True)
    [change] = read_generator_card(tmp_path / "gan").resumed_across
    assert change.startswith("image 160: ")
