"""Two users of one machine in one checkout, which both may write."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.storage.files import sha256_of_file
from tests.cluster.conftest import CLUSTER
from tests.cluster.processes import PATIENCE_S, registered, started, wait_until
from tests.support.checkout import SNAKEMAKE, Checkout

pytestmark = [*CLUSTER, pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")]

NOBODY = "65534"
# The other user may read everything, since the environment may lie in root's home, and write what everybody may.
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
AS_NOBODY += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
# git, and so DVC, works in a folder of somebody else's where its user says so.
TRUSTED = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
COLLECT = [*SNAKEMAKE, "--", "data/manifest.parquet"]


@pytest.fixture
def shared() -> Iterator[Checkout]:
    """A checkout that every user may write, as a group's members may; outside of pytest's folder, which is root's alone."""
    before = os.umask(0)
    try:
        with tempfile.TemporaryDirectory(prefix="two-users-") as folder:
            Path(folder).chmod(0o777)
            checkout = Checkout.make(Path(folder) / "project", TRUSTED | {"HOME": folder})
            checkout.run("chmod", "--recursive", "a+rwX", ".")
            yield checkout
    finally:
        os.umask(before)


def contents(checkout: Checkout) -> dict[str, str]:
    """SHA-256 of every result and of what DVC and git record of them, by path."""
    folders = [checkout.folder / name for name in ("data", "models", "reports", ".dvc/cache", ".git/refs")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    files += checkout.folder.glob("dvc.*")
    return {str(path.relative_to(checkout.folder)): sha256_of_file(path) for path in sorted(files)}


def test_a_second_user_gets_one_line_while_the_first_ones_run_lasts_changes_nothing_and_can_go_on_afterwards(
    shared: Checkout,
) -> None:
    log = shared.folder.parent / "first.log"
    with started(COLLECT, log, shared.environment, shared.folder) as first:
        wait_until(lambda: registered(shared.folder, "collect") or first.poll() is not None, "nothing collects")
        process_id = registered(shared.folder, "collect")
        assert process_id is not None, log.read_text()
        os.kill(process_id, signal.SIGSTOP)
        try:
            before = contents(shared)
            for command in (SNAKEMAKE, ["dvc", "repro", "collect"]):
                output = shared.run(*AS_NOBODY, *command, expect=None)
                assert f"another snakemake (process {first.pid}) is running in this folder" in output
                assert "Traceback" not in output
            assert contents(shared) == before
        finally:
            os.kill(process_id, signal.SIGCONT)
        assert first.wait(PATIENCE_S) == 0, log.read_text()
    shared.run(*AS_NOBODY, *SNAKEMAKE, "--", "fetch_all")
    assert "up to date" in shared.run("dvc", "status", "collect", "fetch")
