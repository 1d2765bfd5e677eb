"""Spools sent to MLflow. Progress is kept beside them, so that `python -m pipeline send` goes on where a sender stopped.

What MLflow refuses is skipped with a line that names it; what it cannot take now is kept, and holds up nothing else.
"""

import logging
import time
from pathlib import Path
from typing import Any

from pipeline.tracking.event_logger import REFUSALS_SHOWN, EventLogger
from pipeline.tracking.mlflow_store import (
    EventsWaitError,
    UnavailableError,
    experiment_id,
    is_not_allowed,
    is_passing,
    open_client,
    passes_soon,
    reason_of,
    store_name,
)
from pipeline.tracking.registration import Judge
from pipeline.tracking.spools import (
    MALFORMED,
    Progress,
    drop_kept,
    drop_orphans,
    event_at,
    new_events,
    noted_costs,
    spools_in,
)
from pipeline.tracking.tracker import PARENT

log = logging.getLogger(__name__)

WITH_FILES = ("picture", "artifact", "model", "evaluated")  # kinds of events that need the artifact store
SLOW_S, SLOW_FAILURES = 2.0, 2  # after so many failures in a row that took so long, files are not tried again in this pass


class Sender:
    """Sends what the spools of one invocation hold and MLflow does not have yet.

    `live`: the jobs run now. Raises UnavailableError.
    """

    def __init__(self, folder: Path, judge: Judge, *, live: bool) -> None:
        self._folder = folder
        self._progress = Progress.load(folder, warn=True)
        client = open_client()
        self._experiment_id = experiment_id(client)
        self._logger = EventLogger(client, self._experiment_id, folder, self._progress, judge, live=live)
        self._slow_failures = 0

    def _is_taken(self, spool: str, event: dict[str, Any]) -> bool:
        """Whether `event` is done with: logged, or refused; else it is to be tried again. Raises UnavailableError."""
        if event["kind"] == MALFORMED:
            self._logger.refuse(f"a line in {spool}", ValueError("it is not whole, as a full disk or a kill leaves it"))
            return True
        needs_files = event["kind"] in WITH_FILES
        if needs_files and self._slow_failures >= SLOW_FAILURES:
            return False
        started = time.monotonic()
        try:
            self._logger.log(spool, event)
        except UnavailableError:
            raise
        except Exception as error:  # whatever MLflow, its database, the network or a damaged file raise
            if is_not_allowed(error):
                raise UnavailableError(f"{store_name()}: {reason_of(error)}", passing=False) from error
            if not (is_passing(error) or (needs_files and getattr(error, "error_code", "") == "INTERNAL_ERROR")):
                self._logger.refuse(f"{event.get('path') or event['kind']} in {spool}", error)
                return True
            self._raise_unless_reachable()
            self._slow_failures += needs_files and time.monotonic() - started > SLOW_S
            log.warning("MLflow: %s in %s waits: %s", event.get("path") or event["kind"], spool, reason_of(error))
            return False
        self._slow_failures = 0
        return True

    def _raise_unless_reachable(self) -> None:
        """Return where the store answers, so that what failed was about one event."""
        try:
            open_client().get_experiment(self._experiment_id)
        except UnavailableError:
            raise
        except Exception as error:
            raise UnavailableError(f"{store_name()}: {reason_of(error)}", passing=passes_soon(error)) from error

    def _send_waiting(self, spool: Path) -> None:
        for offset in list(self._progress.waiting.get(spool.name, [])):
            event = event_at(spool, offset)
            if self._is_taken(spool.name, event):
                drop_kept(self._folder, event)
                self._progress.waiting[spool.name].remove(offset)
                self._progress.waiting = {name: offsets for name, offsets in self._progress.waiting.items() if offsets}
                self._progress.save(self._folder)

    def _send_new(self, spool: Path, *, ended: bool) -> None:
        before = self._progress.offsets.get(spool.name, 0)
        for begin, offset, event in new_events(spool, before, ended=ended):
            if self._is_taken(spool.name, event):
                drop_kept(self._folder, event)
            else:
                self._progress.waiting.setdefault(spool.name, []).append(begin)
            self._progress.offsets[spool.name] = offset
            self._progress.save(self._folder)

    def send(self, *, ended: bool, again: bool) -> None:
        """Log every event that MLflow does not have; `again`: also those that it could not take before.

        Raises UnavailableError; what was logged until then is remembered.
        """
        self._slow_failures = 0
        # The invocation's own spool goes first, so that the parent run has its name before its children appear.
        for spool in sorted(spools_in(self._folder), key=lambda spool: (spool.stem != PARENT, spool.name)):
            try:
                if again:
                    self._send_waiting(spool)
                self._send_new(spool, ended=ended)
            except OSError as error:  # of the spool or of our own notes, such as a full disk
                raise EventsWaitError(f"{spool}: {reason_of(error)}", passing=False) from error

    def send_end(self) -> None:
        """Log, once, what each stage cost, and end the runs whose jobs were killed before they could.

        Raises UnavailableError where anything is left.
        """
        costs = noted_costs(self._folder)
        try:
            for stage in self._progress.runs:
                self._logger.end_stage(stage, costs.get(stage, {}), time.time_ns() // 1_000_000)
            self._progress.save(self._folder)
        except Exception as error:  # whatever MLflow, its database, the network or the disk raise
            raise UnavailableError(f"{store_name()}: {reason_of(error)}", passing=passes_soon(error)) from error
        if self._logger.refused > REFUSALS_SHOWN:
            log.warning("MLflow: %d more of %s are skipped", self._logger.refused - REFUSALS_SHOWN, self._folder)
        if self._progress.waiting:
            count = sum(map(len, self._progress.waiting.values()))
            if self._slow_failures >= SLOW_FAILURES:
                raise UnavailableError(
                    f"{count} files of {self._folder} wait: the artifact store cannot be reached", passing=False
                )
            raise EventsWaitError(f"{count} events of {self._folder} could not be logged yet", passing=False)
        drop_orphans(self._folder)
