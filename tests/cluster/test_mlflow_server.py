"""MLflow's server: eight senders at once, a server killed in mid-run, and one that asks for a password."""

import os
import platform
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from pipeline.tracking.tracker import SPOOLS, Tracker
from tests.cluster.conftest import CLUSTER
from tests.cluster.processes import started
from tests.support.mlflow_server import free_port, mlflow_server
from tests.support.project import ROOT

pytestmark = CLUSTER

SEND = [sys.executable, "-m", "pipeline", "send"]
RUNS, STEPS = 8, 50
PASSWORD = "correct horse battery"
PATIENCE_S = 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the server's database and artifacts are."""
    (tmp_path / "server").mkdir()
    return tmp_path / "server"


def environment(uri: str, **variables: str) -> dict[str, str]:
    """The environment of a sender of the server at `uri`."""
    return {
        "PYTHONPATH": str(ROOT),
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "MLFLOW_TRACKING_URI": uri,
        **variables,
    }


def noted(project: Path, invocation: str) -> Tracker:
    """A tracker of `train` in a new project."""
    track = Tracker(project / SPOOLS / invocation / "train.jsonl")
    track.tags({"host": platform.node()})
    track.params({"project": project.name})
    return track


def points(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of the metric `loss`, in order, of each run by its parameter `project`."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        rows = connection.execute(
            "select params.value, step, metrics.value from metrics join params using (run_uuid)"
            " where metrics.key = 'loss' and params.key = 'project' order by step"
        ).fetchall()
    found: dict[str, list[tuple[int, float]]] = {}
    for project, step, value in rows:
        found.setdefault(project, []).append((step, value))
    return found


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_eight_runs_at_once_arrive_whole_and_apart(folder: Path, tmp_path: Path) -> None:
    expected = {f"project-{run}": [(step, run + step / 1000) for step in range(STEPS)] for run in range(RUNS)}
    for name, losses in expected.items():
        track = noted(tmp_path / name, "run")
        for step, loss in losses:
            track.metrics({"loss": loss}, step=step)
        track.close("FINISHED")
    with mlflow_server(folder, folder / "mlflow.db", free_port()) as uri:
        senders = [
            subprocess.Popen(SEND, cwd=tmp_path / name, env=environment(uri), stderr=subprocess.PIPE, text=True)
            for name in expected
        ]
        found = [(sender.communicate()[1], sender.returncode) for sender in senders]
    assert found == [("", 0)] * RUNS
    assert points(folder) == expected


def test_a_server_killed_in_mid_run_and_started_again_lacks_no_point(folder: Path, tmp_path: Path) -> None:
    project, port, over, enough = tmp_path / "project", free_port(), tmp_path / "over", threading.Event()
    uri, track = f"http://127.0.0.1:{port}", noted(project, "run")
    losses: list[tuple[int, float]] = []

    def train() -> None:
        while not enough.wait(0.3):
            losses.append((len(losses), len(losses) / 1000))
            track.metrics({"loss": losses[-1][1]}, step=losses[-1][0])
        track.close("FINISHED")

    def arrived() -> int:
        return sum(map(len, points(folder).values()))

    sender = [*SEND, "--follow", "run", "--until", str(over), "--process-id", str(os.getpid())]
    training = threading.Thread(target=train)
    with ExitStack() as stack:
        with mlflow_server(folder, folder / "mlflow.db", port, end=signal.SIGKILL):
            process = stack.enter_context(started(sender, tmp_path / "sender.log", environment(uri), project))
            training.start()
            stack.callback(enough.set)
            wait_until(arrived)
        at_the_kill, noted_by_then = arrived(), len(losses)
        wait_until(lambda: len(losses) > noted_by_then + 20)
        with mlflow_server(folder, folder / "mlflow.db", port):
            wait_until(lambda: arrived() > at_the_kill)
            enough.set()
            training.join()
            over.touch()
            assert process.wait(PATIENCE_S) == 0, (tmp_path / "sender.log").read_text()
    assert points(folder) == {"project": losses}


def test_a_wrong_password_is_one_line_without_it_and_the_right_one_sends_what_waited(folder: Path, tmp_path: Path) -> None:
    config = folder / "auth.ini"
    config.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder}/auth.db\nadmin_username = admin\n"
        f"admin_password = {PASSWORD}\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    secrets = {"MLFLOW_AUTH_CONFIG_PATH": str(config), "MLFLOW_FLASK_SERVER_SECRET_KEY": "of the test"}
    track = noted(tmp_path / "project", "run")
    track.metrics({"loss": 0.5}, step=3)
    track.close("FINISHED")

    def sent(**user: str) -> tuple[int, list[str]]:
        done = subprocess.run(
            SEND, cwd=tmp_path / "project", env=environment(uri, **user), capture_output=True, text=True, check=False
        )
        return done.returncode, done.stderr.splitlines()

    options = ["--app-name", "basic-auth"]
    with mlflow_server(folder, folder / "mlflow.db", free_port(), options=options, variables=secrets) as uri:
        status, (line,) = sent(MLFLOW_TRACKING_USERNAME="admin", MLFLOW_TRACKING_PASSWORD="wrong horse")
        assert status == 1
        assert "127.0.0.1" in line
        assert "not authenticated" in line.lower()
        assert "wrong horse" not in line
        assert points(folder) == {}
        assert sent(MLFLOW_TRACKING_USERNAME="admin", MLFLOW_TRACKING_PASSWORD=PASSWORD) == (0, [])
    assert points(folder) == {"project": [(3, 0.5)]}
