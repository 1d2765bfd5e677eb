"""The MLflow store that runs are logged to: reached, created or found unusable within seconds, with MLflow's own reason."""

import http.client
import logging
import os
import socket
import sqlite3
import ssl
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pipeline.errors import AtelierError
from pipeline.storage.files import locked, remove, whole_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

EXPERIMENT = "atelier"
TRAINS_MODELS = {"mlflow.experimentKind": "custom_model_development"}  # so that the UI shows runs and not chats
DEFAULT_URI = "sqlite:///mlflow.db"
LIBRARIES = (
    "mlflow",
    "alembic",
    "sqlalchemy",
    "urllib3",
    "git",
    "onnx",
)  # that log what they raise as well, some with tracebacks
PROBE_TIMEOUT_S = 3.0
QUIET_S = 5.0  # an unfinished database that nobody has written to for so long was left by a process that was killed
REASON_CHARACTERS = 700
AUTOFLUSH = "(raised as a result of Query-invoked autoflush"  # a line that SQLAlchemy puts before the reason
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
# Error codes by which a store says that it would take the same later.
FOR_NOW = (
    "TEMPORARILY_UNAVAILABLE",
    "REQUEST_LIMIT_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "DEADLINE_EXCEEDED",
    "ABORTED",
    "CANCELLED",
)
NOT_ALLOWED = ("PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED", "UNAUTHENTICATED")
# Columns of MLflow's database that hold paths of artifacts.
PATH_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


class UnavailableError(AtelierError):
    """MLflow takes nothing now; what was noted is kept."""

    def __init__(self, reason: str, *, passing: bool) -> None:
        """`passing`: it may be otherwise in a moment."""
        super().__init__(reason)
        self.passing = passing


class UnreachableError(UnavailableError):
    """Nothing answers where MLflow should be."""


class EventsWaitError(UnavailableError):
    """Some events of one invocation could not be logged; others can."""


def reason_of(error: BaseException) -> str:
    """The first line of what `error` says, with its cure where MLflow names one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith(AUTOFLUSH)]
    reason = (lines[0] if lines else type(error).__name__).replace("<database_uri>", store_name())
    return reason if len(reason) <= REASON_CHARACTERS else f"{reason[: REASON_CHARACTERS - 1]}…"


def tracking_uri() -> str:
    """Where runs are logged."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def _without_password(uri: str) -> str:
    try:
        address = urlsplit(uri)
    except ValueError:  # it is no address, and is named as it stands
        return uri
    return address._replace(netloc=address.netloc.rpartition("@")[2]).geturl() if address.password else uri


def store_name() -> str:
    """Where runs are logged, as messages say it."""
    return _without_password(tracking_uri())


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def is_passing(error: BaseException) -> bool:
    """Whether `error` means that the store could not be reached or was busy, and says nothing of what it was given."""
    import requests
    import sqlalchemy.exc

    code = getattr(error, "error_code", "")
    if code in FOR_NOW:
        return True
    if code not in ("", "INTERNAL_ERROR"):
        return False
    for cause in _causes(error):
        if isinstance(cause, requests.HTTPError):
            status = cause.response.status_code if cause.response is not None else 500
            return status == 429 or status >= 500
        if isinstance(cause, sqlalchemy.exc.OperationalError | OSError):  # all of requests' other errors are of the latter
            return True
    return False


def _is_locked(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def passes_soon(error: BaseException) -> bool:
    """Whether `error` is worth waiting for some seconds: a locked database or a server that restarts, not a full disk."""
    database_errors = [cause for cause in _causes(error) if isinstance(cause, sqlite3.Error)]
    if database_errors:
        return _is_locked(database_errors[0])
    import requests

    if any(isinstance(cause, requests.TooManyRedirects) for cause in _causes(error)):
        return False
    return is_passing(error) and (not isinstance(error, OSError) or isinstance(error, requests.RequestException))


def is_not_allowed(error: BaseException) -> bool:
    """Whether the store refuses whatever this user gives it."""
    return getattr(error, "error_code", "") in NOT_ALLOWED


def _probe_http(uri: str) -> None:
    """Return where anything answers at `uri`. Raises UnavailableError."""
    address = urlsplit(uri)
    health = address._replace(netloc=address.netloc.rpartition("@")[2], path=f"{address.path.rstrip('/')}/health").geturl()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent; MLflow itself checks certificates
    try:
        with urllib.request.urlopen(health, timeout=PROBE_TIMEOUT_S, context=context):
            return
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            raise UnreachableError(f"{_without_password(uri)} cannot be reached (HTTP {error.code})", passing=True) from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        if not isinstance(reason, ssl.SSLError):
            why = getattr(reason, "strerror", None) or reason
            raise UnreachableError(f"{_without_password(uri)} cannot be reached ({why})", passing=True) from None
    except (ValueError, http.client.HTTPException) as error:
        raise UnavailableError(f"{_without_password(uri)} is no MLflow server ({error})", passing=False) from None


def _probe_port(uri: str) -> None:
    address = urlsplit(uri)
    port = address.port or PORTS.get(address.scheme.partition("+")[0])
    if address.hostname and port:
        try:
            socket.create_connection((address.hostname, port), timeout=PROBE_TIMEOUT_S).close()
        except OSError as error:
            where = f"{address.hostname}:{port}"
            raise UnreachableError(f"{where} cannot be reached ({error.strerror or error})", passing=True) from None


def database_path(uri: str) -> Path | None:
    """The file of an SQLite `uri`; None for any other store."""
    name = unquote(uri.removeprefix("sqlite:///").partition("?")[0])
    return Path(name) if uri.startswith("sqlite:///") and name not in ("", ":memory:") else None


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _is_finished(path: Path, *, writable: bool) -> bool:
    """Whether MLflow has finished creating the database at `path`. Raises UnavailableError where it cannot be used."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=PROBE_TIMEOUT_S)) as connection:
            tables = _tables(connection)
            if writable:
                connection.execute("BEGIN IMMEDIATE")  # found locked here, and not by MLflow after 20 s
                connection.execute("ROLLBACK")
            # The first experiment is made when all tables are there.
            filled = [table for table in ("experiments", "runs") if table in tables]
            return any(connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in filled)
    except sqlite3.OperationalError as error:
        raise UnavailableError(f"{path}: {error}", passing=_is_locked(error)) from None
    except sqlite3.DatabaseError as error:
        cure = "move it away, and a new one is made"
        raise UnavailableError(f"{path}: {error}; restore it from a backup, or {cure}", passing=False) from None


def _create_database(path: Path) -> bool:
    """Whether the database that MLflow was made to create is at `path`, whole; not where another process began one there."""
    from mlflow import MlflowClient

    new = path.with_name(f"{path.name}.new")
    with whole_folder(new) as folder:  # a folder, since SQLite keeps a journal beside the file
        MlflowClient(f"sqlite:///{folder.resolve() / path.name}").search_experiments(max_results=1)
    is_free = not path.exists()  # `mlflow ui` may have been faster
    if is_free:
        (new / path.name).replace(path)
    remove(new)
    return is_free


def _set_aside(path: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        part = path.with_name(f"{path.name}{suffix}")
        if part.exists():
            part.replace(path.with_name(f"{path.name}.unfinished{suffix}"))


def prepare_database(path: Path, *, writable: bool = True) -> None:
    """Create MLflow's database at `path` where there is none, or only one that a killed process began.

    Raises UnavailableError where the file cannot be used, or where there is none and it is not to be `writable`.
    """
    if path.exists() and _is_finished(path, writable=writable):
        return
    if not writable:
        raise UnavailableError(f"{path}: no run has been logged there yet", passing=False)
    with locked(path.with_name(f"{path.name}.lock")):
        if path.exists():
            if _is_finished(path, writable=True):
                return
            if time.time() - path.stat().st_mtime < QUIET_S:
                raise UnavailableError(f"{path} is being created", passing=True)
            _set_aside(path)
        if not _create_database(path):
            raise UnavailableError(f"{path} is being created", passing=True)


def _silence_libraries() -> None:
    """Leave it to us to say what went wrong: what libraries log, they raise as well."""
    from mlflow.utils.logging_utils import disable_logging

    disable_logging()  # of what MLflow prints; some of its functions switch it on again
    for library in LIBRARIES:
        logging.getLogger(library).setLevel(logging.CRITICAL)


def open_client(*, writable: bool = True) -> "MlflowClient":
    """A client of the tracking server, by default mlflow.db here, that gives up within seconds and logs nothing itself.

    Only a `writable` store is created where there is none. Raises UnavailableError.
    """
    os.environ["MLFLOW_TRACKING_URI"] = uri = tracking_uri()
    # A server that is down must cost seconds, not the client's default of minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # what is logged here goes nowhere else
    try:
        path = database_path(uri)  # raises ValueError where the address is none, as the probes do
        if uri.startswith("sqlite:") and path is None:
            raise UnavailableError(f"{uri}: a database in memory keeps nothing; name a file", passing=False)
        if uri.startswith(("http://", "https://")):
            _probe_http(uri)
        elif path is None and "://" in uri:
            _probe_port(uri)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow's own dependencies
            from mlflow import MlflowClient
        _silence_libraries()
        if path is not None:
            prepare_database(path, writable=writable)
        return MlflowClient(uri)
    except UnavailableError:
        raise
    except Exception as error:  # whatever MLflow, its database or the disk raise
        raise UnavailableError(f"{store_name()}: {reason_of(error)}", passing=passes_soon(error)) from error


def old_root(experiment: "Experiment", path: Path | None) -> Path | None:
    """The folder that a project was copied or moved from, where `experiment` still keeps artifacts there; else None.

    `path` is the database, where it is a file. Only one that lies in this project says anything about where that was.
    """
    location = experiment.artifact_location
    if path is None or path.resolve().parent != Path.cwd() or urlsplit(location).scheme not in ("", "file"):
        return None
    artifacts = Path(unquote(urlsplit(location).path) if location.startswith("file:") else location)
    # Where MLflow puts artifacts by default; anything else was somebody's choice.
    if artifacts.is_relative_to(Path.cwd()) or artifacts.parts[-2:] != ("mlruns", experiment.experiment_id):
        return None
    return artifacts.parents[1]


def relocate() -> Path | None:
    """The folder that this project was copied or moved from, after pointing what the database had there to here; else None.

    Raises UnavailableError.
    """
    path = database_path(tracking_uri())
    experiment = open_client().get_experiment_by_name(EXPERIMENT)
    old = old_root(experiment, path) if experiment else None
    if old is None or path is None:
        return None
    new = Path.cwd()
    with closing(sqlite3.connect(path, timeout=PROBE_TIMEOUT_S)) as connection, connection:
        for before, after in ((f"{old}/", f"{new}/"), (f"{old.as_uri()}/", f"{new.as_uri()}/")):
            for table, column in PATH_COLUMNS:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                    (after, len(before) + 1, len(before), before),
                )
    return old


def _experiment(client: "MlflowClient") -> "Experiment":
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return found
    try:
        return client.get_experiment(client.create_experiment(EXPERIMENT, tags=TRAINS_MODELS))
    except MlflowException:  # another run may have created it in the meantime
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            raise
        return found


def experiment_id(client: "MlflowClient") -> str:
    """The id of our experiment, created where there is none. Raises UnavailableError where nothing can be logged to it."""
    try:
        experiment = _experiment(client)
    except Exception as error:  # whatever MLflow, its database or the network raise
        raise UnavailableError(f"{store_name()}: {reason_of(error)}", passing=passes_soon(error)) from error
    if experiment.lifecycle_stage == "deleted":
        cure = f"`mlflow experiments restore --experiment-id {experiment.experiment_id}` brings it back"
        raise UnavailableError(f"{store_name()}: the experiment {EXPERIMENT} is deleted; {cure}", passing=False)
    old = old_root(experiment, database_path(tracking_uri()))
    if old is not None:
        cure = "`python -m pipeline send --relocate` points it here"
        raise UnavailableError(f"{store_name()} came from {old} and still keeps its artifacts there; {cure}", passing=False)
    return experiment.experiment_id
