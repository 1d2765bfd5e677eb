"""What MLflow's server keeps runs and files in: SQLite and a folder, or PostgreSQL and a bucket."""

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from tests.cluster.postgres_server import postgres_server
from tests.cluster.s3_server import KEYS, s3_server
from tests.support.mlflow_server import mlflow_server


@dataclass(frozen=True)
class Store:
    """A database and a place for files, which outlive the server."""

    folder: Path  # of the server's log
    database: str  # its address
    files: str  # where the server puts artifacts
    read: Callable[[str], bytes]  # an artifact, by its path below `files`
    variables: Mapping[str, str] = field(default_factory=dict)  # that the server needs

    def server(
        self,
        port: int,
        *,
        options: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        end: signal.Signals = signal.SIGTERM,
    ) -> AbstractContextManager[str]:
        """MLflow's server on this store, as `mlflow_server` yields it."""
        both = {**self.variables, **(variables or {})}
        return mlflow_server(self.folder, self.database, port, files=self.files, options=options, variables=both, end=end)

    def _rows(self, query: str) -> list[tuple]:
        with create_engine(self.database, poolclass=NullPool).connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def points(self) -> dict[str, list[tuple[int, float]]]:
        """Step and value of the metric `loss`, in order, of each run by its parameter `project`."""
        rows = self._rows(
            "select params.value, step, metrics.value from metrics join params using (run_uuid)"
            " where metrics.key = 'loss' and params.key = 'project' order by step"
        )
        found: dict[str, list[tuple[int, float]]] = {}
        for project, step, value in rows:
            found.setdefault(project, []).append((step, value))
        return found

    def params(self) -> dict[str, str]:
        """Every parameter of every run."""
        return dict(self._rows("select key, value from params"))

    def artifact(self, project: str, name: str) -> bytes:
        """The artifact `name` of the run whose parameter `project` is that."""
        query = "select artifact_uri, params.value from runs join params using (run_uuid) where params.key = 'project'"
        (uri,) = [uri for uri, value in self._rows(query) if value == project]
        return self.read(f"{uri.removeprefix('mlflow-artifacts:/')}/{name}")


@contextmanager
def sqlite_and_folder(folder: Path) -> Iterator[Store]:
    """A store in `folder` alone."""
    yield Store(
        folder, f"sqlite:///{folder}/mlflow.db", f"{folder}/artifacts", lambda path: (folder / "artifacts" / path).read_bytes()
    )


@contextmanager
def postgres_and_bucket(folder: Path) -> Iterator[Store]:
    """A store of two servers, with their logs in `folder`."""
    with postgres_server(folder / "postgres.log") as database, s3_server(folder) as bucket:
        variables = KEYS | {"MLFLOW_S3_ENDPOINT_URL": bucket.url}
        yield Store(folder, database, "s3://store/mlflow", lambda path: bucket.read(f"mlflow/{path}"), variables)
