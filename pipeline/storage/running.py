"""The processes that are active in this project. Each locks a file, which the kernel unlocks however the process ends.

The file identifies the process, including its machine, because several machines may share the project's file system.
"""

import atexit
import fcntl
import json
import os
import platform
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pydantic import PositiveInt, TypeAdapter

from pipeline.storage.files import whole_file

if TYPE_CHECKING:
    from psutil import Process

FOLDER = Path(".scratch/running")
CLOCK_TOLERANCE_S = 5.0  # psutil computes start times from the boot time, which moves when the clock is set
POLL_S = 0.1


@dataclass(frozen=True)
class Registration:
    """A process that is, or was, active here."""

    name: str
    invocation: str  # the call of snakemake or dvc that it belongs to
    host: str
    process_id: PositiveInt
    created: float  # when the process started, in seconds since 1970

    @property
    def is_local(self) -> bool:
        return self.host == platform.node()

    def path(self, folder: Path = FOLDER) -> Path:
        return folder / f"{self.host}-{self.process_id}.json"

    def process(self) -> "Process | None":
        """The process; None when it has ended, its id was reused, or it is on another machine."""
        import psutil  # which a stage without snakemake does not need

        if not self.is_local:
            return None
        try:
            process = psutil.Process(self.process_id)
            return process if abs(process.create_time() - self.created) < CLOCK_TOLERANCE_S else None
        except psutil.Error:
            return None

    def holds_its_lock(self, folder: Path = FOLDER) -> bool:
        """Whether the process, or one that it forked, is running."""
        try:
            with self.path(folder).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        except OSError:  # a file system without locks, or a file of another user
            return not self.is_local or self.process() is not None
        return False

    def forget(self, folder: Path = FOLDER) -> None:
        """Remove the file of a process that has ended."""
        with suppress(OSError):
            self.path(folder).unlink(missing_ok=True)

    def stop(self, patience_s: float, folder: Path = FOLDER) -> bool:
        """Send SIGTERM; returns whether the process ends within `patience_s`."""
        process = self.process()
        if process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + patience_s
        while self.holds_its_lock(folder):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True


def register(name: str, invocation: str, folder: Path = FOLDER) -> Registration:
    """This process's registration under `name`, which lasts until it ends. Raises OSError where `folder` cannot be written."""
    import psutil

    registration = Registration(name, invocation, platform.node(), os.getpid(), psutil.Process().create_time())
    path = registration.path(folder)
    with whole_file(path) as partial:
        partial.write_text(json.dumps(asdict(registration)), encoding="utf-8")
        file = partial.open("rb+")
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    # The file stays open until then, since closing it releases the lock.
    atexit.register(_end_registration, registration, folder.absolute(), file)
    return registration


def _end_registration(registration: Registration, folder: Path, file: IO[bytes]) -> None:
    file.close()
    if os.getpid() == registration.process_id:  # not in a forked child
        registration.forget(folder)


def other_registrations(folder: Path = FOLDER) -> list[Registration]:
    """The registrations of all other processes, including those that have ended."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            registration = TypeAdapter(Registration).validate_json(path.read_bytes(), strict=True)
        except (OSError, ValueError):  # gone by now, or damaged by a power cut
            continue
        if registration.path(folder) == path and not (registration.is_local and registration.process_id == os.getpid()):
            found.append(registration)
    return found
