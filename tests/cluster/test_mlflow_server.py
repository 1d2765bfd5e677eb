"""MLflow's server: eight senders at once, a server killed in mid-run, one that asks for a password, one behind a proxy."""

import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.tracking.tracker import SPOOLS, Tracker
from tests.cluster.conftest import CLUSTER, need
from tests.cluster.mlflow_store import Store, postgres_and_bucket, sqlite_and_folder
from tests.cluster.processes import PATIENCE_S, started, wait_until
from tests.cluster.proxy import proxy
from tests.support.mlflow_server import free_port
from tests.support.project import ROOT

pytestmark = CLUSTER

SEND = [sys.executable, "-m", "pipeline", "send"]
RUNS, STEPS = 8, 50
PASSWORD = "correct horse battery"


@pytest.fixture(params=["SQLite and a folder", "PostgreSQL and a bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Where the server keeps runs and files."""
    folder = tmp_path / "server"
    folder.mkdir()
    if request.param.startswith("PostgreSQL"):
        pytest.importorskip("psycopg2", reason="the environment is older than requirements.lock")
        need("postgres")
        with postgres_and_bucket(folder) as store:
            yield store
    else:
        with sqlite_and_folder(folder) as store:
            yield store


on_sqlite = pytest.mark.parametrize("store", ["SQLite and a folder"], indirect=True)


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


def file_of(project: Path, name: str) -> Path:
    """A new file whose content is that of no other project."""
    (project / name).write_bytes(f"{project.name} {name} ".encode() * 1000)
    return project / name


def test_eight_runs_at_once_arrive_whole_and_apart(store: Store, tmp_path: Path) -> None:
    expected = {f"project-{run}": [(step, run + step / 1000) for step in range(STEPS)] for run in range(RUNS)}
    for name, losses in expected.items():
        track = noted(tmp_path / name, "run")
        for step, loss in losses:
            track.metrics({"loss": loss}, step=step)
        track.artifact(file_of(tmp_path / name, "model.bin"))
        track.close("FINISHED")
    with store.server(free_port()) as uri:
        senders = [
            subprocess.Popen(SEND, cwd=tmp_path / name, env=environment(uri), stderr=subprocess.PIPE, text=True)
            for name in expected
        ]
        found = [(sender.communicate()[1], sender.returncode) for sender in senders]
    assert found == [("", 0)] * RUNS
    assert store.points() == expected
    for name in expected:
        assert store.artifact(name, "model.bin") == (tmp_path / name / "model.bin").read_bytes()


def test_a_server_killed_in_mid_run_and_started_again_lacks_no_point_and_no_file(store: Store, tmp_path: Path) -> None:
    project, port, over, enough = tmp_path / "project", free_port(), tmp_path / "over", threading.Event()
    uri, track = f"http://127.0.0.1:{port}", noted(project, "run")
    track.artifact(file_of(project, "before.bin"))
    losses: list[tuple[int, float]] = []

    def train() -> None:
        while not enough.wait(0.3):
            losses.append((len(losses), len(losses) / 1000))
            track.metrics({"loss": losses[-1][1]}, step=losses[-1][0])
        track.artifact(file_of(project, "after.bin"))
        track.close("FINISHED")

    def arrived() -> int:
        return sum(map(len, store.points().values()))

    sender = [*SEND, "--follow", "run", "--until", str(over), "--process-id", str(os.getpid())]
    training = threading.Thread(target=train)
    with ExitStack() as stack:
        with store.server(port, end=signal.SIGKILL):
            process = stack.enter_context(started(sender, tmp_path / "sender.log", environment(uri), project))
            training.start()
            stack.callback(enough.set)
            wait_until(arrived, "nothing has arrived")
        at_the_kill, noted_by_then = arrived(), len(losses)
        wait_until(lambda: len(losses) > noted_by_then + 20, "the training stands still")
        with store.server(port):
            wait_until(lambda: arrived() > at_the_kill, "nothing more has arrived")
            enough.set()
            training.join()
            over.touch()
            assert process.wait(PATIENCE_S) == 0, (tmp_path / "sender.log").read_text()
    assert store.points() == {"project": losses}
    for name in ("before.bin", "after.bin"):
        assert store.artifact("project", name) == (project / name).read_bytes()


@on_sqlite
def test_a_wrong_password_is_one_line_without_it_and_the_right_one_sends_what_waited(store: Store, tmp_path: Path) -> None:
    config = store.folder / "auth.ini"
    config.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{store.folder}/auth.db\nadmin_username = admin\n"
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
    with store.server(free_port(), options=options, variables=secrets) as uri:
        status, (line,) = sent(MLFLOW_TRACKING_USERNAME="admin", MLFLOW_TRACKING_PASSWORD="wrong horse")
        assert status == 1
        assert "127.0.0.1" in line
        assert "not authenticated" in line.lower()
        assert "wrong horse" not in line
        assert store.points() == {}
        assert sent(MLFLOW_TRACKING_USERNAME="admin", MLFLOW_TRACKING_PASSWORD=PASSWORD) == (0, [])
    assert store.points() == {"project": [(3, 0.5)]}


@on_sqlite
def test_a_proxy_that_allows_bodies_of_a_megabyte_keeps_out_larger_files_alone_and_they_are_named(
    store: Store, tmp_path: Path
) -> None:
    need("nginx")
    project = tmp_path / "project"
    track = noted(project, "run")
    many = {f"key-{number}": "\\" * 6000 for number in range(300)}  # JSON writes twice as much
    track.params(many)
    for name, size in (("large.bin", 3 << 20), ("small.bin", 1 << 19)):
        (project / name).write_bytes(os.urandom(size))
        track.artifact(project / name)
    track.metrics({"loss": 0.5}, step=3)
    track.close("FINISHED")
    (tmp_path / "proxy").mkdir()
    with store.server(free_port()) as server, proxy(server, tmp_path / "proxy") as uri:
        sent = subprocess.run(SEND, cwd=project, env=environment(uri), capture_output=True, text=True, check=False)
    (line,) = sent.stderr.splitlines()
    assert sent.returncode == 0
    assert "large.bin" in line
    assert "413" in line
    assert store.params() == many | {"project": "project"}
    assert store.points() == {"project": [(3, 0.5)]}
    assert store.artifact("project", "small.bin") == (project / "small.bin").read_bytes()
