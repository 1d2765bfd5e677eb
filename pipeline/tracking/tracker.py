"""Events of a job, recorded for MLflow without waiting for it; `sending` logs them there.

A job appends events to its spool, a JSON-lines file under logs/tracking/INVOCATION/. One sender for each invocation reads the
spools as they grow and logs to MLflow. The files of an event are copied beside the spool, because the next run overwrites them;
the sender removes a copy once MLflow has it. While MLflow cannot be reached, spools and copies stay.
"""

import errno
import json
import logging
import os
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.storage.files import copy_with_sha256, remove

log = logging.getLogger(__name__)

INVOCATION_VARIABLE = "ATELIER_INVOCATION"  # names one call of snakemake or dvc; its jobs, on whatever machine, inherit it
SPOOLS = Path("logs/tracking")
PARENT = "invocation"  # the spool of the invocation itself
KEPT = "kept"  # folder beside the spools: a folder an event, with copies of its files
MAX_KEPT_BYTES = 8 << 30  # of all invocations together, while MLflow is away


def spool_of_job(log_path: Path | None) -> Path | None:
    """The spool of the job that logs to `log_path` (logs/STAGE.log or logs/STAGE/SHARD.log); None outside an invocation."""
    invocation = os.environ.get(INVOCATION_VARIABLE)
    if invocation is None or log_path is None:
        return None
    parts = [part for part in log_path.with_suffix("").parts if part != "logs"]
    return SPOOLS / invocation / f"{'-'.join(parts)}.jsonl"


class LineFile:
    """An append-only file of lines; a line that a kill or a full disk cut short is terminated before the next one."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab+", buffering=0)
        self._torn = self._ends_in_mid_line()

    def _ends_in_mid_line(self) -> bool:
        if self._file.seek(0, os.SEEK_END) == 0:
            return False
        self._file.seek(-1, os.SEEK_END)
        return self._file.read(1) != b"\n"

    def append(self, line: bytes) -> None:
        """Write `line`, which has no newline, with one. Raises OSError when the disk is full."""
        content = b"\n" * self._torn + line + b"\n"
        self._torn = True
        if self._file.write(content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)
        self._torn = False

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _bytes_below(folders: list[Path]) -> int:
    total = 0
    for file in (file for folder in folders for file in folder.rglob("*")):
        with suppress(FileNotFoundError):  # the sender has just removed it
            total += file.stat().st_size if file.is_file() else 0
    return total


class KeptFiles:
    """Copies of the files of events under `folder`, a folder for each event, at most `max_bytes` for all invocations."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._bytes: int | None = None  # at most; counted with the first file, and again before one is refused

    def keep(self, path: Path) -> dict[str, Any]:
        """Copy the file or folder at `path`; returns the event's fields `kept` and `files`, or `not_kept` with the reason."""
        sources = {path.name: path} if path.is_file() else {}
        if path.is_dir():
            sources = {str(file.relative_to(path)): file for file in sorted(path.rglob("*")) if file.is_file()}
        added = sum(file.stat().st_size for file in sources.values())
        if self._bytes is None or self._bytes + added > self._max_bytes:  # the sender removes what MLflow has
            self._bytes = _bytes_below(list(self._folder.parent.parent.glob(f"*/{KEPT}")))
        if self._bytes + added > self._max_bytes:
            return {"not_kept": f"files that wait for MLflow would take more than {self._max_bytes >> 30} GiB"}
        copies = self._folder / uuid.uuid4().hex
        try:
            digests = {name: copy_with_sha256(file, copies / name) for name, file in sources.items()}
        except OSError as error:
            remove(copies)
            return {"not_kept": error.strerror or str(error)}
        self._bytes += added
        return {"kept": copies.name, "files": digests}


class Tracker:
    """Appends the events of one job to its spool; without a spool (tests, notebooks) it does nothing."""

    def __init__(self, spool: Path | None = None, *, max_kept_bytes: int = MAX_KEPT_BYTES) -> None:
        self._spool = None
        if spool is not None:
            spool.parent.mkdir(parents=True, exist_ok=True)
            self._spool = LineFile(spool)
            self._kept = KeptFiles(spool.parent / KEPT, max_kept_bytes)

    def _append(self, kind: str, **content: Any) -> None:
        if self._spool is not None:
            event = {"kind": kind, "time_ms": time.time_ns() // 1_000_000, **content}
            self._spool.append(json.dumps(event).encode())

    def _keep(self, path: Path) -> dict[str, Any]:
        if self._spool is None:
            return {}
        kept = self._kept.keep(path)
        if "not_kept" in kept:
            log.warning("%s: will be missing in MLflow (%s)", path, kept["not_kept"])
        return kept

    def params(self, params: dict[str, Any]) -> None:
        """The stage's parameters, one level as `flat` makes it, or nested."""
        self._append("params", params=params)

    def metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Numbers at `step`; in training a step is one picture seen."""
        self._append("metrics", metrics={name: float(value) for name, value in metrics.items()}, step=step)

    def picture(self, path: Path, name: str, *, step: int = 0) -> None:
        """A PNG shown as an image of series `name` at `step`."""
        self._append("picture", path=os.fspath(path), name=name, step=step, **self._keep(path))

    def event(self, name: str, message: str, *, step: int = 0) -> None:
        """Something that went wrong at `step`, described by `message`; its pictures are the series event-NAME."""
        self._append("event", name=name, message=message, step=step)

    def artifact(self, path: Path) -> None:
        """A file, or a folder with all its files, kept with the run."""
        self._append("artifact", path=os.fspath(path), **self._keep(path))

    def tags(self, tags: dict[str, str]) -> None:
        """Tags by which the run can be found."""
        self._append("tags", tags=tags)

    def note(self, text: str) -> None:
        """Markdown that describes the whole invocation."""
        self._append("note", text=text)

    def dataset(self, name: str, sha256: str, source: Path, *, context: str, profile: Mapping[str, Any]) -> None:
        """Data that the job reads: its SHA-256, where it lies in the project, what it is for, and counts or shapes of it."""
        self._append("dataset", name=name, sha256=sha256, source=os.fspath(source), context=context, profile=dict(profile))

    def model(self, path: Path, registered_name: str, generator_sha256: str, about: str) -> None:
        """The ONNX file of that generator, registered as the next version of `registered_name` with the text `about`."""
        self._append(
            "model",
            path=os.fspath(path),
            registered_name=registered_name,
            generator_sha256=generator_sha256,
            about=about,
            **self._keep(path),
        )

    def evaluated(self, metrics: Path, generator_sha256: str) -> None:
        """metrics.json of that generator, which decides whether its registered version becomes the champion."""
        self._append("evaluated", path=os.fspath(metrics), generator_sha256=generator_sha256, **self._keep(metrics))

    def close(self, status: str) -> None:
        """End the job as FINISHED, FAILED or KILLED."""
        self._append("end", status=status)
        if self._spool is not None:
            self._spool.close()
            self._spool = None
