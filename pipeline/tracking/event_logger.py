"""One event of a spool logged to MLflow: a parent run for an invocation, a child for each stage."""

import json
import logging
import platform
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
    is_not_allowed,
    is_passing,
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
from pipeline.tracking.spools import FROM_GOOD_TO_BAD, Progress, kept_files, spools_in, stage_of_spool, status_of
from pipeline.tracking.tracker import PARENT

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, RunTag
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    Item = Metric | Param | RunTag

log = logging.getLogger(__name__)

SHARED_TAGS = (
    "mlflow.source.git.commit",
    "git_changed",
    "dvc_lock_sha256",
)  # tags of an invocation that its stages have too
ON_THE_PARENT = "evaluate"  # the stage whose metrics stand on the parent run as well
SYSTEM_INTERVAL_S = 5.0
REFUSALS_SHOWN = 5  # by one logger; the others are counted


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


class EventLogger:
    """Logs events to the MLflow runs of one invocation, and skips what MLflow refuses with a line that names it.

    `live`: the jobs run now, and MLflow samples the load of this machine while they do. Raises UnavailableError.
    """

    def __init__(
        self, client: "MlflowClient", experiment_id: str, folder: Path, progress: Progress, judge: Judge, *, live: bool
    ) -> None:
        self._client, self._experiment_id = client, experiment_id
        self._folder, self._progress, self._judge, self._live = folder, progress, judge, live
        self._watches: dict[str, tuple[SystemMetricsMonitor, dict[str, int]]] = {}
        self.refused = 0
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

    def run_id(self, name: str, time_ms: int) -> str:
        if name not in self._progress.runs:
            tags = {"stage": name}
            if name != PARENT:
                tags |= {"mlflow.parentRunId": self.run_id(PARENT, time_ms), **self._progress.shared}
            try:
                run = self._client.create_run(self._experiment_id, start_time=time_ms, tags=tags, run_name=name)
            except Exception as error:  # without a run every event would be refused, and dropped
                if is_passing(error) or is_not_allowed(error):
                    raise
                raise EventsWaitError(f"{store_name()}: no run can be created: {reason_of(error)}", passing=False) from error
            self._progress.runs[name] = run.info.run_id
            self._progress.save(self._folder)
        return self._progress.runs[name]

    def log(self, spool: str, event: dict[str, Any]) -> None:
        stage = stage_of_spool(spool)
        run_id = self.run_id(stage, event["time_ms"])
        match event["kind"]:
            case "params":
                self.log_each(run_id, spool, _params(event["params"]))
            case "metrics":
                metrics = _metrics(event["metrics"], event["time_ms"], event["step"])
                self.log_each(run_id, spool, metrics)
                if stage == ON_THE_PARENT:
                    self.log_each(self.run_id(PARENT, event["time_ms"]), spool, metrics)
            case "picture":
                self._log_picture(run_id, event)
            case "event":
                name = f"event-{event['name']}"
                self.log_each(run_id, spool, _metrics({name: 1.0}, event["time_ms"], event["step"]))
                self.log_each(run_id, spool, _tags({name: f"at {event['step']}: {event.get('message', event.get('told'))}"}))
            case "artifact":
                self._log_artifact(run_id, event)
            case "tags":
                self._log_tags(stage, run_id, spool, event["tags"])
            case "note":
                note = _tags({"mlflow.note.content": event["text"]})
                self.log_each(self.run_id(PARENT, event["time_ms"]), spool, note)
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

    def end_stage(self, stage: str, costs: Mapping[str, float], time_ms: int) -> None:
        """Log, once, what the stage cost, and end its run if its job was killed before it could."""
        run_id = self._progress.runs[stage]
        self.unwatch(stage, run_id)
        if stage not in self._progress.costed:
            self.log_each(run_id, stage, _metrics(costs, time_ms, 0))
            self._progress.costed.append(stage)
        if self._client.get_run(run_id).info.status == "RUNNING":
            self._client.set_terminated(run_id, "KILLED", time_ms)

    def log_each(self, run_id: str, spool: str, items: "Sequence[Item]") -> None:
        """Log all `items` in few calls, but for those that MLflow refuses."""
        for batch in batches(items):
            try:
                self._log_batch(run_id, batch)
            except Exception as error:
                if len(batch) == 1 or is_passing(error) or is_not_allowed(error):
                    raise
                for item in batch:
                    self._try(f"{item.key} in {spool}", partial(self._log_batch, run_id, [item]))

    def refuse(self, what: str, error: Exception) -> None:
        self.refused += 1
        if self.refused <= REFUSALS_SHOWN:
            log.warning("MLflow: %s is skipped: %s", what, reason_of(error))

    def unwatch(self, stage: str, run_id: str) -> None:
        if stage in self._watches:
            monitor, before = self._watches.pop(stage)
            monitor.finish()
            joules = joules_between(before, counters())
            if joules is not None:
                self._client.log_metric(run_id, "cost_machine_energy_j", joules)

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

    def _try(self, what: str, call: Callable[[], Any]) -> None:
        """Call it, and skip `what` where MLflow refuses it."""
        try:
            call()
        except Exception as error:
            if is_passing(error) or is_not_allowed(error):
                raise
            self.refuse(what, error)

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
        self.log_each(run_id, spool, _tags(tags))
        if "mlflow.runName" in tags:
            self._client.update_run(run_id, name=safe_text(tags["mlflow.runName"], TAG_CHARACTERS))
        shared = {name: safe_text(tags[name], TAG_CHARACTERS) for name in SHARED_TAGS if name in tags}
        if stage == PARENT and shared:
            self._progress.shared |= shared
            for child in (child for name, child in self._progress.runs.items() if name != PARENT):
                self.log_each(child, spool, _tags(shared))
        if self._live and stage != PARENT and tags.get("host") == platform.node():
            self._watch(stage, run_id)

    def _watch(self, stage: str, run_id: str) -> None:
        """Have MLflow note what of this machine is in use while the stage runs; the stage has it to itself or shares it."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        if stage not in self._watches:
            monitor = SystemMetricsMonitor(run_id, sampling_interval=SYSTEM_INTERVAL_S)
            monitor.start()
            self._watches[stage] = monitor, counters()

    def _log_end(self, stage: str, spool: str, run_id: str, event: dict[str, Any]) -> None:
        if event["status"] not in FROM_GOOD_TO_BAD:
            raise ValueError(f"{event['status']} is no status")
        self._progress.ends[spool] = event["status"]
        spools = [path.name for path in spools_in(self._folder) if stage_of_spool(path.name) == stage]
        status = status_of(self._progress.ends, spools)
        if status != "RUNNING":
            self.unwatch(stage, run_id)
            self._client.set_terminated(run_id, status, event["time_ms"])
