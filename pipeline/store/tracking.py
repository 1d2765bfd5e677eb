"""What happened, told to MLflow without ever waiting for it: the only module that imports mlflow.

A job appends events to a spool, a JSON-lines file of its own under logs/tracking/INVOCATION/. One sender an invocation
reads the spools and tells MLflow as they grow: a parent run for the invocation, a child run for each stage. While MLflow is
away the spools wait; the next sender, or `python -m pipeline send`, tells what is left. Nothing is lost, and no job is slowed.
"""

import csv
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.store.files import write_json

log = logging.getLogger(__name__)

INVOCATION_VARIABLE = "ATELIER_INVOCATION"  # names one call of a front door; its jobs, on whatever machine, inherit it
SPOOLS = Path("logs/tracking")
COSTS = Path("logs/benchmarks")  # written by Snakemake, a line a job
PARENT = "invocation"  # the spool of the invocation itself
EXPERIMENT = "atelier"
METRICS_PER_CALL = 500  # MLflow takes at most 1,000 in one batch
PARAMS_PER_CALL = 100
VALUE_CHARACTERS = 6000  # the longest parameter that MLflow keeps


def spool_of_job(log_path: Path | None) -> Path | None:
    """The spool of the job that logs to `log_path` (logs/STAGE.log or logs/STAGE/SHARD.log); None outside an invocation."""
    invocation = os.environ.get(INVOCATION_VARIABLE)
    if invocation is None or log_path is None:
        return None
    parts = [part for part in log_path.with_suffix("").parts if part != "logs"]
    return SPOOLS / invocation / f"{'-'.join(parts)}.jsonl"


class Tracker:
    """Appends the events of one job to its spool; without a spool (tests, notebooks) it does nothing."""

    def __init__(self, spool: Path | None = None) -> None:
        self._file = None
        if spool is not None:
            spool.parent.mkdir(parents=True, exist_ok=True)
            self._file = spool.open("a", encoding="utf-8")

    def _append(self, kind: str, **content: Any) -> None:
        if self._file is not None:
            self._file.write(json.dumps({"kind": kind, "time_ms": time.time_ns() // 1_000_000, **content}) + "\n")
            self._file.flush()

    def params(self, params: dict[str, Any]) -> None:
        """The stage's parameters, flat or nested."""
        self._append("params", params=params)

    def metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Numbers at `step`; in training a step is one picture seen."""
        self._append("metrics", metrics={name: float(value) for name, value in metrics.items()}, step=step)

    def picture(self, path: Path, name: str, *, step: int = 0) -> None:
        """A PNG shown as an image of series `name` at `step`."""
        self._append("picture", path=os.fspath(path), name=name, step=step)

    def artifact(self, path: Path) -> None:
        """A file, or a folder with all its files, kept with the run."""
        self._append("artifact", path=os.fspath(path))

    def tags(self, tags: dict[str, str]) -> None:
        """Words to find the run by."""
        self._append("tags", tags=tags)

    def model(self, path: Path, registered_name: str) -> None:
        """An ONNX file, registered as the next version of `registered_name`."""
        self._append("model", path=os.fspath(path), registered_name=registered_name)

    def close(self, status: str) -> None:
        """End the job as FINISHED, FAILED or KILLED."""
        self._append("end", status=status)
        if self._file is not None:
            self._file.close()
            self._file = None


@dataclass
class Told:
    """How far one invocation has been told; kept beside its spools."""

    runs: dict[str, str] = field(default_factory=dict)  # run ids by stage, and of the parent
    offsets: dict[str, int] = field(default_factory=dict)  # bytes of each spool already told
    costs: bool = False

    @classmethod
    def load(cls, folder: Path) -> "Told":
        path = folder / "told.json"
        return cls(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else cls()

    def save(self, folder: Path) -> None:
        write_json(folder / "told.json", asdict(self))


def flat(params: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested parameters as one level, keys joined with dots."""
    level: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, dict) and value:
            level |= flat(value, f"{prefix}{name}.")
        else:
            level[f"{prefix}{name}"] = value
    return level


def new_events(spool: Path, offset: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """(offset behind it, event) of each whole line of `spool` after `offset` bytes; a line still being written waits."""
    with spool.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield offset, json.loads(line)


def stage_costs(stage: str) -> dict[str, float]:
    """Seconds, CPU seconds and peak memory of a stage's jobs, from Snakemake's benchmark files; empty where there are none."""
    files = [COSTS / f"{stage}.tsv", *sorted((COSTS / stage).glob("*.tsv"))]
    texts = [path.read_text(encoding="utf-8") for path in files if path.exists()]
    rows = [row for text in texts for row in csv.DictReader(text.splitlines(), delimiter="\t")]
    numbers = [
        {name: float(row[name]) for name in ("s", "cpu_time", "max_rss") if row[name] not in ("-", "NA")} for row in rows
    ]
    if not numbers:
        return {}
    return {
        "cost_wall_s": sum(row.get("s", 0.0) for row in numbers),
        "cost_cpu_s": sum(row.get("cpu_time", 0.0) for row in numbers),
        "cost_peak_mb": max(row.get("max_rss", 0.0) for row in numbers),
    }


class Sender:
    """Tells MLflow what the spools of one invocation hold and has not been told yet."""

    def __init__(self, folder: Path) -> None:
        # A server that is down must cost seconds, not the client's default of minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        os.environ.setdefault("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
        for chatty in ("alembic", "mlflow.store.db.utils"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
        from mlflow import MlflowClient

        self._folder = folder
        self._told = Told.load(folder)
        self._client = MlflowClient()
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        self._experiment_id = experiment.experiment_id if experiment else self._client.create_experiment(EXPERIMENT)

    def _run_id(self, name: str, time_ms: int) -> str:
        if name not in self._told.runs:
            tags = {"stage": name}
            if name != PARENT:
                tags["mlflow.parentRunId"] = self._run_id(PARENT, time_ms)
            run = self._client.create_run(self._experiment_id, start_time=time_ms, tags=tags, run_name=name)
            self._told.runs[name] = run.info.run_id
            self._told.save(self._folder)
        return self._told.runs[name]

    def _tell(self, run_id: str, event: dict[str, Any]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        match event["kind"]:
            case "params":
                params = [Param(name, str(value)[:VALUE_CHARACTERS]) for name, value in flat(event["params"]).items()]
                for first in range(0, len(params), PARAMS_PER_CALL):
                    self._client.log_batch(run_id, params=params[first : first + PARAMS_PER_CALL])
            case "metrics":
                metrics = [Metric(name, value, event["time_ms"], event["step"]) for name, value in event["metrics"].items()]
                for first in range(0, len(metrics), METRICS_PER_CALL):
                    self._client.log_batch(run_id, metrics=metrics[first : first + METRICS_PER_CALL])
            case "picture":
                self._tell_picture(run_id, event)
            case "artifact":
                self._tell_artifact(run_id, Path(event["path"]))
            case "tags":
                self._client.log_batch(run_id, tags=[RunTag(name, value) for name, value in event["tags"].items()])
                if "mlflow.runName" in event["tags"]:
                    self._client.update_run(run_id, name=event["tags"]["mlflow.runName"])
            case "model":
                self._tell_model(run_id, Path(event["path"]), event["registered_name"])
            case "end":
                self._client.set_terminated(run_id, event["status"], event["time_ms"])

    def _tell_picture(self, run_id: str, event: dict[str, Any]) -> None:
        from PIL import Image

        if Path(event["path"]).exists():
            with Image.open(event["path"]) as picture:
                self._client.log_image(run_id, picture, key=event["name"], step=event["step"], timestamp=event["time_ms"])

    def _tell_artifact(self, run_id: str, path: Path) -> None:
        if path.is_dir():
            self._client.log_artifacts(run_id, str(path), path.name)
        elif path.exists():
            self._client.log_artifact(run_id, str(path))

    def _tell_model(self, run_id: str, path: Path, registered_name: str) -> None:
        import mlflow
        import onnx

        if path.exists():
            with mlflow.start_run(run_id=run_id, log_system_metrics=False):
                mlflow.onnx.log_model(
                    onnx.load(path),
                    name="generator",
                    registered_model_name=registered_name,
                    pip_requirements=["onnxruntime"],
                    save_as_external_data=False,
                )

    def tell_new(self) -> None:
        """Tell every event not yet told. Raises what MLflow raises; what was told until then is remembered."""
        # The invocation's own spool goes first, so that the parent run has its name before its children appear.
        spools = sorted(self._folder.glob("*.jsonl"), key=lambda spool: (spool.stem != PARENT, spool.name))
        for spool in spools:
            for offset, event in new_events(spool, self._told.offsets.get(spool.name, 0)):
                self._tell(self._run_id(spool.stem.partition("-")[0], event["time_ms"]), event)
                self._told.offsets[spool.name] = offset
                self._told.save(self._folder)

    def tell_costs(self) -> None:
        """Tell, once, what each stage cost."""
        from mlflow.entities import Metric

        if not self._told.costs:
            for stage, run_id in self._told.runs.items():
                metrics = [Metric(name, value, time.time_ns() // 1_000_000, 0) for name, value in stage_costs(stage).items()]
                self._client.log_batch(run_id, metrics=metrics)
            self._told.costs = True
            self._told.save(self._folder)


def has_untold(folder: Path) -> bool:
    """Whether an invocation's spools hold more than MLflow was told."""
    told = Told.load(folder)
    return any(spool.stat().st_size > told.offsets.get(spool.name, 0) for spool in folder.glob("*.jsonl"))


def follow(folder: Path, ended: Callable[[], bool], *, poll_s: float = 1.0, patience_s: float = 20.0) -> bool:
    """Whether all of `folder` was told: as its spools grow until `ended()`, then for at most `patience_s` more."""
    sender: Sender | None = None
    deadline: float | None = None
    while True:
        over = ended()  # asked before reading, so that what was written before the end is read
        try:
            sender = sender or Sender(folder)
            sender.tell_new()
            if over:
                sender.tell_costs()
                return True
        except Exception as error:  # whatever MLflow, its database or the network raise: the spool waits
            log.debug("MLflow: %s", error)
            if over:
                deadline = deadline or time.monotonic() + patience_s
                if time.monotonic() > deadline:
                    log.warning("MLflow could not be told (%s); `python -m pipeline send` tries again", type(error).__name__)
                    return False
        time.sleep(poll_s)


def send_untold(root: Path = SPOOLS) -> bool:
    """Whether everything in all spools of ended invocations has now been told."""
    untold = [folder for folder in sorted(root.glob("*")) if has_untold(folder)]
    return all(follow(folder, lambda: True) for folder in untold)
