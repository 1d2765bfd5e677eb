"""MLflow's server on the loopback interface."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

START_S = 240


def free_port() -> int:
    """A port of the loopback interface on which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for_answer(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until `url` answers. Raises RuntimeError with what is in `log` if `server` has ended or START_S have passed."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text(errors="replace")) from error
            time.sleep(0.2)


@contextmanager
def mlflow_server(
    folder: Path,
    database: str,
    port: int,
    *,
    files: str | None = None,
    options: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    end: signal.Signals = signal.SIGTERM,
) -> Iterator[str]:
    """Run MLflow's server on the database at this address, with its log in `folder`, and yield its URL.

    `files`: where it keeps artifacts, by default a folder in `folder`; `options` and `variables` of its environment are further
    ones. The block ends with `end` to the server and its workers.
    """
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", database, "--artifacts-destination", files or str(folder / "artifacts"), *options]
    # Its job runner is seven further processes, each of which imports all of MLflow.
    quick = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment, log_file = os.environ | quick | dict(variables or {}), folder / "server.log"
    with log_file.open("ab") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for_answer(f"http://127.0.0.1:{port}/health", server, log_file)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, end)  # including its workers
        server.wait()
