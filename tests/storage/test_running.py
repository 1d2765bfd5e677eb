"""Registrations of processes: known by a lock that ends with the process, however it ends, and never taken for another's."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from pipeline.storage import running
from pipeline.storage.running import Registration

ROOT = Path(__file__).parents[2]
REGISTERED = (
    "import sys, time; from pipeline.storage import running; running.register(*sys.argv[1:]); print('here', flush=True); "
)

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a process that registers in the current folder, a new one, and then runs some Python."""
    monkeypatch.chdir(tmp_path)
    started: list[subprocess.Popen[str]] = []

    def run(name: str, invocation: str = "one", then: str = "time.sleep(600)") -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", REGISTERED + then, name, invocation]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_a_live_process_is_registered_and_a_killed_one_holds_nothing(start: Start) -> None:
    process = start("train")
    [registration] = running.other_registrations()
    assert (registration.name, registration.invocation, registration.process_id) == ("train", "one", process.pid)
    assert registration.holds_its_lock()
    process.kill()
    process.wait()
    assert running.other_registrations() == [registration]
    assert not registration.holds_its_lock()
    assert registration.process() is None


def test_a_process_that_ends_leaves_no_registration(start: Start) -> None:
    start("train", then="pass").wait()
    assert running.other_registrations() == []
    assert list(running.FOLDER.iterdir()) == []


def test_stop_ends_the_process_by_sigterm(start: Start) -> None:
    process = start("train")
    [registration] = running.other_registrations()
    assert registration.stop(patience_s=30)
    assert process.wait(30) == -15


def test_stop_gives_up_on_a_process_that_ignores_sigterm(start: Start) -> None:
    deaf = start("train", then="import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)")
    assert deaf.stdout is not None
    assert deaf.stdout.readline() == "deaf\n"
    [registration] = running.other_registrations()
    assert not registration.stop(patience_s=0.3)


def test_a_number_that_now_belongs_to_another_process_is_never_signalled(start: Start) -> None:
    process = start("train")
    [registration] = running.other_registrations()
    reused = replace(registration, created=registration.created - 1000)
    assert reused.process() is None
    assert not reused.stop(patience_s=0.2)
    assert process.poll() is None


def test_a_registration_of_another_machine_is_not_looked_up_here() -> None:
    here = psutil.Process()
    elsewhere = Registration("train", "one", "another-machine", here.pid, here.create_time())
    assert elsewhere.process() is None


def _registered(**damaged: object) -> str:
    return json.dumps(asdict(Registration("train", "one", "vm", 1, 0.0)) | damaged)


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "\0\0\0\0", "[]", '{"name": "train"}', '"train"', "[" * 100_000),
        *(_registered(process_id="1"), _registered(process_id=-1), _registered(created=None)),
        *(_registered(host="../vm"), _registered(host="v\0m")),
    ],
)
def test_a_damaged_registration_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.chdir(tmp_path)
    running.FOLDER.mkdir(parents=True)
    (running.FOLDER / "vm-1.json").write_text(content)
    whole = Registration("train", "one", "another-machine", 1, 0.0)
    whole.path().write_text(json.dumps(asdict(whole)))
    assert running.other_registrations() == [whole]


def test_a_file_system_without_locks_goes_by_the_process(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    start("train")
    [registration] = running.other_registrations()

    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(running.fcntl, "flock", no_locks)
    assert registration.holds_its_lock()
    gone = replace(registration, created=0.0)
    assert not gone.holds_its_lock()
    elsewhere = replace(registration, host="another-machine")
    elsewhere.path().write_text("{}")
    assert elsewhere.holds_its_lock(), "what cannot be known counts as alive"
