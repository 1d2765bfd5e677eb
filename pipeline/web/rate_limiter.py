"""Whose turn it is: at most one request to a host every so many seconds, over all processes that share a folder.

Every shard is a process of its own, and every shard has pictures of every host; pacing within one process would not be polite.
A small file per host holds the next free moment. The clock is only for pace: nothing that is written depends on it.
"""

import asyncio
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.web.responses import Again, FailedError
from pipeline.web.scratch import disk_full_as_error

RECORD_BYTES = 32
FORGOTTEN_AFTER_S = 86_400.0  # a moment further off than this was written by a clock that has since been set back


class HostRateLimiter:
    """Turns at hosts, agreed on through files in `folder`."""

    def __init__(self, folder: Path, *, max_wait_s: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._max_wait_s = max_wait_s
        self._held: set[str] = set()  # hosts that told this process to wait, minded even where there is no delay

    async def wait(self, host: str, delay_s: float) -> None:
        """Return when a request may go to `host`, after which the next may go `delay_s` later.

        Raises FailedError when the host wants a longer wait than there is patience for.
        """
        if delay_s == 0 and host not in self._held:
            return
        if delay_s > self._max_wait_s:
            raise FailedError(f"the host asks for {delay_s:g} s between requests", Again.NEXT_RUN)
        while (left_s := self._take(host, delay_s)) > 0:
            await asyncio.sleep(left_s)

    def hold(self, host: str, seconds: float) -> None:
        """Let nobody ask `host` for so many seconds, as it wished. Raises FailedError when that is too long to wait for."""
        self._held.add(host)
        until = time.time() + seconds
        with self._record(host) as record:
            _write(record, max(_read(record), until))
        if seconds > self._max_wait_s:
            raise self._too_long(seconds)

    def _take(self, host: str, delay_s: float) -> float:
        """0 when the turn is taken, else the seconds after which to try again: nobody books ahead, so nobody comes too soon."""
        with self._record(host) as record:
            now = time.time()
            left_s = _read(record) - now
            if left_s <= 0:
                _write(record, now + delay_s)
        if left_s > self._max_wait_s:
            raise self._too_long(left_s)
        return max(0.0, left_s)

    def _too_long(self, seconds: float) -> FailedError:
        return FailedError(f"the host asks to come back in {seconds:.0f} s", Again.NEXT_RUN)

    @contextmanager
    def _record(self, host: str) -> Iterator[int]:
        """The file of `host`, open and locked."""
        path = self._folder / hashlib.sha256(host.encode()).hexdigest()[:32]
        with disk_full_as_error(self._folder):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield descriptor
            finally:
                os.close(descriptor)


def _read(record: int) -> float:
    """The next free moment, in seconds since the epoch."""
    try:
        moment = float(os.pread(record, RECORD_BYTES, 0))
    except ValueError:  # a new file
        return 0.0
    return moment if moment < time.time() + FORGOTTEN_AFTER_S else 0.0


def _write(record: int, moment: float) -> None:
    os.pwrite(record, f"{moment:.6f}".ljust(RECORD_BYTES).encode(), 0)
