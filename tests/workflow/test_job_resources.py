"""Memory that jobs ask a cluster for."""

import subprocess
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from pipeline.errors import InputError
from pipeline.params import STAGES, Params, parse_params
from pipeline.workflow import job_resources
from pipeline.workflow.job_resources import memory_mb, training_memory_mb

PARAMS = parse_params({stage: {} for stage in STAGES})


def with_section(params: Params, section: str, **changed: object) -> Params:
    """`params` with other values in `section`."""
    return params.model_copy(update={section: getattr(params, section).model_copy(update=changed)})


def test_a_stage_that_holds_tables_asks_for_more_the_more_pictures_are_listed(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.parquet"
    before = memory_mb("dedup", PARAMS, manifest)
    pd.DataFrame({"key": range(1_000_000)}).to_parquet(manifest)
    assert memory_mb("dedup", PARAMS, manifest) == before + 3000
    assert memory_mb("fetch", PARAMS, manifest) == before, "a shard does not grow with their number"


def test_a_stage_that_reads_the_features_of_all_pictures_asks_for_them_too(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.parquet"
    pd.DataFrame({"key": range(1_000_000)}).to_parquet(manifest)
    seen = with_section(PARAMS, "inspect", detect=["clothing"])
    near = with_section(seen, "curate", max_irrelevance=2.0)
    asked = [[memory_mb(stage, params, manifest) for params in (PARAMS, seen, near)] for stage in ("trends", "curate")]
    assert asked == [[4500, 19500, 19500], [4500, 4500, 19500]]


def test_a_training_asks_for_what_its_dry_run_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def dry_run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        return subprocess.CompletedProcess(command, 0, "on             cpu\nmemory         1,600 MB at its peak\n", "")

    monkeypatch.setattr(subprocess, "run", dry_run)
    dataset = tmp_path / "dataset.json"
    forecast = partial(training_memory_mb, dataset=dataset, folder=tmp_path / "forecasts")
    assert [forecast(PARAMS) for _ in range(2)] == [2000, 2000]
    assert len(calls) == 1
    forecast(with_section(PARAMS, "train", seed=1))
    forecast(with_section(PARAMS, "augment", height=64))
    dataset.write_text("{}")
    forecast(PARAMS)
    monkeypatch.setattr(job_resources, "import_closure", lambda _: [dataset])  # other code
    forecast(PARAMS)
    assert len(calls) == 5


def test_a_dry_run_that_fails_says_why_in_its_own_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "train.batch_size: out of memory\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(InputError, match=r"cannot be forecast: train\.batch_size: out of memory"):
        training_memory_mb(PARAMS, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
