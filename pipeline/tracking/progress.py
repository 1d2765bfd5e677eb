"""Progress of long work, for people: on a line of the terminal that is redrawn, or as occasional lines of the log.

Snakemake runs several jobs on one terminal. One of them at a time, the holder of a lock, redraws the terminal's last line; the
others log a line now and then, above it. Without a terminal every job logs, at most one line each LOG_INTERVAL_S.
"""

import fcntl
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeVar

Item = TypeVar("Item")

LOCK_FILE = Path(".scratch/progress.lock")
REDRAW_INTERVAL_S = 1.0
TERMINAL_LOG_INTERVAL_S = 10.0  # of a job whose terminal line another one holds
LOG_INTERVAL_S = 30.0
CLEAR_LINE = "\r\x1b[K"

log = logging.getLogger(__name__)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class TerminalHandler(logging.StreamHandler[IO[str]]):
    """Logs to standard error; on a terminal it first clears the line that a job may have drawn its progress on."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's text, after the escape sequence that clears the line."""
        text = super().format(record)
        return f"{CLEAR_LINE}{text}" if self.stream.isatty() else text


class Progress:
    """How much of `total` pieces of work is done, shown while the block runs; nothing is shown unless `enabled`."""

    def __init__(self, total: int | None, what: str, unit: str, *, initial: int = 0, enabled: bool = True) -> None:
        self.done = initial
        self._total, self._what, self._unit, self._initial = total, what, unit, initial
        self._enabled = enabled
        self._is_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._lock: IO[bytes] | None = None
        self._drawn = False

    def __enter__(self) -> Self:
        self._started = self._shown = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._drawn:
            self._write(f"{CLEAR_LINE}{self.line()}\n")
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def update(self, count: int = 1) -> None:
        """Count `count` more pieces as done."""
        self.move_to(self.done + count)

    def move_to(self, done: int) -> None:
        """Set the number of pieces that are done, which may fall when work is repeated."""
        self.done = done
        now = time.monotonic()
        if self._enabled and now - self._shown >= REDRAW_INTERVAL_S:
            self._show(now)

    def _show(self, now: float) -> None:
        if self._is_terminal and self._holds_terminal():
            columns = shutil.get_terminal_size().columns
            self._write(f"{CLEAR_LINE}{self.line()[: columns - 1]}")
            self._drawn = True
        elif now - self._shown < (TERMINAL_LOG_INTERVAL_S if self._is_terminal else LOG_INTERVAL_S):
            return
        else:
            log.info("%s", self.line())
        self._shown = now

    def _holds_terminal(self) -> bool:
        """Whether this job may redraw the terminal's last line: no other one of this project does."""
        if self._lock is None:
            file = None
            try:
                LOCK_FILE.parent.mkdir(parents=True, exist_ok=True)
                file = LOCK_FILE.open("ab")
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._lock = file
            except OSError:  # held by another job, or a file system without locks
                if file is not None:
                    file.close()
        return self._lock is not None

    @staticmethod
    def _write(text: str) -> None:
        with suppress(OSError, ValueError):  # the terminal was closed
            # One system call, which other processes cannot interrupt.
            os.write(sys.stderr.fileno(), text.encode(sys.stderr.encoding or "utf-8", "replace"))

    def line(self) -> str:
        """What is done, of how much, how fast, and how long the rest will take."""
        elapsed_s = time.monotonic() - self._started
        rate = (self.done - self._initial) / elapsed_s if elapsed_s > 0 else 0.0
        if self._total is None:
            return f"{self._what}: {self.done:,} {self._unit}, {rate:.1f}/s, after {_duration(elapsed_s)}"
        share = self.done / self._total if self._total else 1.0
        text = f"{self._what}: {share:.0%}, {self.done:,} of {self._total:,} {self._unit}, {rate:.1f}/s"
        left = self._total - self.done
        return f"{text}, {_duration(left / rate)} left" if rate > 0 and left > 0 else f"{text}, after {_duration(elapsed_s)}"


def progress(
    items: Iterable[Item], total: int | None = None, *, what: str, unit: str, initial: int = 0, step: int = 1
) -> Iterator[Item]:
    """`items`, with the progress shown of going through them; each counts for `step` units.

    `total`, in units, defaults to the number of items where they have one.
    """
    if total is None and isinstance(items, Sized):
        total = len(items) * step + initial
    with Progress(total, what, unit, initial=initial) as shown:
        for item in items:
            yield item
            done = shown.done + step
            shown.move_to(done if total is None else min(done, total))  # the last step may be shorter
