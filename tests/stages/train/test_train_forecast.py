"""`train --dry-run`: what it counts is right, and what it foresees comes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Never

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pipeline.errors import InputError
from pipeline.gan.forecast import FlopCounter, format_duration, lazy_period
from pipeline.gan.training import Trainer
from pipeline.stages.train import run as train_stage
from pipeline.stages.train.run import dry_run
from tests.support.captions import DIM, write_two_captions
from tests.support.training import tiny_params, write_data

ROOT = Path(__file__).parents[3]


def test_operations_are_those_that_torch_counts() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 4, 2, 1), nn.Flatten(), nn.Linear(8 * 64, 5))
    pictures = torch.randn(2, 3, 16, 16)
    with FlopCounterMode(display=False) as theirs:
        network(pictures).sum().backward()
    with FlopCounter() as ours:
        network(pictures).sum().backward()
    forwards = 2 * 2 * (8 * 64 * 3 * 16 + 8 * 64 * 5)  # a multiplication and an addition are two
    assert ours.total == theirs.get_total_flops()
    assert ours.total > 2 * forwards  # the gradients of weights, and of all but the first layer's input


def test_penalties_count_in_their_share_of_the_steps() -> None:
    assert lazy_period(tiny_params()) == 2
    off = {"r1_gamma": 0.0, "r2_gamma": 0.0, "gradient_penalty": 0.0, "interval": 8, "weight_clip": 0.0}
    assert lazy_period(tiny_params(penalties=off)) == 1
    assert lazy_period(tiny_params(penalties={**off, "r1_gamma": 1.0, "interval": 1000})) == 32


def test_durations_as_people_say_them() -> None:
    assert [format_duration(seconds) for seconds in (41.4, 700, 7500)] == ["41 s", "12 min", "2 h 05 min"]


def _write_params(folder: Path) -> None:
    shutil.copy(ROOT / "presets" / "tiny.yaml", folder / "params.yaml")
    (folder / "data" / "pictures").mkdir(parents=True)  # that the preset reads, and a mistyped name would be found


def _peak_mb(command: list[str], folder: Path) -> tuple[int, str]:
    """Most megabytes that `command` had resident, and what it printed."""
    with (folder / "output").open("w+", encoding="utf-8") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, env=os.environ | {"PYTHONPATH": str(ROOT)})
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        output.seek(0)
        return used.ru_maxrss >> 10, output.read()


def test_memory_is_what_was_foreseen_and_nothing_is_written(tmp_path: Path) -> None:
    _write_params(tmp_path)
    train = write_data(tmp_path / "train")
    command = [sys.executable, "-m", "pipeline", "train", "--params", tiny_params().model_dump_json(), "--train", str(train)]
    before = set(tmp_path.rglob("*"))
    _, output = _peak_mb([*command, "--dry-run"], tmp_path)
    assert set(tmp_path.rglob("*")) - before == {tmp_path / "output"}
    rows = {line[:15].strip(): line[15:] for line in output.splitlines()}
    assert rows["pictures"].startswith("60 of ")
    assert "for 400 images" in rows["time"]
    foreseen = int(rows["memory"].split()[0].replace(",", "")) / 1.048576
    peak, _ = _peak_mb([*command, "--gan", str(tmp_path / "gan"), "--scratch", str(tmp_path / "scratch")], tmp_path)
    assert foreseen == pytest.approx(peak, rel=0.15)
    generator = json.loads((tmp_path / "gan" / "generator.json").read_text(encoding="utf-8"))
    assert generator["images_seen"] == 400


def test_a_dry_run_has_the_networks_of_the_run_with_captions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, trained = write_data(tmp_path / "train"), []

    def note(trainer: Trainer, *_: object, **__: object) -> Never:
        trained.append(trainer)
        raise InputError("enough")

    monkeypatch.setattr(train_stage, "estimate_training", note)
    write_two_captions(train, 60)
    with pytest.raises(InputError):
        dry_run(tiny_params(condition="text"), (16, 16, 1), train)
    usual = trained[0].models.generator.usual_texts
    assert usual is not None
    assert usual.shape == (3, DIM)


def test_without_pictures_noise_stands_in(tmp_path: Path) -> None:
    output = dry_run(tiny_params(), (16, 16, 1), tmp_path / "train")
    assert "noise of 10 categories" in output
    assert "million parameters" in output
