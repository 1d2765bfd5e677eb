"""Queues of long work in the background, with progress and cancellation."""

import logging
import secrets
from collections import OrderedDict
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import AtelierError

log = logging.getLogger(__name__)

MAX_UNFINISHED = 8  # per queue
MAX_KEPT = 64  # jobs, finished ones included

State = Literal["waiting", "running", "done", "failed", "cancelled"]


class BusyError(Exception):
    """Too much work is waiting."""


@dataclass(frozen=True)
class Progress:
    """How far a job is, and its latest results."""

    share: float
    picture: NDArray[np.uint8] | None = None  # (H, W, C), the latest
    result: dict[str, object] = field(default_factory=dict)


@dataclass
class Job:
    """A piece of work. Setting `cancelled` stops it at its next step."""

    id: str
    recipe: dict[str, object]  # of its picture
    state: State = "waiting"
    progress: Progress = field(default_factory=lambda: Progress(0.0))
    reason: str = ""  # why it failed
    cancelled: bool = False


class JobQueue:
    """Runs jobs one at a time, in order."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = Lock()

    def submit(self, work: Generator[Progress, None, None], recipe: dict[str, object]) -> Job:
        """Queue a job that runs `work` to its end. Raises BusyError."""
        with self._lock:
            if sum(job.state in ("waiting", "running") for job in self._jobs.values()) >= MAX_UNFINISHED:
                raise BusyError("the studio is busy; try again in a minute")
            job = Job(secrets.token_urlsafe(9), recipe)
            self._jobs[job.id] = job
            finished = [old.id for old in self._jobs.values() if old.state not in ("waiting", "running")]
            for old in finished[: max(len(self._jobs) - MAX_KEPT, 0)]:
                del self._jobs[old]
        self._pool.submit(self._run, job, work)
        return job

    def get(self, name: str) -> Job | None:
        """The job called `name`; None if it is unknown or no longer kept."""
        with self._lock:
            return self._jobs.get(name)

    def forget(self, name: str) -> None:
        """Cancel the job called `name` and remove it with its picture."""
        with self._lock:
            job = self._jobs.pop(name, None)
        if job is not None:
            job.cancelled = True

    def close(self) -> None:
        """Cancel all jobs and wait for the running one to stop."""
        with self._lock:
            for job in self._jobs.values():
                job.cancelled = True
        self._pool.shutdown(cancel_futures=True)

    def _run(self, job: Job, work: Generator[Progress, None, None]) -> None:
        try:
            if not job.cancelled:
                job.state = "running"
                for progress in work:
                    job.progress = progress
                    if job.cancelled:
                        break
            job.state = "cancelled" if job.cancelled else "done"
        except AtelierError as error:
            job.reason, job.state = str(error), "failed"
        except Exception:
            log.exception("job %s", job.id)
            job.reason, job.state = "something went wrong; see the studio's log", "failed"
        finally:
            work.close()
