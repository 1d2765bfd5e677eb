"""S3 on the loopback interface."""

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.processes import started
from tests.support.mlflow_server import free_port

START_S = 120
BUCKET = "atelier"


def _wait_for_port(port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
            time.sleep(0.2)


@dataclass(frozen=True)
class S3:
    """Moto's server with one bucket; clients find it by `environment`."""

    url: str
    environment: dict[str, str] = field(default_factory=dict)

    def client(self) -> Any:
        """A client of boto3."""
        import boto3

        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", **_KEYS)

    def keys(self, prefix: str = "") -> list[str]:
        """The names of all objects below `prefix`."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


_KEYS = {"aws_access_key_id": "a", "aws_secret_access_key": "s"}


@contextmanager
def s3(folder: Path) -> Iterator[S3]:
    """Start moto's server, and create the bucket."""
    port, log = free_port(), folder / "s3.log"
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    with started(command, log):
        _wait_for_port(port, log)
        url = f"http://127.0.0.1:{port}"
        keys = {name.upper(): value for name, value in _KEYS.items()}
        server = S3(url, {**keys, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": url})
        server.client().create_bucket(Bucket=BUCKET)
        yield server
