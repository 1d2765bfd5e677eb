"""What a job notes: one line an event, in a spool of its own, or nowhere."""

import json
from pathlib import Path

import pytest

from pipeline.tracking.tracker import Tracker, spool_of_job


def test_without_a_spool_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATELIER_INVOCATION", raising=False)
    track = Tracker(spool_of_job(Path("logs/train.log")))
    track.metrics({"loss": 1.0})
    track.close("FINISHED")
    assert list(tmp_path.iterdir()) == []


def test_a_sharded_job_has_a_spool_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_INVOCATION", "one")
    assert spool_of_job(Path("logs/train.log")) == Path("logs/tracking/one/train.jsonl")
    assert spool_of_job(Path("logs/fetch/00003.log")) == Path("logs/tracking/one/fetch-00003.jsonl")


def test_events_are_readable_json(tmp_path: Path) -> None:
    track = Tracker(tmp_path / "t.jsonl")
    track.metrics({"loss": 1})
    track.close("FAILED")
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert kinds == ["metrics", "end"]
