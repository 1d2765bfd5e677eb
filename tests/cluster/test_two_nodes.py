"""A training on two nodes, whose link is cut and restored, or cut for good."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.gan.processes import WAIT_VARIABLE
from tests.cluster.conftest import CLUSTER, need
from tests.cluster.processes import started
from tests.cluster.two_nodes import ADDRESSES, NODES, WIRE, cut_the_link, give_up_after, on_node, restore_the_link, two_nodes
from tests.stages.train.test_train_processes import TRAINING
from tests.support.project import ROOT
from tests.support.training import hashes, tiny_params, write_data

pytestmark = CLUSTER

PARAMS = tiny_params(**{**TRAINING, "total_kimg": 0.8}, processes=2)
PATIENCE_S = 600
WAIT_S = 60  # longer than one process of a loaded machine starts after the other
CUT_S = 5


def environment(interface: str) -> dict[str, str]:
    variables = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": interface, WAIT_VARIABLE: str(WAIT_S)}
    return os.environ | {"PYTHONPATH": str(ROOT)} | variables


def arguments(train: Path) -> list[str]:
    paths = ["--train", str(train), "--gan", "gan", "--scratch", "scratch"]
    return ["pipeline", "train", "--params", PARAMS.model_dump_json(), "--log", "logs/train.log", *paths]


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data") / "train")


@pytest.fixture(scope="module")
def undisturbed(train: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The model of two processes on one machine, as the SHA-256 of each file."""
    folder = tmp_path_factory.mktemp("undisturbed")
    subprocess.run([sys.executable, "-m", *arguments(train)], cwd=folder, env=environment("lo"), check=True)
    return hashes(folder / "gan")


@pytest.fixture
def nodes() -> Iterator[None]:
    need("ip")
    if os.geteuid() != 0:
        pytest.skip("only root makes network namespaces")
    with two_nodes():
        yield


@dataclass(frozen=True)
class Training:
    """The processes of both nodes in a folder that they share."""

    folder: Path
    processes: list[subprocess.Popen[bytes]]

    def images_saved(self) -> int:
        """Images seen by the newest checkpoint; 0 where there is none."""
        return max((int(path.name[:10]) for path in (self.folder / "scratch").rglob("*.pt")), default=0)

    def output(self, node: int) -> str:
        return (self.folder / f"node{node}").read_text()

    def wait_until_saved(self, images: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while self.images_saved() < images:
            assert [process.poll() for process in self.processes] == [None, None], self.output(0) + self.output(1)
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def statuses(self) -> list[int]:
        """The exit statuses, once both have ended."""
        return [process.wait(PATIENCE_S) for process in self.processes]


@contextmanager
def training(train: Path, folder: Path) -> Iterator[Training]:
    """The command of docs/training.md on each node."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    torchrun += ["--master-addr", ADDRESSES[0], "--master-port", "29500"]

    def command(node: int) -> list[str]:
        return on_node(node, *torchrun, "--node-rank", str(node), "-m", "--", *arguments(train))

    logs = [folder / f"node{node}" for node in range(len(NODES))]
    with (
        started(command(0), logs[0], environment(WIRE), folder) as first,
        started(command(1), logs[1], environment(WIRE), folder) as second,
    ):
        yield Training(folder, [first, second])


@pytest.mark.usefixtures("nodes")
def test_a_training_waits_for_a_link_that_is_cut_for_seconds_and_ends_with_the_same_bytes(
    train: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    with training(train, tmp_path) as running:
        running.wait_until_saved(160)
        cut_the_link()
        time.sleep(1)
        saved = running.images_saved()
        time.sleep(CUT_S - 1)
        assert running.images_saved() == saved, "a step without the other node"
        restore_the_link()
        assert running.statuses() == [0, 0], running.output(0) + running.output(1)
    assert hashes(tmp_path / "gan") == undisturbed


@pytest.mark.usefixtures("nodes")
def test_a_link_cut_for_good_ends_both_nodes_with_a_line_and_the_same_command_goes_on_to_the_same_bytes(
    train: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    give_up_after(5)  # instead of 15, a quarter of an hour; WAIT_S ends who has nothing left to send
    with training(train, tmp_path) as running:
        running.wait_until_saved(160)
        cut_the_link()
        assert running.statuses() == [1, 1]
        saved = running.images_saved()
        for node in range(len(NODES)):
            assert "train: another process of this training has ended or cannot be reached" in running.output(node)
    assert saved < 800
    restore_the_link()
    with training(train, tmp_path) as running:
        assert running.statuses() == [0, 0], running.output(0) + running.output(1)
        assert f"resuming from image {saved}" in running.output(0)
    assert hashes(tmp_path / "gan") == undisturbed
