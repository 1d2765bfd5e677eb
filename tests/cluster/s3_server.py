"""An S3 server on the loopback interface: moto's, in a process of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from tests.cluster.processes import started
from tests.support.checkout import BIN
from tests.support.mlflow_server import free_port, wait_for_answer

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}  # moto takes any


class Bucket:
    """A bucket named `store` of the server at `url`; `log` has a line for each request."""

    def __init__(self, url: str, log: Path) -> None:
        self.url, self._log = url, log
        self._client: Any = boto3.client(
            "s3", endpoint_url=url, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
        )
        self._client.create_bucket(Bucket="store")

    def objects(self, prefix: str) -> list[str]:
        """The keys that begin with `prefix`."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket="store", Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def read(self, key: str) -> bytes:
        """The content of an object."""
        return self._client.get_object(Bucket="store", Key=key)["Body"].read()

    def write(self, key: str, content: bytes) -> None:
        """Make `content` that of the object."""
        self._client.put_object(Bucket="store", Key=key, Body=content)

    def uploads(self, prefix: str) -> int:
        """How many times an object whose key begins with `prefix` was sent so far."""
        return self._log.read_text(errors="replace").count(f'"PUT /store/{prefix}')


@contextmanager
def s3_server(folder: Path) -> Iterator[Bucket]:
    """Run the server, with its log in `folder`, and yield its bucket."""
    port, log = free_port(), folder / "s3.log"
    url = f"http://127.0.0.1:{port}"
    with started([str(BIN / "moto_server"), "--host", "127.0.0.1", "--port", str(port)], log) as server:
        wait_for_answer(f"{url}/moto-api/", server, log)
        yield Bucket(url, log)
