"""Processes of a test: started with their output in a file, waited for, and ended by their id with all that they started."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

END_S = 20
PATIENCE_S = 900


@contextmanager
def started(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that writes to `log`, in a process group of its own, which is ended when the block ends."""
    with log.open("ab") as file:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=file, start_new_session=True)
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> None:
    """Send `number` to the process group of `process` and wait; SIGKILL follows where that is not enough."""
    for each in (number, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, each)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
            return


def ran(command: Sequence[str], log: Path, folder: Path | None = None) -> None:
    """Run `command` to its end with its output in `log`, which an AssertionError shows where it fails."""
    with log.open("ab") as file:
        done = subprocess.run(command, cwd=folder, stdout=file, stderr=file, check=False)
    assert done.returncode == 0, log.read_text()


def wait_until(what: Callable[[], object], why: str) -> None:
    """Wait for `what`; raises an AssertionError that says `why` after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, why
        time.sleep(0.05)


def registered(project: Path, name: str) -> int | None:
    """The process of the job `name` that is active in `project`, as it has registered itself; None where there is none."""
    for path in (project / ".scratch/running").glob("*.json"):
        registration = json.loads(path.read_text())
        if registration["name"] == name:
            return int(registration["process_id"])
    return None
