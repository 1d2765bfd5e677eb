"""What happened, noted for MLflow without ever waiting for it; `sending` tells it.

A job appends events to a spool, a JSON-lines file of its own under logs/tracking/INVOCATION/. One sender an invocation
reads the spools and tells MLflow as they grow. While MLflow is away the spools wait. Nothing is lost, and no job is slowed.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

INVOCATION_VARIABLE = "ATELIER_INVOCATION"  # names one call of a front door; its jobs, on whatever machine, inherit it
SPOOLS = Path("logs/tracking")
PARENT = "invocation"  # the spool of the invocation itself


def spool_of_job(log_path: Path | None) -> Path | None:
    """The spool of the job that logs to `log_path` (logs/STAGE.log or logs/STAGE/SHARD.log); None outside an invocation."""
    invocation = os.environ.get(INVOCATION_VARIABLE)
    if invocation is None or log_path is None:
        return None
    parts = [part for part in log_path.with_suffix("").parts if part != "logs"]
    return SPOOLS / invocation / f"{'-'.join(parts)}.jsonl"


class Tracker:
    """Appends the events of one job to its spool; without a spool (tests, notebooks) it does nothing."""

    def __init__(self, spool: Path | None = None) -> None:
        self._file = None
        if spool is not None:
            spool.parent.mkdir(parents=True, exist_ok=True)
            self._file = spool.open("a", encoding="utf-8")

    def _append(self, kind: str, **content: Any) -> None:
        if self._file is not None:
            self._file.write(json.dumps({"kind": kind, "time_ms": time.time_ns() // 1_000_000, **content}) + "\n")
            self._file.flush()

    def params(self, params: dict[str, Any]) -> None:
        """The stage's parameters, flat or nested."""
        self._append("params", params=params)

    def metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Numbers at `step`; in training a step is one picture seen."""
        self._append("metrics", metrics={name: float(value) for name, value in metrics.items()}, step=step)

    def picture(self, path: Path, name: str, *, step: int = 0) -> None:
        """A PNG shown as an image of series `name` at `step`."""
        self._append("picture", path=os.fspath(path), name=name, step=step)

    def event(self, name: str, told: str, *, step: int = 0) -> None:
        """Something that went wrong at `step`; its pictures are the series event-NAME."""
        self._append("event", name=name, told=told, step=step)

    def artifact(self, path: Path) -> None:
        """A file, or a folder with all its files, kept with the run."""
        self._append("artifact", path=os.fspath(path))

    def tags(self, tags: dict[str, str]) -> None:
        """Words to find the run by."""
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
        )

    def evaluated(self, metrics: Path, generator_sha256: str) -> None:
        """metrics.json of that generator, which decides whether its registered version becomes the champion."""
        self._append("evaluated", path=os.fspath(metrics), generator_sha256=generator_sha256)

    def close(self, status: str) -> None:
        """End the job as FINISHED, FAILED or KILLED."""
        self._append("end", status=status)
        if self._file is not None:
            self._file.close()
            self._file = None
