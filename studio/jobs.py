"""Long work in the background: queued, watched, cancelled. Lanes keep slow work from holding up quick work."""

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

MAX_WAITING = 8  # per lane
MAX_KEPT = 64

State = Literal["waiting", "running", "done", "failed", "cancelled"]


class BusyError(Exception):
    """As much work is waiting as may."""


@dataclass(frozen=True)
class Progress:
    """Where a job stands."""

    share: float
    picture: NDArray[np.uint8] | None = None  # (H, W, C), the latest
    result: dict[str, object] = field(default_factory=dict)


@dataclass
class Job:
    """A piece of work; `cancelled` asks it to stop at its next step."""

    id: str
    recipe: dict[str, object]  # what brings its picture back
    state: State = "waiting"
    progress: Progress = field(default_factory=lambda: Progress(0.0))
    reason: str = ""  # why it failed
    cancelled: bool = False


class JobQueue:
    """One job at a time, the others waiting in line."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = Lock()

    def submit(self, work: Generator[Progress, None, None], recipe: dict[str, object]) -> Job:
        """The job that goes through `work`, queued. Raises BusyError."""
        with self._lock:
            if sum(job.state in ("waiting", "running") for job in self._jobs.values()) >= MAX_WAITING:
                raise BusyError("others are being served; try again in a minute")
            job = Job(secrets.token_urlsafe(9), recipe)
            self._jobs[job.id] = job
            finished = [old.id for old in self._jobs.values() if old.state not in ("waiting", "running")]
            for old in finished[: max(len(self._jobs) - MAX_KEPT, 0)]:
                del self._jobs[old]
        self._pool.submit(self._go_through, job, work)
        return job

    def get(self, name: str) -> Job | None:
        """The job called `name`, or None when it is unknown or forgotten."""
        with self._lock:
            return self._jobs.get(name)

    def close(self) -> None:
        """Stop everything."""
        with self._lock:
            for job in self._jobs.values():
                job.cancelled = True
        self._pool.shutdown(cancel_futures=True)

    def _go_through(self, job: Job, work: Generator[Progress, None, None]) -> None:
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
            job.reason, job.state = "something went wrong here; the studio's log says what", "failed"
        finally:
            work.close()
