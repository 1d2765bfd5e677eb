"""Commands that are not stages: a wrong option is one line and exit status 1 or 2, never a traceback; nothing is written."""

import errno
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.commands import compare, plots, remember
from pipeline.tracking.past_runs import PastRun

ROOT = Path(__file__).parents[2]
NOT_UTF8 = os.fsdecode(b"https://shop.example/\xff.jpg")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which nothing has run yet, as the working directory."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (["compare", "--limit", "0"], "--limit 0"),
        (["compare", "--limit", "-1"], "--limit -1"),
        (["compare", "--limit", str(10**9)], f"--limit {10**9}"),
        (["compare", "--limit", str(2**64)], f"--limit {2**64}"),
        (["compare", "--page", "folder"], "folder"),
        (["compare", "--page", "params.yaml/runs.html"], "params.yaml/runs.html"),
        (["compare", "--page", "n" * 300], "n" * 300),
        (["plots", "--page", "folder"], "folder"),
        (["plots", "--page", "params.yaml/plots.html"], "params.yaml/plots.html"),
        (["plots", ""], "commit"),
        (["plots", "--", "--json"], "--json"),
        (["show", "manifest"], "data/manifest.parquet"),
        (["show", "manifest", "hat"], "show manifest"),
        (["show", "picture"], "show picture"),
        (["show", "picture", ""], "not among the pictures"),
        (["show", "picture", NOT_UTF8], "not among the pictures"),
        (["attributes", "--count", "1"], "--count 1"),
        (["attributes"], "data/curated.parquet"),
        (["forget", ""], "URL"),
        (["forget", "hat"], "hat"),
        (["forget", NOT_UTF8], "URL"),
        (["remember"], "data/curated.parquet"),
        (["send", "--follow", "x"], "--until"),
        (["send", "--follow", "x", "--until", "y", "--process-id", "-1"], "--process-id -1"),
        (["send", "--follow", "x", "--until", "y", "--process-id", "0"], "--process-id 0"),
        (["send", "--follow", "x", "--until", "y", "--process-id", str(2**64)], f"--process-id {2**64}"),
        (["send", "--follow", "../x", "--until", "y", "--process-id", "1"], "--follow ../x"),
        (["send", "--follow", "..", "--until", "y", "--process-id", "1"], "--follow .."),
        (["send", "--follow", "", "--until", "y", "--process-id", "1"], "--follow"),
    ],
    ids=lambda value: ascii(" ".join(value)[:40]) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_one_line_and_nothing_is_written(
    project: Path, caplog: pytest.LogCaptureFixture, command: list[str], named: str
) -> None:
    before = sorted(project.rglob("*"))
    assert main(command) == 1
    (line,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert line.exc_info is None
    assert named in line.getMessage()
    assert "\n" not in line.getMessage()
    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize("command", [["compare", "--limit", "many"], ["remember", "x"], ["show", "pictures"], ["send", "x"]])
def test_what_argparse_refuses_ends_with_status_2(project: Path, command: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert sorted(path.name for path in project.iterdir()) == ["folder", "params.yaml"]


def test_a_page_that_cannot_be_written_at_the_end_leaves_nothing(
    project: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    passport = {"reference": {"sha256": "a" * 64}}
    run = PastRun(["here"], "2026-01-01", {"fid": {"value": 1.0, "plus_minus": 0.1, "passport": passport}}, {})
    monkeypatch.setattr(compare.recorded, "here", lambda _: [run])
    monkeypatch.setattr(compare.recorded, "of_revisions", lambda *_: [])
    monkeypatch.setattr(compare.recorded, "of_mlflow", lambda _: [])
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    assert main(["compare", "--page", "folder/runs.html"]) == 1
    assert "folder/runs.html: cannot be written" in caplog.text
    assert list((project / "folder").iterdir()) == []


@pytest.mark.parametrize("metrics", ["[]", '{"fid": 1.0}', '{"fid": {"value": 1.0}}', "null"])
def test_metrics_that_evaluate_did_not_write_are_left_out_of_compare(
    project: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, metrics: str
) -> None:
    monkeypatch.setattr(compare.recorded, "of_revisions", lambda *_: [])
    monkeypatch.setattr(compare.recorded, "of_mlflow", lambda _: [])
    (project / "reports").mkdir()
    (project / "reports" / "metrics.json").write_text(metrics)
    assert main(["compare"]) == 1
    assert "metrics.json" in caplog.text
    assert all(record.exc_info is None for record in caplog.records)


def test_show_stops_quietly_when_its_reader_has_seen_enough(project: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "pipeline", "show", "schemas"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command, cwd=project, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_a_terminal_that_knows_only_ascii_costs_characters_and_no_traceback(project: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "pipeline", "show", "schemas"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u" in done.stdout or b"\\x" in done.stdout


def test_a_file_that_the_system_refuses_is_one_line(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "data/known/00000.parquet")

    monkeypatch.setattr(remember, "run", refuse)
    assert main(["remember"]) == 1
    (record,) = caplog.records
    assert record.exc_info is None
    assert "data/known/00000.parquet" in record.getMessage()


def test_an_interrupted_command_is_one_line(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(plots, "run", interrupt)
    assert main(["plots"]) == 130
    assert [record.exc_info for record in caplog.records] == [None]
