"""Spools logged to MLflow: a parent run for an invocation, a child for each stage, data, pictures, the registered model.

How far it came is kept beside the spools, so that `python -m pipeline send` goes on where a sender stopped. What MLflow refuses
is skipped with a line that names it; what it cannot take now is kept, and holds up nothing else.
"""

import json
import logging
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.tracking import registration as registry
from pipeline.tracking.energy import counters, joules_between
from pipeline.tracking.flat_params import flat
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
from pipeline.tracking.mlflow_values import (
    DATASET_NAME_CHARACTERS,
    DIGEST_CHARACTERS,
    PARAM_CHARACTERS,
    TAG_CHARACTERS,
    batches,
    safe_name,
    safe_text,
)
from pipeline.tracking.registration import Judge
from pipeline.tracking.spools import (
    FROM_GOOD_TO_BAD,
    MALFORMED,
    Progress,
    drop_kept,
    drop_orphans,
    event_at,
    kept_files,
    new_events,
    noted_costs,
    spools_in,
    stage_of_spool,
    status_of,
)
from pipeline.tracking.tracker import PARENT

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Metric, Param, RunTag
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    Item = Metric | Param | RunTag

log = logging.getLogger(__name__)

OF_ALL_STAGES = (
    "mlflow.source.git.commit",
    "git_changed",
    "dvc_lock_sha256",
)  # tags of an invocation that its stages have too
ON_THE_PARENT = "evaluate"  # the stage whose numbers stand in the row of the invocation as well
WITH_FILES = ("picture", "artifact", "model", "evaluated")  # kinds of events that need the artifact store
SYSTEM_INTERVAL_S = 5.0
REFUSALS_SHOWN = 5  # of one sender; the others are counted
SLOW_S, SLOW_FAILURES = 2.0, 2  # after so many failures in a row that took so long, files are not tried again in this pass


def dataset_input(event: Mapping[str, Any]) -> "DatasetInput":
    """The data of a `dataset` event as MLflow knows data: the digest is as much of the SHA-256 as MLflow keeps."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    profile = event["profile"] | {"sha256": event["sha256"]}
    dataset = Dataset(
        name=safe_text(event["name"], DATASET_NAME_CHARACTERS),
        digest=event["sha256"][:DIGEST_CHARACTERS],
        source_type="local",
        source=json.dumps({"uri": event["source"]}),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, event["context"])])


def _params(nested: Mapping[str, Any]) -> "list[Param]":
    from mlflow.entities import Param

    return [Param(safe_name(name), safe_text(value, PARAM_CHARACTERS)) for name, value in flat(nested).items()]


def _tags(tags: Mapping[str, Any]) -> "list[RunTag]":
    from mlflow.entities import RunTag

    return [RunTag(safe_name(name), safe_text(value, TAG_CHARACTERS)) for name, value in tags.items()]


def _metrics(metrics: Mapping[str, float], time_ms: int, step: int) -> "list[Metric]":
    from mlflow.entities import Metric

    return [Metric(safe_name(name), value, time_ms, step) for name, value in metrics.items()]


class Sender:
    """Logs to MLflow what the spools of one invocation hold and MLflow does not have yet.

    `live`: the jobs run now, and those on this machine are watched for what they use of it. Raises UnavailableError.
    """

    def __init__(self, folder: Path, judge: Judge, *, live: bool) -> None:
        self._folder, self._judge, self._live = folder, judge, live
        self._progress = Progress.load(folder, warn=True)
        self._client = open_client()
        self._experiment_id = experiment_id(self._client)
        self._watches: dict[str, tuple[SystemMetricsMonitor, dict[str, int]]] = {}
        self._refused = self._slow_failures = 0
        self._forget_runs_that_are_gone()

    def _forget_runs_that_are_gone(self) -> None:
        """Have runs created again whose database was deleted since."""
        from mlflow.exceptions import MlflowException

        for name, run_id in list(self._progress.runs.items()):
            try:
                self._client.get_run(run_id)
            except MlflowException as error:
                if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise UnavailableError(f"{store_name()}: {reason_of(error)}", passing=passes_soon(error)) from error
                log.warning("MLflow no longer has the run %s of %s; the rest goes to a new one", name, self._folder)
                del self._progress.runs[name]

    def _run_id(self, name: str, time_ms: int) -> str:
        if name not in self._progress.runs:
            tags = {"stage": name}
            if name != PARENT:
                tags |= {"mlflow.parentRunId": self._run_id(PARENT, time_ms), **self._progress.shared}
            try:
                run = self._client.create_run(self._experiment_id, start_time=time_ms, tags=tags, run_name=name)
            except Exception as error:  # without a run every event would be refused, and dropped
                if is_passing(error) or is_not_allowed(error):
                    raise
                raise EventsWaitError(f"{store_name()}: no run can be created: {reason_of(error)}", passing=False) from error
            self._progress.runs[name] = run.info.run_id
            self._progress.save(self._folder)
        return self._progress.runs[name]

    def _log(self, spool: str, event: dict[str, Any]) -> None:
        stage = stage_of_spool(spool)
        run_id = self._run_id(stage, event["time_ms"])
        match event["kind"]:
            case "params":
                self._log_each(run_id, spool, _params(event["params"]))
            case "metrics":
                metrics = _metrics(event["metrics"], event["time_ms"], event["step"])
                self._log_each(run_id, spool, metrics)
                if stage == ON_THE_PARENT:
                    self._log_each(self._run_id(PARENT, event["time_ms"]), spool, metrics)
            case "picture":
                self._log_picture(run_id, event)
            case "event":
                name = f"event-{event['name']}"
                self._log_each(run_id, spool, _metrics({name: 1.0}, event["time_ms"], event["step"]))
                self._log_each(run_id, spool, _tags({name: f"at {event['step']}: {event['told']}"}))
            case "artifact":
                self._log_artifact(run_id, event)
            case "tags":
                self._log_tags(stage, run_id, spool, event["tags"])
            case "note":
                note = _tags({"mlflow.note.content": event["text"]})
                self._log_each(self._run_id(PARENT, event["time_ms"]), spool, note)
            case "dataset":
                self._client.log_inputs(run_id, [dataset_input(event)])
            case "model":
                for path in kept_files(self._folder, event).values():
                    registry.register_generator(self._client, run_id, path, event, self._progress.shared)
                    self._choose_champion(event)
            case "evaluated":
                for path in kept_files(self._folder, event).values():
                    registry.log_evaluation(self._client, run_id, path, event["generator_sha256"])
                    self._choose_champion(event)
            case "end":
                self._log_end(stage, spool, run_id, event)
            case kind:
                raise ValueError(f"no event is called {kind}")

    def _choose_champion(self, event: Mapping[str, Any]) -> None:
        registry.choose_champion(self._client, self._experiment_id, event["generator_sha256"], self._judge)

    def _log_batch(self, run_id: str, items: "Sequence[Item]") -> None:
        from mlflow.entities import Metric, Param, RunTag

        self._client.log_batch(
            run_id,
            metrics=[item for item in items if isinstance(item, Metric)],
            params=[item for item in items if isinstance(item, Param)],
            tags=[item for item in items if isinstance(item, RunTag)],
        )

    def _log_each(self, run_id: str, spool: str, items: "Sequence[Item]") -> None:
        """Log all `items` in few calls, but for those that MLflow refuses."""
        for batch in batches(items):
            try:
                self._log_batch(run_id, batch)
            except Exception as error:
                if len(batch) == 1 or is_passing(error) or is_not_allowed(error):
                    raise
                for item in batch:
                    self._try(f"{item.key} in {spool}", partial(self._log_batch, run_id, [item]))

    def _try(self, what: str, call: Callable[[], Any]) -> None:
        """Call it, and skip `what` where MLflow refuses it."""
        try:
            call()
        except Exception as error:
            if is_passing(error) or is_not_allowed(error):
                raise
            self._refuse(what, error)

    def _refuse(self, what: str, error: Exception) -> None:
        self._refused += 1
        if self._refused <= REFUSALS_SHOWN:
            log.warning("MLflow: %s is skipped: %s", what, reason_of(error))

    def _log_picture(self, run_id: str, event: dict[str, Any]) -> None:
        from PIL import Image

        for path in kept_files(self._folder, event).values():
            try:
                with Image.open(path, formats=("PNG",)) as opened:
                    picture = opened.copy()
            except OSError as error:  # not one of the disk or the network, which would be tried again
                raise ValueError(f"no whole picture: {error}") from None
            key = safe_name(event["name"], ascii_only=True)
            self._client.log_image(run_id, picture, key=key, step=event["step"], timestamp=event["time_ms"])

    def _log_artifact(self, run_id: str, event: dict[str, Any]) -> None:
        files, path = kept_files(self._folder, event), Path(event["path"])
        is_folder = list(files) != [path.name]
        for name, copy in files.items():
            folder = (Path(path.name) / name).parent.as_posix() if is_folder else None
            what = str(path / name if is_folder else path)
            self._try(what, partial(self._client.log_artifact, run_id, str(copy), folder))

    def _log_tags(self, stage: str, run_id: str, spool: str, tags: dict[str, str]) -> None:
        self._log_each(run_id, spool, _tags(tags))
        if "mlflow.runName" in tags:
            self._client.update_run(run_id, name=safe_text(tags["mlflow.runName"], TAG_CHARACTERS))
        shared = {name: safe_text(tags[name], TAG_CHARACTERS) for name in OF_ALL_STAGES if name in tags}
        if stage == PARENT and shared:
            self._progress.shared |= shared
            for child in (child for name, child in self._progress.runs.items() if name != PARENT):
                self._log_each(child, spool, _tags(shared))
        if self._live and stage != PARENT and tags.get("host") == platform.node():
            self._watch(stage, run_id)

    def _watch(self, stage: str, run_id: str) -> None:
        """Have MLflow note what of this machine is in use while the stage runs; the stage has it to itself or shares it."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        if stage not in self._watches:
            monitor = SystemMetricsMonitor(run_id, sampling_interval=SYSTEM_INTERVAL_S)
            monitor.start()
            self._watches[stage] = monitor, counters()

    def _unwatch(self, stage: str, run_id: str) -> None:
        if stage in self._watches:
            monitor, before = self._watches.pop(stage)
            monitor.finish()
            joules = joules_between(before, counters())
            if joules is not None:
                self._client.log_metric(run_id, "cost_machine_energy_j", joules)

    def _log_end(self, stage: str, spool: str, run_id: str, event: dict[str, Any]) -> None:
        if event["status"] not in FROM_GOOD_TO_BAD:
            raise ValueError(f"{event['status']} is no status")
        self._progress.ends[spool] = event["status"]
        spools = [path.name for path in spools_in(self._folder) if stage_of_spool(path.name) == stage]
        status = status_of(self._progress.ends, spools)
        if status != "RUNNING":
            self._unwatch(stage, run_id)
            self._client.set_terminated(run_id, status, event["time_ms"])

    def _is_taken(self, spool: str, event: dict[str, Any]) -> bool:
        """Whether `event` is done with: logged, or refused; else it is to be tried again. Raises UnavailableError."""
        if event["kind"] == MALFORMED:
            self._refuse(f"a line in {spool}", ValueError("it is not whole, as a full disk or a kill leaves it"))
            return True
        needs_files = event["kind"] in WITH_FILES
        if needs_files and self._slow_failures >= SLOW_FAILURES:
            return False
        started = time.monotonic()
        try:
            self._log(spool, event)
        except UnavailableError:
            raise
        except Exception as error:  # whatever MLflow, its database, the network or a damaged file raise
            if is_not_allowed(error):
                raise UnavailableError(f"{store_name()}: {reason_of(error)}", passing=False) from error
            if not (is_passing(error) or (needs_files and getattr(error, "error_code", "") == "INTERNAL_ERROR")):
                self._refuse(f"{event.get('path') or event['kind']} in {spool}", error)
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
            for stage, run_id in self._progress.runs.items():
                now_ms = time.time_ns() // 1_000_000
                self._unwatch(stage, run_id)
                if stage not in self._progress.costed:
                    self._log_each(run_id, stage, _metrics(costs.get(stage, {}), now_ms, 0))
                    self._progress.costed.append(stage)
                if self._client.get_run(run_id).info.status == "RUNNING":
                    self._client.set_terminated(run_id, "KILLED", now_ms)
            self._progress.save(self._folder)
        except Exception as error:  # whatever MLflow, its database, the network or the disk raise
            raise UnavailableError(f"{store_name()}: {reason_of(error)}", passing=passes_soon(error)) from error
        if self._refused > REFUSALS_SHOWN:
            log.warning("MLflow: %d more of %s are skipped", self._refused - REFUSALS_SHOWN, self._folder)
        if self._progress.waiting:
            count = sum(map(len, self._progress.waiting.values()))
            if self._slow_failures >= SLOW_FAILURES:
                raise UnavailableError(
                    f"{count} files of {self._folder} wait: the artifact store cannot be reached", passing=False
                )
            raise EventsWaitError(f"{count} events of {self._folder} could not be logged yet", passing=False)
        drop_orphans(self._folder)
