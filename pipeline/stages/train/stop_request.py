"""SIGTERM and SIGINT as requests to stop, honoured once everything is saved."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from pipeline.errors import StoppedError


class StopRequest:
    """The signal that asked this process to stop, if any; honoured at once while nothing is unsaved.

    When several processes train together (`alone` is false) the signal is only recorded: all must stop at the same step.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.all_saved = self.alone = True
        self.finished = False  # the results are in place, and the checkpoints may be gone

    def record(self, number: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        self.signal = signal.Signals(number)
        self.stop_if_saved()

    def stop_if_saved(self) -> None:
        """Raise StoppedError if a stop was requested, everything is saved, and there is something to resume."""
        if self.signal and self.all_saved and self.alone and not self.finished:
            self.stop()

    def stop(self) -> NoReturn:
        """Raise StoppedError."""
        name = self.signal.name if self.signal else "a signal to another of its processes"
        raise StoppedError(f"stopped by {name}, all saved: the same command resumes from there")


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turn SIGTERM and SIGINT into a StopRequest while the block runs."""
    request = StopRequest()
    previous = {number: signal.signal(number, request.record) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
