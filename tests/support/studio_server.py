"""A studio served on loopback, and a client for it."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from studio.serve import listening_socket, server_of
from tests.support.studio_model import write_stand_in


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """The content, parsed as JSON."""
        return json.loads(self.content)


@dataclass(frozen=True)
class Client:
    """Sends requests to the studio on `port`, under the path `prefix`."""

    port: int
    prefix: str = ""

    def request(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        """The response to one request; a body that is not bytes is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            if body is not None and not isinstance(body, bytes):
                body, headers = json.dumps(body).encode(), {"content-type": "application/json"} | (headers or {})
            connection.request(method, self.prefix + path, body, headers or {})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def finished(self, job: dict[str, Any]) -> dict[str, Any]:
        """Wait for the job to finish and return its last state."""
        while job["state"] in ("waiting", "running"):
            time.sleep(0.05)
            job = self.request("GET", f"/api/jobs/{job['id']}").json
        return job


@contextmanager
def served_studio(folder: Path, graph: onnx.ModelProto | None = None) -> Iterator[Client]:
    """A client of a studio on the stand-in model, or on another `graph`, its files in `folder`."""
    with served(write_stand_in(folder / "model", graph), folder) as client:
        yield client


@contextmanager
def served(model: Path, folder: Path, **options: Any) -> Iterator[Client]:
    """A client of a studio on the exported `model`, its state in `folder`, with other `options` of `server_of`."""
    server = server_of(model, state=folder / "studio.sqlite", **options)
    bound = listening_socket("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, args=([bound],))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        yield Client(bound.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
        bound.close()
