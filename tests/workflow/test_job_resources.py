"""Memory that jobs ask a cluster for."""

import subprocess
from pathlib import Path

import pandas as pd
import pytest

from pipeline.errors import InputError
from pipeline.workflow.job_resources import memory_mb, training_memory_mb


def test_a_stage_that_holds_tables_asks_for_more_the_more_pictures_are_listed(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.parquet"
    before = memory_mb("dedup", manifest)
    pd.DataFrame({"key": range(1_000_000)}).to_parquet(manifest)
    assert memory_mb("dedup", manifest) == before + 3000
    assert memory_mb("fetch", manifest) == before, "a shard does not grow with their number"


def test_a_training_asks_for_what_its_dry_run_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def dry_run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        return subprocess.CompletedProcess(command, 0, "on             cpu\nmemory         1,600 MB at its peak\n", "")

    monkeypatch.setattr(subprocess, "run", dry_run)
    assert [training_memory_mb("{}", tmp_path) for _ in range(2)] == [2000, 2000]
    assert len(calls) == 1
    assert training_memory_mb('{"seed": 1}', tmp_path) == 2000
    assert len(calls) == 2


def test_a_dry_run_that_fails_says_why_in_its_own_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "train.batch_size: out of memory\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(InputError, match=r"cannot be forecast: train\.batch_size: out of memory"):
        training_memory_mb("{}", tmp_path)
    assert list(tmp_path.iterdir()) == []
