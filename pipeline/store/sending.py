"""Spools told to MLflow: a parent run for an invocation, a child for each stage, data, pictures, the registered model.

What MLflow was told is kept beside the spools, so that the next sender, or `python -m pipeline send`, goes on where one
stopped.
"""

import csv
import json
import logging
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.store.energy import counters, joules_between
from pipeline.store.files import write_json
from pipeline.store.tracking import PARENT, SPOOLS

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

log = logging.getLogger(__name__)

COSTS = Path("logs/benchmarks")  # written by Snakemake, a line a job
EXPERIMENT = "atelier"
TRAINS_MODELS = {"mlflow.experimentKind": "custom_model_development"}  # so that the UI shows runs and not chats
CHAMPION = "champion"
METRICS_FILE = "metrics.json"  # the artifact of an evaluation that holds numbers and passports
METRICS_PER_CALL = 500  # MLflow takes at most 1,000 in one batch
PARAMS_PER_CALL = 100
VALUE_CHARACTERS = 6000  # the longest parameter that MLflow keeps
DIGEST_CHARACTERS = 36  # the longest digest of a dataset
OF_ALL_STAGES = (
    "mlflow.source.git.commit",
    "git_changed",
    "dvc_lock_sha256",
)  # tags of an invocation that its stages bear, too
ON_THE_PARENT = "evaluate"  # the stage whose numbers stand in the row of the invocation as well
SYSTEM_INTERVAL_S = 5.0
FROM_GOOD_TO_BAD = ("FINISHED", "KILLED", "FAILED")
EXAMPLE_PICTURES = 2  # of the model's input example

# (challenger's metrics.json, champion's) -> whether the challenger takes its place, and why
Judge = Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[bool, str]]


@dataclass
class Told:
    """How far one invocation has been told; kept beside its spools."""

    runs: dict[str, str] = field(default_factory=dict)  # run ids by stage, and of the parent
    offsets: dict[str, int] = field(default_factory=dict)  # bytes of each spool already told
    ends: dict[str, str] = field(default_factory=dict)  # the last status of each spool that has one
    shared: dict[str, str] = field(default_factory=dict)  # the invocation's tags that stages bear, too
    costed: list[str] = field(default_factory=list)  # stages whose costs were told

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


def stage_of_spool(spool: str) -> str:
    """The stage of a spool's file name: all shards of a stage are one run."""
    return spool.removesuffix(".jsonl").partition("-")[0]


def status_of(ends: Mapping[str, str], spools: list[str]) -> str:
    """The status of a run whose jobs have these spools: RUNNING, or the worst that one of them ended with."""
    if any(spool not in ends for spool in spools):
        return "RUNNING"
    return max((ends[spool] for spool in spools), key=FROM_GOOD_TO_BAD.index)


def stage_costs(stage: str, root: Path = COSTS) -> dict[str, float]:
    """Seconds, CPU seconds and peak memory of a stage's jobs, from Snakemake's benchmark files; empty where there are none."""
    files = [root / f"{stage}.tsv", *sorted((root / stage).glob("*.tsv"))]
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


def dataset_input(event: Mapping[str, Any]) -> "DatasetInput":
    """The data of a `dataset` event as MLflow knows data: the digest is as much of the SHA-256 as MLflow keeps."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    profile = event["profile"] | {"sha256": event["sha256"]}
    dataset = Dataset(
        name=event["name"],
        digest=event["sha256"][:DIGEST_CHARACTERS],
        source_type="local",
        source=json.dumps({"uri": event["source"]}),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, event["context"])])


def quiet_client() -> "MlflowClient":
    """A client of the tracking server, by default mlflow.db here, that gives up within seconds and is silent about it."""
    # A server that is down must cost seconds, not the client's default of minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # what is told here is told to nobody else
    for chatty in ("alembic", "mlflow.store.db.utils", "mlflow.system_metrics", "mlflow.onnx"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    from mlflow import MlflowClient

    return MlflowClient()


class Sender:
    """Tells MLflow what the spools of one invocation hold and has not been told yet.

    `live`: the jobs run now, and those on this machine are watched for what they use of it.
    """

    def __init__(self, folder: Path, judge: Judge, *, live: bool) -> None:
        self._folder, self._judge, self._live = folder, judge, live
        self._told = Told.load(folder)
        self._client = quiet_client()
        self._watches: dict[str, tuple[SystemMetricsMonitor, dict[str, int]]] = {}
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            self._experiment_id = self._client.create_experiment(EXPERIMENT, tags=TRAINS_MODELS)
        else:
            self._experiment_id = experiment.experiment_id

    def _run_id(self, name: str, time_ms: int) -> str:
        if name not in self._told.runs:
            tags = {"stage": name}
            if name != PARENT:
                tags |= {"mlflow.parentRunId": self._run_id(PARENT, time_ms), **self._told.shared}
            run = self._client.create_run(self._experiment_id, start_time=time_ms, tags=tags, run_name=name)
            self._told.runs[name] = run.info.run_id
            self._told.save(self._folder)
        return self._told.runs[name]

    def _tell(self, spool: str, event: dict[str, Any]) -> None:
        stage = stage_of_spool(spool)
        run_id = self._run_id(stage, event["time_ms"])
        match event["kind"]:
            case "params":
                self._tell_params(run_id, event["params"])
            case "metrics":
                self._tell_metrics(run_id, event)
                if stage == ON_THE_PARENT:
                    self._tell_metrics(self._told.runs[PARENT], event)
            case "picture":
                self._tell_picture(run_id, event)
            case "event":
                self._tell_event(run_id, event)
            case "artifact":
                self._tell_artifact(run_id, Path(event["path"]))
            case "tags":
                self._tell_tags(stage, run_id, event["tags"])
            case "note":
                self._client.set_tag(self._run_id(PARENT, event["time_ms"]), "mlflow.note.content", event["text"])
            case "dataset":
                self._client.log_inputs(run_id, [dataset_input(event)])
            case "model":
                self._tell_model(run_id, event)
            case "evaluated":
                self._tell_evaluation(run_id, event)
            case "end":
                self._tell_end(stage, spool, run_id, event)

    def _tell_params(self, run_id: str, nested: dict[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(name, str(value)[:VALUE_CHARACTERS]) for name, value in flat(nested).items()]
        for first in range(0, len(params), PARAMS_PER_CALL):
            self._client.log_batch(run_id, params=params[first : first + PARAMS_PER_CALL])

    def _tell_metrics(self, run_id: str, event: dict[str, Any]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(name, value, event["time_ms"], event["step"]) for name, value in event["metrics"].items()]
        for first in range(0, len(metrics), METRICS_PER_CALL):
            self._client.log_batch(run_id, metrics=metrics[first : first + METRICS_PER_CALL])

    def _tell_event(self, run_id: str, event: dict[str, Any]) -> None:
        from mlflow.entities import Metric, RunTag

        name = f"event-{event['name']}"
        happened = [Metric(name, 1.0, event["time_ms"], event["step"])]
        tags = [RunTag(name, f"at {event['step']}: {event['told']}"[:VALUE_CHARACTERS])]
        self._client.log_batch(run_id, metrics=happened, tags=tags)

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

    def _tell_tags(self, stage: str, run_id: str, tags: dict[str, str]) -> None:
        from mlflow.entities import RunTag

        self._client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        if "mlflow.runName" in tags:
            self._client.update_run(run_id, name=tags["mlflow.runName"])
        shared = {name: tags[name] for name in OF_ALL_STAGES if name in tags}
        if stage == PARENT and shared:
            self._told.shared |= shared
            for child in (child for name, child in self._told.runs.items() if name != PARENT):
                self._client.log_batch(child, tags=[RunTag(name, value) for name, value in shared.items()])
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

    def _tell_end(self, stage: str, spool: str, run_id: str, event: dict[str, Any]) -> None:
        self._told.ends[spool] = event["status"]
        spools = [path.name for path in self._folder.glob("*.jsonl") if stage_of_spool(path.name) == stage]
        status = status_of(self._told.ends, spools)
        if status != "RUNNING":
            self._unwatch(stage, run_id)
            self._client.set_terminated(run_id, status, event["time_ms"])

    def _tell_model(self, run_id: str, event: dict[str, Any]) -> None:
        import mlflow
        import numpy as np
        from mlflow.models import infer_signature

        from pipeline.store.exported import OnnxGenerator
        from pipeline.store.onnx_safety import safe_graph

        path = Path(event["path"])
        if not path.exists():
            return
        content = path.read_bytes()
        model = safe_graph(content, str(path))  # MLflow would copy what it keeps outside the file
        latent_dim = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
        latents = np.random.default_rng(0).standard_normal((EXAMPLE_PICTURES, latent_dim), dtype=np.float32)
        labels = np.arange(EXAMPLE_PICTURES, dtype=np.int64)
        example = {"latents": latents, "labels": labels}
        pictures = OnnxGenerator(content, threads=1).pictures(latents, labels)
        with mlflow.start_run(run_id=run_id, log_system_metrics=False):
            logged = mlflow.onnx.log_model(
                model,
                name="generator",
                registered_model_name=event["registered_name"],
                signature=infer_signature(example, {"pictures": pictures}),
                input_example=example,
                pip_requirements=["onnxruntime"],
                save_as_external_data=False,
            )
        name, version = event["registered_name"], str(logged.registered_model_version)
        tags = {"generator_sha256": event["generator_sha256"], **self._told.shared}
        for key, value in tags.items():
            self._client.set_model_version_tag(name, version, key, value)
        self._client.update_model_version(name, version, event["about"])
        self._crown(event["generator_sha256"])

    def _tell_evaluation(self, run_id: str, event: dict[str, Any]) -> None:
        path = Path(event["path"])
        if path.exists():
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / METRICS_FILE
                copy.write_bytes(path.read_bytes())
                self._client.log_artifact(run_id, str(copy))
            self._client.set_tag(run_id, "generator_sha256", event["generator_sha256"])
            self._crown(event["generator_sha256"])

    def _evaluation_of(self, generator_sha256: str) -> dict[str, Any] | None:
        """The newest metrics.json that was told of that generator."""
        wanted = f"tags.stage = 'evaluate' and tags.generator_sha256 = '{generator_sha256}'"
        for run in self._client.search_runs([self._experiment_id], wanted, order_by=["attributes.start_time DESC"]):
            if any(file.path == METRICS_FILE for file in self._client.list_artifacts(run.info.run_id)):
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(self._client.download_artifacts(run.info.run_id, METRICS_FILE, folder))
                    return json.loads(path.read_text(encoding="utf-8"))
        return None

    def _champion(self, name: str) -> "ModelVersion | None":
        aliases = self._client.get_registered_model(name).aliases
        return self._client.get_model_version(name, aliases[CHAMPION]) if CHAMPION in aliases else None

    def _crown(self, generator_sha256: str) -> None:
        """Give the newest version of that generator the alias `champion` where its evaluation says so; note why or why not."""
        versions = self._client.search_model_versions(f"tags.generator_sha256 = '{generator_sha256}'")
        metrics = self._evaluation_of(generator_sha256)
        if not versions or metrics is None:
            return  # the other half is still to come
        challenger = max(versions, key=lambda version: int(version.version))
        champion = self._champion(challenger.name)
        if champion is None:
            wins, why = True, "the first version that was evaluated"
        elif champion.tags.get("generator_sha256") == generator_sha256:
            return
        else:
            theirs = self._evaluation_of(champion.tags.get("generator_sha256", ""))
            wins, why = (False, "its evaluation is not here") if theirs is None else self._judge(metrics, theirs)
            why = f"beside version {champion.version}: {why}"
        if wins:
            self._client.set_registered_model_alias(challenger.name, CHAMPION, challenger.version)
        self._client.set_model_version_tag(challenger.name, challenger.version, CHAMPION, f"{'yes' if wins else 'no'}, {why}")

    def tell_new(self) -> None:
        """Tell every event not yet told. Raises what MLflow raises; what was told until then is remembered."""
        # The invocation's own spool goes first, so that the parent run has its name before its children appear.
        spools = sorted(self._folder.glob("*.jsonl"), key=lambda spool: (spool.stem != PARENT, spool.name))
        for spool in spools:
            for offset, event in new_events(spool, self._told.offsets.get(spool.name, 0)):
                self._tell(spool.name, event)
                self._told.offsets[spool.name] = offset
                self._told.save(self._folder)

    def tell_the_end(self) -> None:
        """Tell, once, what each stage cost, and end the runs whose jobs were killed before they could say so."""
        for stage, run_id in self._told.runs.items():
            now_ms = time.time_ns() // 1_000_000
            self._unwatch(stage, run_id)
            if stage not in self._told.costed:
                self._tell_metrics(run_id, {"metrics": stage_costs(stage), "time_ms": now_ms, "step": 0})
                self._told.costed.append(stage)
            if self._client.get_run(run_id).info.status == "RUNNING":
                self._client.set_terminated(run_id, "KILLED", now_ms)
        self._told.save(self._folder)


def has_untold(folder: Path) -> bool:
    """Whether an invocation's spools hold more than MLflow was told."""
    told = Told.load(folder)
    return any(spool.stat().st_size > told.offsets.get(spool.name, 0) for spool in folder.glob("*.jsonl"))


def follow(folder: Path, ended: Callable[[], bool], judge: Judge, *, poll_s: float = 1.0, patience_s: float = 20.0) -> bool:
    """Whether all of `folder` was told: as its spools grow until `ended()`, then for at most `patience_s` more."""
    sender: Sender | None = None
    deadline: float | None = None
    while True:
        over = ended()  # asked before reading, so that what was written before the end is read
        try:
            sender = sender or Sender(folder, judge, live=not over)
            sender.tell_new()
            if over:
                sender.tell_the_end()
                return True
        except Exception as error:  # whatever MLflow, its database or the network raise: the spool waits
            log.debug("MLflow: %s", error)
            if over:
                deadline = deadline or time.monotonic() + patience_s
                if time.monotonic() > deadline:
                    log.warning("MLflow could not be told (%s); `python -m pipeline send` tries again", type(error).__name__)
                    return False
        time.sleep(poll_s)


def send_untold(judge: Judge, root: Path = SPOOLS) -> bool:
    """Whether everything in all spools of ended invocations has now been told."""
    untold = [folder for folder in sorted(root.glob("*")) if has_untold(folder)]
    return all(follow(folder, lambda: True, judge) for folder in untold)
