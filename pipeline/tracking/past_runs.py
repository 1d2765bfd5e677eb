"""Earlier runs, as DVC keeps them by revision and MLflow by invocation."""

import hashlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pipeline.storage.checksums import check_folder
from pipeline.storage.git import git
from pipeline.tracking.mlflow_store import EXPERIMENT, UnavailableError, open_client, reason_of
from pipeline.tracking.registration import METRICS_FILE
from pipeline.tracking.tracker import PARENT

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

log = logging.getLogger(__name__)

METRICS, GRID, PARAMS = Path("reports/metrics.json"), Path("reports/evaluation/grid.png"), Path("params.yaml")
# Of an experiment's name, under the commit that it began at; refs/exps also holds those that wait, failed or run.
EXPERIMENT_REF = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(.+)")
COSTS = ("cost_wall_s", "cost_cpu_s", "cost_peak_mb", "cost_machine_energy_j")


@dataclass(frozen=True)
class PastRun:
    """The results and the costs of one run; unknown fields are empty."""

    names: list[str]  # where it is kept
    when: str  # ISO date and time
    metrics: dict[str, Any]  # metrics.json
    params: dict[str, str]  # flat
    costs: dict[str, dict[str, float]] = field(default_factory=dict)  # by stage, of COSTS
    grid: bytes | None = None  # PNG, one row a category

    @property
    def result(self) -> str:
        """A digest that is equal for runs with equal metrics."""
        return hashlib.sha256(json.dumps(self.metrics, sort_keys=True).encode()).hexdigest()


def here(flatten: Callable[[Any], dict[str, str]]) -> list[PastRun]:
    """The run whose results lie in this working copy; none where it has not been evaluated. Raises InputError.

    `flatten` turns the content of params.yaml into one level of names and values.
    """
    if METRICS.exists() and GRID.exists():
        check_folder(GRID.parent, "evaluate", [os.path.relpath(METRICS, GRID.parent), GRID.name])
    try:
        metrics = json.loads(METRICS.read_text(encoding="utf-8"))
        params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        log.warning("this working copy: %s is not YAML", PARAMS)
        return []
    except (OSError, ValueError):
        return []
    grid = GRID.read_bytes() if GRID.exists() else None
    when = datetime.fromtimestamp(METRICS.stat().st_mtime, UTC).isoformat(timespec="seconds")
    return [PastRun(["this working copy"], when, metrics, flatten(params), grid=grid)]


def of_revisions(limit: int, flatten: Callable[[Any], dict[str, str]]) -> list[PastRun]:
    """Runs of the last commits that changed dvc.lock, newest first; those whose results are nowhere to be had are left out."""
    lines = git("log", f"--max-count={limit}", "--format=%H%x09%cI%x09%s", "--", "dvc.lock").splitlines()
    commits = [line.split("\t", 2) for line in lines]
    return _at_commits([(commit, when, f"commit {commit[:8]}: {subject}") for commit, when, subject in commits], flatten)


def of_experiments(limit: int, flatten: Callable[[Any], dict[str, str]]) -> list[PastRun]:
    """The last experiments of `dvc exp run`, newest first, as `of_revisions`."""
    form = "--format=%(objectname)%09%(committerdate:iso-strict)%09%(refname)"
    lines = git("for-each-ref", "--sort=-committerdate", form, "refs/exps").splitlines()
    refs = [line.split("\t", 2) for line in lines]
    named = [(commit, when, match[1]) for commit, when, ref in refs if (match := EXPERIMENT_REF.fullmatch(ref))]
    return _at_commits([(commit, when, f"experiment {name}") for commit, when, name in named[:limit]], flatten)


def _at_commits(commits: list[tuple[str, str, str]], flatten: Callable[[Any], dict[str, str]]) -> list[PastRun]:
    """The runs of `commits` (id, ISO time, name) whose results DVC has."""
    from dvc import api
    from dvc.exceptions import DvcException

    runs = []
    for commit, when, name in commits:
        try:
            metrics = json.loads(api.read(str(METRICS), rev=commit))
            grid = api.read(str(GRID), rev=commit, mode="rb")
        except (DvcException, OSError, ValueError) as error:
            log.warning(
                "%s: its results are not here, dvc fetch brings them (%s)", name.partition(":")[0], type(error).__name__
            )
            continue
        try:
            params = flatten(yaml.safe_load(git("show", f"{commit}:{PARAMS}")) or {})
        except yaml.YAMLError:
            log.warning("%s: its %s is not YAML", name.partition(":")[0], PARAMS)
            continue
        runs.append(PastRun([name], when, metrics, params, grid=grid))
    return runs


def of_mlflow(limit: int) -> list[PastRun]:
    """Invocations that evaluated something, newest first; with a warning, those without whose artifacts cannot be read.

    Raises what MLflow raises.
    """
    try:
        client = open_client(writable=False)
    except UnavailableError as error:
        log.warning("MLflow: %s", error)
        return []
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return []
    places, newest = [experiment.experiment_id], ["attributes.start_time DESC"]
    runs = []
    for parent in client.search_runs(places, f"tags.stage = '{PARENT}'", max_results=limit, order_by=newest):
        children = client.search_runs(places, f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
        try:
            found = _of_invocation(client, parent, {child.data.tags["stage"]: child for child in children})
        except Exception as error:  # whatever the artifact store raises: other runs can still be read
            log.warning("MLflow: %s is left out: %s", parent.info.run_name, reason_of(error))
            continue
        runs += [found] if found else []
    return runs


def _of_invocation(client: "MlflowClient", parent: "Run", stages: "dict[str, Run]") -> PastRun | None:
    """What an invocation found, whose `stages` are runs of their own; None where it evaluated nothing."""
    if "evaluate" not in stages:
        return None
    evaluation = stages["evaluate"].info.run_id
    kept = {item.path for item in client.list_artifacts(evaluation)}
    if METRICS_FILE not in kept:
        return None
    with tempfile.TemporaryDirectory() as folder:
        metrics = json.loads(Path(client.download_artifacts(evaluation, METRICS_FILE, folder)).read_text(encoding="utf-8"))
        grid_path = f"evaluation/{GRID.name}"
        grid = Path(client.download_artifacts(evaluation, grid_path, folder)).read_bytes() if "evaluation" in kept else None
    params = {f"{stage}.{name}": value for stage, child in stages.items() for name, value in child.data.params.items()}
    costs = {
        stage: {name: child.data.metrics[name] for name in COSTS if name in child.data.metrics}
        for stage, child in stages.items()
    }
    when = datetime.fromtimestamp(parent.info.start_time / 1000, UTC).isoformat(timespec="seconds")
    return PastRun([f"MLflow: {parent.info.run_name}"], when, metrics, params, costs, grid)


def merged(runs: list[PastRun]) -> list[PastRun]:
    """Runs with equal metrics merged into one, with all their names and known fields; in order of appearance."""
    found: dict[str, PastRun] = {}
    for run in runs:
        known = found.get(run.result)
        found[run.result] = (
            run
            if known is None
            else replace(
                known,
                names=known.names + run.names,
                params=run.params | known.params,
                costs=known.costs or run.costs,
                grid=known.grid or run.grid,
            )
        )
    return list(found.values())
