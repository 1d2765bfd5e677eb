"""A rate limiter for each host, shared by all processes that use the same folder.

Every shard is a process and holds pictures of every host, so a limit per process would not be polite. A small file for each
host holds the time of the next request. The clock affects only the pace, never what is written.
"""

import asyncio
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.web.responses import FailedError, Retry
from pipeline.web.scratch import disk_full_as_error

RECORD_BYTES = 32
MAX_PLAUSIBLE_S = 86_400.0  # a time further ahead was written before the clock was set back
MAX_HOLD_S = MAX_PLAUSIBLE_S - 60.0  # so that a host that asks for more time is not taken for that


class HostRateLimiter:
    """Limits the rate of requests to each host through files in `folder`."""

    def __init__(self, folder: Path, *, max_wait_s: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._max_wait_s = max_wait_s

    async def acquire(self, host: str, delay_s: float) -> None:
        """Wait until a request may be sent to `host`; the next one may follow `delay_s` later.

        Raises FailedError if the wait would exceed `max_wait_s`.
        """
        if delay_s > self._max_wait_s:
            raise FailedError(f"the host asks for {delay_s:g} s between requests", Retry.NEXT_RUN)
        while (left_s := self._try_acquire(host, delay_s)) > 0:
            await asyncio.sleep(left_s)

    def hold(self, host: str, seconds: float) -> None:
        """Let no process send a request to `host` for `seconds`, a day at most. Raises FailedError beyond `max_wait_s`."""
        until = time.time() + min(seconds, MAX_HOLD_S)
        with self._record(host) as record:
            _write(record, max(_read(record), until))
        if seconds > self._max_wait_s:
            raise self._too_long(seconds)

    def _try_acquire(self, host: str, delay_s: float) -> float:
        """0 if the request may be sent, else the seconds until the next attempt. Nothing is reserved ahead of time."""
        with self._record(host) as record:
            now = time.time()
            left_s = _read(record) - now
            if left_s <= 0 < delay_s:
                _write(record, now + delay_s)
        if left_s > self._max_wait_s:
            raise self._too_long(left_s)
        return max(0.0, left_s)

    def _too_long(self, seconds: float) -> FailedError:
        return FailedError(f"the host asks to come back in {seconds:.0f} s", Retry.NEXT_RUN)

    @contextmanager
    def _record(self, host: str) -> Iterator[int]:
        """The descriptor of the file of `host`, opened and locked."""
        path = self._folder / hashlib.sha256(host.encode()).hexdigest()[:32]
        with disk_full_as_error(self._folder):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield descriptor
            finally:
                os.close(descriptor)


def _read(record: int) -> float:
    """The time of the next request, in seconds since the epoch."""
    try:
        moment = float(os.pread(record, RECORD_BYTES, 0))
    except ValueError:  # a new file
        return 0.0
    return moment if moment < time.time() + MAX_PLAUSIBLE_S else 0.0


def _write(record: int, moment: float) -> None:
    os.pwrite(record, f"{moment:.6f}".ljust(RECORD_BYTES).encode(), 0)
