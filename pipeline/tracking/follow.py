"""Spools logged to MLflow as they grow, or later; `sender` does it, this decides when, and how long MLflow is waited for."""

import fcntl
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pipeline.tracking.mlflow_store import EventsWaitError, UnavailableError, UnreachableError
from pipeline.tracking.registration import Judge
from pipeline.tracking.sender import Sender
from pipeline.tracking.spools import COSTS, has_unsent, note_costs
from pipeline.tracking.tracker import SPOOLS

log = logging.getLogger(__name__)

MAX_POLL_S = 15.0  # while MLflow is away


@contextmanager
def _only_sender(folder: Path) -> Iterator[None]:
    """No other process sends from `folder` in the block. Raises EventsWaitError where one does."""
    with (folder / "sender.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EventsWaitError(f"{folder} is being sent by another process", passing=True) from None
        yield


def follow(
    folder: Path,
    ended: Callable[[], bool],
    judge: Judge,
    *,
    costs: Path = COSTS,
    poll_s: float = 1.0,
    patience_s: float = 20.0,
) -> None:
    """Log all of `folder`, as its spools grow until `ended()`; then wait for MLflow until it has failed for `patience_s`.

    `costs`: the folder in which Snakemake writes what the jobs cost.
    A store that was never reached, or that refuses everything, is not waited for. Raises UnavailableError.
    """
    with ExitStack() as stack:
        sender: Sender | None = None
        failing_since: float | None = None
        wait_s = poll_s
        live, alone, attempts = not ended(), False, 0
        while True:
            over = ended()  # asked before reading, so that what was written before the end is read
            if live and over:
                live = False
                with suppress(OSError):  # a full disk
                    note_costs(folder, costs)
            try:
                if not alone:
                    stack.enter_context(_only_sender(folder))
                    alone = True
                if sender is None:
                    sender = Sender(folder, judge, live=not over)
                sender.send(ended=over, again=over or attempts == 0)
                if over:
                    sender.send_end()
                    return
                failing_since, wait_s = None, poll_s
            except UnavailableError as error:
                failing_since = failing_since or time.monotonic()
                never_reached = sender is None and isinstance(error, UnreachableError)
                if over and (not error.passing or never_reached or time.monotonic() > failing_since + patience_s):
                    raise
                wait_s = poll_s if over else min(2 * wait_s, MAX_POLL_S)
            attempts += 1
            _sleep(wait_s, poll_s, _never if over else ended)


def _never() -> bool:
    return False


def _sleep(seconds: float, poll_s: float, enough: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not enough():
        time.sleep(min(poll_s, max(0.0, until - time.monotonic())))


def send_unsent(judge: Judge, root: Path = SPOOLS) -> None:
    """Log all that ended invocations noted and MLflow does not have. Raises UnavailableError where something is left."""
    left: list[UnavailableError] = []  # of single invocations, each of which holds up no other
    for folder in sorted(path for path in root.glob("*") if path.is_dir()):
        try:
            if has_unsent(folder):
                follow(folder, lambda: True, judge)
        except EventsWaitError as error:
            left.append(error)
        except OSError as error:  # of our own notes
            left.append(EventsWaitError(f"{error.filename or folder}: {error.strerror}", passing=False))
    for unsent in left[1:]:
        log.warning("MLflow: %s", unsent)
    if left:
        raise left[0]
