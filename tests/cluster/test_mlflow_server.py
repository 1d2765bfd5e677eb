"""MLflow's server in a process of its own: many runs at once, a kill in mid-run, passwords, and a proxy with small bodies."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from PIL import Image

from tests.cluster.services import BUCKET, postgres, s3
from tests.support.mlflow_server import free_port, mlflow_server
from tests.support.prefix_proxy import proxied
from tests.support.project import ROOT
from tests.tracking.test_sending_faults import noted

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800), pytest.mark.filterwarnings("ignore")]

STEPS, PIPELINES = 200, 8


class Server:
    """Where MLflow's server keeps its runs and files, so that it can be started again."""

    def __init__(self, folder: Path, database: Path | str, artifacts: str | None, variables: dict[str, str]) -> None:
        self.folder, self.database, self.artifacts, self.variables = folder, database, artifacts, variables
        self.port = free_port()

    def started(self) -> Any:
        return mlflow_server(self.folder, self.database, self.port, artifacts=self.artifacts, variables=self.variables)


@pytest.fixture(scope="module", params=["sqlite", "postgresql on s3"])
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("mlflow")
    if request.param == "sqlite":
        yield Server(folder, folder / "mlflow.db", None, {})
        return
    with s3(folder) as bucket, postgres() as database:
        yield Server(folder, database, f"s3://{BUCKET}/mlflow", bucket.environment)


def _environment(project: Path, uri: str) -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": str(project), "MLFLOW_TRACKING_URI": uri}


def _send(project: Path, uri: str, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pipeline", "send", *options]
    return subprocess.Popen(command, cwd=project, env=_environment(project, uri), stderr=subprocess.PIPE, text=True)


def _train(project: Path, name: str, first: int = 0, last: int = STEPS) -> None:
    """Note the steps of a training whose loss tells which pipeline it belongs to."""
    track = noted(project, name)
    for step in range(first, last):
        track.metrics({"loss": float(step) + 1000 * int(name)}, step=step)


def _losses(uri: str, name: str) -> list[tuple[int, float]]:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("atelier")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], f"params.pipeline = '{name}'")
    assert len(runs) == 1, f"pipeline {name} has {len(runs)} runs"
    history = client.get_metric_history(runs[0].info.run_id, "loss")
    return sorted((metric.step, metric.value) for metric in history)


def _expected(name: str) -> list[tuple[int, float]]:
    return [(step, float(step) + 1000 * int(name)) for step in range(STEPS)]


def test_eight_pipelines_at_once_are_logged_each_whole_and_unmixed(stored: Server, tmp_path: Path) -> None:
    projects = {str(number): tmp_path / str(number) for number in range(1, PIPELINES + 1)}
    for name, project in projects.items():
        project.mkdir()
        track = noted(project, name)
        track.params({"pipeline": name})
        _train(project, name)
        Image.new("L", (8, 8), int(name)).save(project / "grid.png")
        track.picture(project / "grid.png", "samples", step=STEPS)
        track.close("FINISHED")
    with stored.started() as uri:
        sending = [_send(project, uri) for project in projects.values()]
        ended = [(process.communicate()[1], process.returncode) for process in sending]
        assert [status for _, status in ended] == [0] * PIPELINES, ended
        assert {name: _losses(uri, name) for name in projects} == {name: _expected(name) for name in projects}


def test_a_server_killed_and_started_again_in_mid_run_loses_nothing(stored: Server, tmp_path: Path) -> None:
    name = "99"
    noted(tmp_path, name).params({"pipeline": name})
    ended = tmp_path / "ended"
    options = ["--follow", name, "--until", str(ended), "--process-id", str(os.getpid())]
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        uri = first.enter_context(stored.started())
        sender = _send(tmp_path, uri, *options)
        _train(tmp_path, name, 0, STEPS // 2)
        deadline = time.monotonic() + 300
        while not _has_runs(uri, name):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        first.close()
        _train(tmp_path, name, STEPS // 2, STEPS - 1)
        time.sleep(2)  # it notices
        stack.enter_context(stored.started())
        _train(tmp_path, name, STEPS - 1, STEPS)
        noted(tmp_path, name).close("FINISHED")
        ended.touch()
        assert sender.communicate()[1] is not None
        if sender.returncode:  # it waits for twenty seconds, which a busy machine may take; what is left is sent later
            assert _send(tmp_path, uri).wait() == 0
        assert _losses(uri, name) == _expected(name)


def _has_runs(uri: str, name: str) -> bool:
    experiment = MlflowClient(uri).get_experiment_by_name("atelier")
    return experiment is not None and bool(
        MlflowClient(uri).search_runs([experiment.experiment_id], f"params.pipeline = '{name}'")
    )


def test_a_wrong_password_is_one_line_and_the_right_one_sends_what_was_kept(tmp_path: Path) -> None:
    name, port = "7", free_port()
    noted(tmp_path, name).params({"pipeline": name})
    _train(tmp_path, name)
    noted(tmp_path, name).close("FINISHED")
    variables = {"MLFLOW_FLASK_SERVER_SECRET_KEY": "secret"}
    settings = tmp_path / "auth.ini"
    settings.write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{tmp_path / 'auth.db'}\nadmin_username = admin\nadmin_password = password1234\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    variables["MLFLOW_AUTH_CONFIG_PATH"] = str(settings)
    with mlflow_server(tmp_path, tmp_path / "mlflow.db", port, "--app-name", "basic-auth", variables=variables):
        for password, status in (("wrong", 1), ("password1234", 0)):
            sender = _send(tmp_path, f"http://admin:{password}@127.0.0.1:{port}")
            said = sender.communicate()[1]
            assert sender.returncode == status, said
            if status:
                assert len(said.splitlines()) == 1, said
                assert "wrong" not in said, "the password is not shown"
                assert f"127.0.0.1:{port}" in said
                assert "user" in said or "password" in said or "credential" in said.lower() or "401" in said
        assert _losses(f"http://admin:password1234@127.0.0.1:{port}", name) == _expected(name)


def test_a_proxy_that_allows_a_megabyte_refuses_one_file_by_name_and_passes_the_rest(tmp_path: Path) -> None:
    name = "5"
    track = noted(tmp_path, name)
    track.params({"pipeline": name})
    for file, size in (("small.bin", 200_000), ("large.bin", 2_000_000)):
        (tmp_path / file).write_bytes(os.urandom(size))
        track.artifact(tmp_path / file)
    _train(tmp_path, name)
    track.close("FINISHED")
    with mlflow_server(tmp_path, tmp_path / "mlflow.db", free_port()) as uri:
        with proxied(int(uri.rpartition(":")[2]), "/mlflow", max_body=1 << 20) as port:
            sender = _send(tmp_path, f"http://127.0.0.1:{port}/mlflow")
            said = sender.communicate()[1]
        assert sender.returncode == 0, said
        assert "large.bin" in said
        assert len([line for line in said.splitlines() if "small.bin" in line]) == 0
        assert _losses(uri, name) == _expected(name)
        stored = {path.name for path in (tmp_path / "artifacts").rglob("*.bin")}
    assert stored == {"small.bin"}
