"""A PostgreSQL server of Debian's package, in a temporary folder, that listens on a socket in it and on no port."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from tests.cluster.processes import ran, started

START_S = 120
USER = "postgres"  # of the database and, since PostgreSQL refuses root, of its processes where root runs the tests


def postgres_programs() -> Path | None:
    """The folder of Debian's newest PostgreSQL, which is not on the path; None where it is not installed."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=None)


@contextmanager
def postgres_server(log: Path) -> Iterator[str]:
    """Run a server on a new, empty database, and yield the address of the database for SQLAlchemy."""
    found = postgres_programs()
    assert found is not None
    as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if os.geteuid() == 0 else []
    # Not in pytest's folder, which only its own user may enter.
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        folder = Path(name)
        if as_user:
            shutil.chown(folder, USER, USER)
        data = folder / "data"
        options = [f"--username={USER}", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
        ran([*as_user, str(found / "initdb"), f"--pgdata={data}", *options], log, folder=folder)
        server = [*as_user, str(found / "postgres"), "-D", str(data), "-k", str(folder), "-h", "", "-F"]
        with started(server, log, folder=folder):
            address = f"postgresql://{USER}@/{USER}?host={folder}"
            _wait_for_answer(address, log)
            yield address


def _wait_for_answer(address: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            create_engine(address, poolclass=NullPool).connect().close()
            return
        except OperationalError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
