"""What killed runs leave is cleared away, and nothing of a run that may be alive."""

import json
import os
import platform
from dataclasses import asdict
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.storage import running
from pipeline.storage.running import Registration
from pipeline.workflow import recovery
from tests.storage.test_running import Start, start  # noqa: F401 a fixture

LOCK = recovery.SNAKEMAKE_LOCKS / "0.output.lock"


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder is a new one that holds a lock of Snakemake's."""
    monkeypatch.chdir(tmp_path)
    LOCK.parent.mkdir(parents=True)
    LOCK.write_text("data/manifest.parquet\n")


def _leave(registration: Registration) -> None:
    """Leave the registration of a process that does not hold its lock."""
    registration.path().parent.mkdir(parents=True, exist_ok=True)
    registration.path().write_text(json.dumps(asdict(registration)))


@pytest.mark.usefixtures("locked")
def test_the_lock_of_a_killed_run_is_removed(capsys: pytest.CaptureFixture[str]) -> None:
    _leave(Registration(recovery.RUN, "one", platform.node(), os.getppid(), 1.0))  # its number is another process's now
    assert not recovery.is_free()
    assert recovery.clean_up()
    assert recovery.is_free()
    assert not LOCK.exists()
    assert list(running.FOLDER.iterdir()) == []
    assert capsys.readouterr().err.startswith("unlocked: ")


@pytest.mark.usefixtures("locked")
def test_the_lock_of_a_live_run_stays(start: Start, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    process = start(recovery.RUN)
    _leave(Registration(recovery.RUN, "dead", platform.node(), 1, 1.0))
    assert not recovery.clean_up()
    assert LOCK.exists()
    assert f"process {process.pid}" in capsys.readouterr().err


@pytest.mark.usefixtures("locked")
def test_the_lock_of_a_run_on_another_machine_stays_until_the_user_says_that_it_is_dead(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _leave(Registration(recovery.RUN, "one", "another-machine", 7, 1.0))
    assert not recovery.clean_up()
    assert LOCK.exists()
    output = capsys.readouterr().err
    assert "another-machine" in output
    assert "snakemake --unlock" in output
    recovery.forget_runs_elsewhere()
    assert running.other_registrations() == []


@pytest.mark.usefixtures("locked")
def test_a_lock_whose_owner_is_unknown_stays(capsys: pytest.CaptureFixture[str]) -> None:
    assert recovery.clean_up()
    assert LOCK.exists()
    assert "snakemake --unlock" in capsys.readouterr().err


def test_a_job_of_a_killed_run_is_ended_and_one_of_a_live_run_is_not(
    start: Start,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    start(recovery.RUN, "alive")
    child = start("fetch-00001", "alive")
    orphan = start("train", "killed")
    _leave(Registration(recovery.RUN, "killed", platform.node(), 1, 1.0))
    assert not recovery.clean_up()
    assert orphan.wait(30) == -15
    assert child.poll() is None
    assert capsys.readouterr().err.startswith(f"train: ended process {orphan.pid}")


def test_a_job_that_cannot_be_ended_stops_the_run(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    deaf = start("train", then="import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)")
    assert deaf.stdout is not None
    assert deaf.stdout.readline() == "deaf\n"
    monkeypatch.setattr(recovery, "ORPHAN_PATIENCE_S", 0.2)
    with pytest.raises(InputError) as caught:
        recovery.clean_up()
    assert str(deaf.pid) in str(caught.value)
