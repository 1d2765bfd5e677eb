"""Experiments of DVC's queue, two at a time, each in a copy of the project."""

import csv
import sqlite3
import time
from contextlib import closing

import pytest

from tests.support.checkout import SNAKEMAKE, Checkout

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]

SAMPLES = ("44", "45", "46", "47")  # of evaluate, since a training takes longer
PATIENCE_S = 1500


@pytest.fixture
def finished(checkout: Checkout) -> Checkout:
    """A checkout in which everything has run, committed."""
    checkout.run(*SNAKEMAKE)
    checkout.commit("first run")
    return checkout


def queue(checkout: Checkout, *overrides: str) -> None:
    """Queue the experiments of these overrides, as docs/cluster.md says to."""
    pictures = [f"data/pictures/{folder.name}" for folder in (checkout.folder / "data/pictures").iterdir() if folder.is_dir()]
    copies = [word for path in pictures for word in ("--copy-paths", path)]
    checkout.run("dvc", "exp", "run", "--queue", *copies, *(word for each in overrides for word in ("--set-param", each)))


def run_queue(checkout: Checkout) -> str:
    """Run all that is queued, two at a time; returns the last `dvc queue status`."""
    checkout.run("dvc", "queue", "start", "--jobs", "2")
    deadline = time.monotonic() + PATIENCE_S
    while "Queued" in (status := checkout.run("dvc", "queue", "status")) or "Running" in status:
        assert time.monotonic() < deadline, status
        time.sleep(3)
    return status


def evaluated_in_mlflow(checkout: Checkout) -> list[tuple[str, str, str]]:
    """(experiment, `samples` of its run `evaluate`, status of the whole) for each experiment that MLflow has."""
    query = (
        "select tags.value, params.value, parents.status from runs as parents"
        " join tags on tags.run_uuid = parents.run_uuid and tags.key = 'dvc_experiment'"
        " join tags as children on children.key = 'mlflow.parentRunId' and children.value = parents.run_uuid"
        " join params on params.run_uuid = children.run_uuid and params.key = 'samples'"
    )
    with closing(sqlite3.connect(checkout.folder / "mlflow.db")) as connection:
        return connection.execute(query).fetchall()


def test_queued_experiments_end_two_at_a_time_each_with_its_own_parameters_in_dvc_and_in_mlflow(finished: Checkout) -> None:
    queue(finished, f"evaluate.samples={','.join(SAMPLES)}")
    status = run_queue(finished)
    assert status.count("Success") == len(SAMPLES), status
    rows = list(csv.DictReader(finished.run("dvc", "exp", "show", "--csv").splitlines()))
    samples = {row["Experiment"]: row["evaluate.samples"] for row in rows if row["Experiment"]}
    assert sorted(samples.values()) == sorted(SAMPLES)
    in_mlflow = evaluated_in_mlflow(finished)
    assert sorted(value for _, value, _ in in_mlflow) == sorted(SAMPLES)
    assert all(samples[experiment] == value for experiment, value, _ in in_mlflow)
    assert {status for _, _, status in in_mlflow} == {"FINISHED"}
    assert "reports/runs.html: 5 runs" in finished.run("python", "-m", "pipeline", "compare")
    assert list((finished.folder / ".dvc/tmp/exps").glob("tmp*")) == [], "DVC has deleted the copies"
    finished.assert_all_up_to_date()
