"""Whose turn it is: at most one request to a host every so many seconds, over all processes that share a folder.

Every shard is a process of its own, and every shard has pictures of every host; pacing within one process would not be polite.
A small file per host holds the next free moment. The clock is only for pace: nothing that is written depends on it.
"""

import asyncio
import fcntl
import hashlib
import os
import time
from pathlib import Path

from pipeline.sources.web.answers import Again, FailedError
from pipeline.sources.web.scratch import told_when_full

FORGOTTEN_AFTER_S = 86_400.0  # a moment further off than this was written by a clock that has since been set back


class Turns:
    """Turns at hosts, agreed on through files in `folder`."""

    def __init__(self, folder: Path, *, max_wait_s: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._max_wait_s = max_wait_s
        self._held: set[str] = set()  # hosts that told this process to wait, paced even where there is no delay

    async def wait(self, host: str, delay_s: float) -> None:
        """Return when a request may go to `host`, after which the next may go `delay_s` later.

        Raises FailedError when the host wants a longer wait than there is patience for.
        """
        if delay_s == 0 and host not in self._held:
            return
        if delay_s > self._max_wait_s:
            raise FailedError(f"the host asks for {delay_s:g} s between requests", Again.NEXT_RUN)
        mine = self._book(host, delay_s)
        while mine > (now := time.time()):
            await asyncio.sleep(mine - now)
            # Somebody may have been told to wait meanwhile: then this turn is void.
            if self._pause(host) > time.time():
                mine = self._book(host, delay_s)

    def hold(self, host: str, seconds: float) -> None:
        """Let nobody ask `host` for so many seconds, as it wished. Raises FailedError when that is too long to wait for."""
        self._held.add(host)
        until = time.time() + seconds
        with self._state(host) as state:
            next_free, pause = state.read()
            state.write(max(next_free, until), max(pause, until))
        if seconds > self._max_wait_s:
            raise FailedError(f"the host asks to come back in {seconds:.0f} s", Again.NEXT_RUN)

    def _book(self, host: str, delay_s: float) -> float:
        now = time.time()
        with self._state(host) as state:
            next_free, pause = state.read()
            if pause - now > self._max_wait_s:
                raise FailedError(f"the host asks to come back in {pause - now:.0f} s", Again.NEXT_RUN)
            mine = max(now, next_free)
            state.write(mine + delay_s, pause)
        return mine

    def _pause(self, host: str) -> float:
        with self._state(host) as state:
            return state.read()[1]

    def _state(self, host: str) -> "_State":
        return _State(self._folder / hashlib.sha256(host.encode()).hexdigest()[:32])


class _State:
    """The file of one host, locked while open: two moments, the next free one and the end of a pause."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> "_State":
        with told_when_full(self._path.parent):
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def read(self) -> tuple[float, float]:
        try:
            next_free, pause = (float(word) for word in os.pread(self._descriptor, 64, 0).split())
        except ValueError:
            return 0.0, 0.0
        horizon = time.time() + FORGOTTEN_AFTER_S
        return (next_free if next_free < horizon else 0.0), (pause if pause < horizon else 0.0)

    def write(self, next_free: float, pause: float) -> None:
        with told_when_full(self._path.parent):
            os.pwrite(self._descriptor, f"{next_free:.6f} {pause:.6f}".ljust(64).encode(), 0)
