"""Snakemake and DVC where something is wrong: one line that says what and what to do, and the next run makes it good."""

import errno
import fcntl
import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import yaml

from pipeline.__main__ import main
from pipeline.storage import running
from pipeline.tracking.tracker import INVOCATION_VARIABLE, Tracker
from pipeline.workflow import snakemake_dvc_sync as sync
from tests.support.checkout import Checkout, clean_environment

pytestmark = [pytest.mark.graph, pytest.mark.timeout(900)]

MANIFEST = "data/manifest.parquet"
COLLECT = ["snakemake", "--cores", "1", MANIFEST]
ODD = "{shard} {x} ${y} ${collect.source} $HOME ~ %s %(a)s \"q' `id` \\ \n {{z}} #é"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout.make(tmp_path / "project")


def _lines(output: str, word: str) -> list[str]:
    return [line for line in output.splitlines() if word in line]


def test_nothing_of_params_is_expanded_by_snakemake_dvc_or_the_shell(checkout: Checkout) -> None:
    def make_odd(collect: dict[str, Any]) -> None:
        collect["folder"] = {"path": f"data/{ODD}", "licence": ODD}
        collect["crawl"] = {"categories": {"Dresses": ODD}}
        sites = {"start": ["https://shop.example/{x}"], "domains": ["{x}"], "follow": "/p/[0-9]{4}", "sitemaps": True}
        collect["crawl"]["sites"] = [sites | {"max_depth": 1, "max_pages": 1, "max_pictures": 1}]

    (checkout.folder / "data/pictures").rename(checkout.folder / "data" / ODD)
    checkout.change("collect", make_odd)
    checkout.run(*COLLECT)
    assert set(pd.read_parquet(checkout.folder / MANIFEST, columns=["licence"])["licence"]) == {ODD}
    lock = yaml.safe_load((checkout.folder / "dvc.lock").read_text())["stages"]["collect"]
    assert lock["params"]["params.yaml"]["collect"] == checkout.params()["collect"]
    assert "Nothing to be done" in checkout.run(*COLLECT)
    assert "up to date" in checkout.run("dvc", "status", "collect")
    checkout.change("collect", lambda collect: collect["folder"].update(licence="{other}"))
    assert "checkpoint collect" in checkout.run(*COLLECT, "--dry-run")


def test_files_that_dvc_cannot_version_are_named_before_and_cost_only_their_rows(checkout: Checkout) -> None:
    dress = checkout.folder / "data/pictures/dress"
    (dress / "gone.png").symlink_to("/nonexistent/gone.png")
    (dress / "loop.png").symlink_to("loop.png")
    (dress / "zero.jpg").symlink_to("/dev/zero")
    os.mkfifo(dress / "pipe.jpg")
    os.rename(dress / "000.png", dress / os.fsdecode(b"caf\xe9.png"))  # noqa: PTH104 a name that is not UTF-8
    fetch = ["snakemake", "--cores", "1", "fetch_all"]
    output = checkout.run(*fetch)
    before, after = _lines(output, "versioning")
    assert "data/pictures/dress/caf\\xe9.png" in before
    assert "4 more" in before
    assert "collect, fetch" in after
    assert "Traceback" not in output
    raw = pd.concat(pd.read_parquet(path) for path in (checkout.folder / "data/raw").glob("*.parquet"))
    ends = {Path(url).name: status for url, status in zip(raw["url"], raw["status"], strict=True) if status != "ok"}
    assert ends == {"gone.png": "failed", "loop.png": "failed", "zero.jpg": "refused", "pipe.jpg": "refused"}

    (checkout.folder / ".dvcignore").write_text("gone.png\nloop.png\n*.jpg\ncaf?.png\n")
    assert "Nothing to be done" in checkout.run(*fetch, "--dry-run")
    assert not (checkout.folder / "dvc.lock").exists(), "a dry run records nothing"
    assert "Nothing to be done" in checkout.run(*fetch)
    assert "up to date" in checkout.run("dvc", "status", "collect", "fetch")


@pytest.mark.slow
def test_what_dvc_could_not_record_is_recorded_by_the_next_run(checkout: Checkout) -> None:
    (checkout.folder / ".dvc/tmp").mkdir(exist_ok=True)
    with (checkout.folder / ".dvc/tmp/lock").open("a+") as file:  # as `dvc push` does
        fcntl.flock(file, fcntl.LOCK_EX)
        [line] = _lines(checkout.run(*COLLECT), "versioning")
        assert "nable to acquire lock" in line
        assert "dvc commit --force collect" in line
        output = checkout.run(*COLLECT)
        assert "Nothing to be done" in output
        assert len(_lines(output, "nable to acquire lock")) == 1
    checkout.run(*COLLECT, "--dry-run")
    assert not (checkout.folder / "dvc.lock").exists()
    output = checkout.run(*COLLECT)
    assert "Nothing to be done" in output
    assert _lines(output, "versioning") == []
    assert "up to date" in checkout.run("dvc", "status", "collect")


def test_a_damaged_record_is_named_and_one_that_was_deleted_is_made_anew(checkout: Checkout) -> None:
    checkout.run(*COLLECT)
    lock = checkout.folder / "dvc.lock"
    recorded = lock.read_bytes()
    lock.write_bytes(b"\0" * 100)
    [line] = _lines(checkout.run(*COLLECT), "versioning")
    assert "dvc.lock: damaged" in line
    lock.unlink()
    assert _lines(checkout.run(*COLLECT), "versioning") == []
    assert lock.read_bytes() == recorded


def test_after_kill_9_the_same_command_goes_on(checkout: Checkout) -> None:
    locks = checkout.folder / ".snakemake/locks"
    with subprocess.Popen(
        COLLECT, cwd=checkout.folder, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as killed:
        while not list(locks.glob("*.output.lock")):
            assert killed.poll() is None
            time.sleep(0.02)
        killed.kill()
    assert list(locks.iterdir())

    assert len(_lines(checkout.run(*COLLECT), "unlocked")) == 1
    assert "collect" in yaml.safe_load((checkout.folder / "dvc.lock").read_text())["stages"]
    assert list((checkout.folder / running.FOLDER).iterdir()) == []


@pytest.mark.parametrize("folder", [".scratch", "logs"])
def test_a_folder_that_cannot_be_written_is_one_line_before_any_work(checkout: Checkout, folder: str) -> None:
    (checkout.folder / folder).write_text("a file in its place")
    output = checkout.run(*COLLECT, expect=1)
    assert "Traceback" not in output
    [line] = _lines(output, "run the same command again")
    assert line.startswith(folder)
    assert not (checkout.folder / MANIFEST).exists()


def test_the_outputs_of_a_subfolder_are_recorded_in_the_repository_around_it(checkout: Checkout, tmp_path: Path) -> None:
    (checkout.folder / ".git").rename(tmp_path / ".git")
    assert _lines(checkout.run(*COLLECT), "versioning") == []
    assert "up to date" in checkout.run("dvc", "status", "collect")


@pytest.fixture
def session(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> sync.SnakemakeSession:
    """What a Snakefile would have, with a run in which nothing was to be done."""
    monkeypatch.chdir(checkout.folder)
    monkeypatch.setenv(INVOCATION_VARIABLE, "one")
    monkeypatch.setenv("PATH", os.environ["PATH"])
    return _new_session()


def _collect_lists() -> None:
    """Have params.yaml collect from lists."""
    params = yaml.safe_load(sync.PARAMS_FILE.read_text())
    params["collect"]["source"] = "list"
    params["fetch"]["web"] = {"contact": "you@shop.example"}
    sync.PARAMS_FILE.write_text(yaml.safe_dump(params))


def _new_session() -> sync.SnakemakeSession:
    workflow: Any = SimpleNamespace(is_main_process=False, dag=SimpleNamespace(jobs=[]))
    return sync.SnakemakeSession(workflow)


def _run_of(*jobs: str) -> Any:
    """A workflow whose `jobs`, names of their stages, have all finished."""
    found = [SimpleNamespace(rule=SimpleNamespace(name=name), output=[f"{name}/{row}"]) for row, name in enumerate(jobs)]
    return SimpleNamespace(dag=SimpleNamespace(jobs=found, finished=lambda _: True, needrun=lambda _: True))


def test_a_stage_is_recorded_when_the_jobs_of_all_its_shards_have_finished(
    session: sync.SnakemakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed: list[list[str]] = []

    def commit(stages: list[str], _: object) -> list[str]:
        committed.append(stages)
        return []

    monkeypatch.setattr(sync, "_commit", commit)
    monkeypatch.setattr(sync.SnakemakeSession, "shards", ["00000", "00001"])
    for jobs, expected, pending in (
        (["collect", "fetch"], ["collect"], {"fetch": ["fetch_all"]}),
        (["collect", "fetch", "fetch"], ["collect", "fetch"], {}),
    ):
        monkeypatch.setattr(session, "_workflow", _run_of(*jobs))
        sync._remember(pending=session._outputs())
        session._record_results()
        assert committed.pop() == expected
        assert sync._pending() == pending


def test_lists_with_names_that_snakemake_would_expand_are_watched_all_the_same(session: sync.SnakemakeSession) -> None:
    _collect_lists()
    names = ["plain.csv", "a{shard}.csv", "new\nline.csv", os.fsdecode(b"caf\xe9.csv")]
    for name in names:
        Path("data/lists", name).write_text("url\n")
    before = _new_session()
    assert before.lists == ["data/lists/plain.csv"]
    for name in names[1:]:
        state = _new_session().state_of_sources
        Path("data/lists", name).write_text("url\nhttps://shop.example/a.jpg\n")
        assert _new_session().state_of_sources != state
    assert session.state_of_sources != before.state_of_sources


def test_a_list_that_is_a_pipe_or_a_dangling_link_stops_the_run_with_its_name(
    session: sync.SnakemakeSession, capsys: pytest.CaptureFixture[str]
) -> None:
    _collect_lists()
    for make in (os.mkfifo, lambda path: path.symlink_to("nowhere.csv")):
        make(Path("data/lists/odd.csv"))
        with pytest.raises(SystemExit):
            _new_session()
        assert "data/lists/odd.csv" in capsys.readouterr().err
        Path("data/lists/odd.csv").unlink()
    assert session.lists == []


def _full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("writer", ["write_json", "Tracker"])
def test_a_full_disk_at_the_end_is_one_line_and_no_waiting(
    session: sync.SnakemakeSession, writer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen(["sleep", "600"]) as sender:
        monkeypatch.setattr(session, "_sender", sender)
        monkeypatch.setattr(sync, writer, _full_disk)
        session.ended("FINISHED")
        assert sender.poll() is None
        sender.kill()
    [line] = capsys.readouterr().err.splitlines()
    assert "No space left on device" in line


def test_a_full_disk_at_the_start_stops_the_run_with_one_line(
    session: sync.SnakemakeSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sync, "write_json", _full_disk)
    with pytest.raises(SystemExit) as caught:
        session.started()
    assert caught.value.code == 1
    assert "No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize(
    "state", ["", "null", "[]", "{", '{"pending": []}', '{"pending": {"stages": 1, "train": null}}', "\0\0"]
)
def test_a_damaged_note_of_what_is_pending_counts_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    monkeypatch.chdir(tmp_path)
    sync.STATE_FILE.parent.mkdir()
    sync.STATE_FILE.write_text(state)
    assert sync._pending() == {}
    sync._remember(pending={"train": ["models/gan"]})
    assert sync._pending() == {"train": ["models/gan"]}


def _stage(tmp_path: Path, log: str) -> int:
    paths = {
        "manifest": MANIFEST,
        "by-shard": "data/manifest",
        "downloads": "data/sources",
        "forgotten": "forgotten.csv",
        "scratch": ".scratch/web",
    }
    options = [word for name, path in paths.items() for word in (f"--{name}", str(tmp_path / path))]
    return main(["collect", "--log", log, *options])


def test_a_stage_whose_log_or_spool_cannot_be_written_ends_with_one_line(
    session: sync.SnakemakeSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert session.params.collect.source == ["folder"]
    for blocked in ("logs", ".scratch"):
        Path(blocked).write_text("a file in its place")
        assert _stage(tmp_path, "logs/collect.log") == 1
        assert "Traceback" not in capsys.readouterr().err
        Path(blocked).unlink()


def test_a_stage_that_is_finished_does_not_fail_over_its_note_to_mlflow(
    session: sync.SnakemakeSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert session.params.collect.source == ["folder"]
    close = Tracker.close

    def fail(track: Tracker, status: str) -> None:
        close(track, status)
        _full_disk()

    monkeypatch.setattr(Tracker, "close", fail)
    assert _stage(tmp_path, "logs/collect.log") == 0
    assert (tmp_path / MANIFEST).is_file()
