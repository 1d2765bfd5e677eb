"""What the tests of clusters share: programs of Debian, and a checkout with small steps that end early."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.fetched import fetched_checkout
from tests.cluster.postgres_server import postgres_programs
from tests.cluster.slurm import Slurm, slurm
from tests.support.checkout import Checkout

CLUSTER = [pytest.mark.cluster, pytest.mark.timeout(1800)]
# The package of Debian that brings each program; `make test-cluster` installs them.
PROGRAMS = {"ip": "iproute2", "slurmctld": "slurm-wlm", "munged": "munge", "nginx": "nginx-light", "postgres": "postgresql"}
FOLDERS = os.pathsep.join(("/usr/sbin", "/usr/bin", "/sbin", "/bin", str(postgres_programs())))


def need(*programs: str) -> None:
    """Skip the test, with the command that would install what it needs, where one of `programs` is missing."""
    missing = sorted({PROGRAMS[name] for name in programs if shutil.which(name, path=FOLDERS) is None})
    if missing:
        pytest.skip(f"apt-get install {' '.join(missing)}")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """Two nodes, each with a GPU of /dev/null, for the tests of one module."""
    need("slurmctld", "munged")
    with slurm(tmp_path_factory.mktemp("slurm"), ("node1", "node2")) as running:
        yield running


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout on the tiny preset in which nothing has run."""
    return Checkout.make(tmp_path / "project")


@pytest.fixture(scope="session")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout with the results of collect and fetch, committed; tests change nothing of it but the remote."""
    return fetched_checkout(tmp_path_factory.mktemp("fetched") / "project")
