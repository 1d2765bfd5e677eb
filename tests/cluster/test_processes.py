"""Processes that train together on two nodes, which are two network namespaces of this machine."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pipeline.stages.train.params import TrainParams
from tests.cluster.conftest import need
from tests.cluster.processes import started
from tests.support.project import ROOT
from tests.support.training import hashes, tiny_params, write_data

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

NODES = {"atelier-a": "10.213.7.1", "atelier-b": "10.213.7.2"}
PORT = "29513"
TRAINING: dict[str, Any] = {"total_kimg": 3.2, "checkpoint_every_kimg": 0.16, "sample_every_kimg": 3.2, "threads": 1}


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data") / "train")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def link() -> Iterator[str]:
    """The name, on the first node, of the link between two nodes."""
    need("ip")
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    with ExitStack() as stack:
        for name in NODES:
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "delete", name)
        first, second = NODES
        _ip("link", "add", "train0", "netns", first, "type", "veth", "peer", "name", "train0", "netns", second)
        for name, address in NODES.items():
            _ip("-n", name, "address", "add", f"{address}/24", "dev", "train0")
            for device in ("lo", "train0"):
                _ip("-n", name, "link", "set", device, "up")
        yield "train0"


def _paths(folder: Path, train: Path) -> list[str]:
    return ["--train", str(train), "--gan", str(folder / "gan"), "--scratch", str(folder / "scratch")]


def _on_two_nodes(params: TrainParams, train: Path, folder: Path, stack: ExitStack) -> list[subprocess.Popen[bytes]]:
    """torchrun on each node, one process each."""
    running = []
    for rank, name in enumerate(NODES):
        torchrun = ["-m", "torch.distributed.run", "--nnodes", "2", "--node-rank", str(rank), "--nproc-per-node", "1"]
        torchrun += ["--master-addr", NODES["atelier-a"], "--master-port", PORT]
        stage = ["-m", "--", "pipeline", "train", "--params", params.model_dump_json(), *_paths(folder, train)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "train0"}
        command = ["ip", "netns", "exec", name, sys.executable, *torchrun, *stage]
        running.append(stack.enter_context(started(command, folder / f"{name}.out", environment, folder)))
    return running


def _output(folder: Path) -> str:
    return "\n".join(path.read_text()[-3000:] for path in sorted(folder.glob("*.out")))


def _checkpoints(folder: Path) -> int:
    return len({path.name for path in (folder / "scratch").rglob("*.pt")})


@pytest.mark.parametrize("cut", [False, True], ids=["whole link", "link cut for five seconds"])
def test_two_nodes_train_one_model_and_outlast_a_cut_of_their_link(
    link: str, train: Path, tmp_path_factory: pytest.TempPathFactory, cut: bool
) -> None:
    folder = tmp_path_factory.mktemp("nodes")
    with ExitStack() as stack:
        nodes = _on_two_nodes(tiny_params(**TRAINING, processes=2), train, folder, stack)
        if cut:
            _wait(lambda: _checkpoints(folder) >= 1, nodes, folder)
            _ip("-n", "atelier-a", "link", "set", link, "down")
            time.sleep(5)
            assert [node.poll() for node in nodes] == [None, None], _output(folder)
            _ip("-n", "atelier-a", "link", "set", link, "up")
        assert [node.wait(600) for node in nodes] == [0, 0], _output(folder)
    together = folder.parent / "together"
    if not together.exists():  # as one machine makes it
        together.mkdir()
        _run(tiny_params(**TRAINING, processes=2), train, together)
    assert hashes(folder / "gan") == hashes(together / "gan")


@pytest.mark.usefixtures("link")
def test_a_node_that_dies_ends_the_other_with_one_line_and_the_training_goes_on(train: Path, tmp_path: Path) -> None:
    params = tiny_params(**TRAINING, processes=2)
    with ExitStack() as stack:
        nodes = _on_two_nodes(params, train, tmp_path, stack)
        _wait(lambda: _checkpoints(tmp_path) >= 1, nodes, tmp_path)
        os.killpg(nodes[1].pid, 9)
        assert nodes[0].wait(300) != 0
    said = (tmp_path / "atelier-a.out").read_text()
    assert "another process of this training has ended" in said
    with ExitStack() as stack:
        nodes = _on_two_nodes(params, train, tmp_path, stack)
        assert [node.wait(600) for node in nodes] == [0, 0], _output(tmp_path)
    assert "resuming from image" in _output(tmp_path)


def test_a_training_of_two_processes_resumes_with_one_and_says_so(train: Path, tmp_path: Path) -> None:
    two = tiny_params(**TRAINING, processes=2)
    command = [sys.executable, "-m", "pipeline", "train", "--params", two.model_dump_json(), *_paths(tmp_path, train)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with started(command, tmp_path / "two.out", environment, tmp_path) as training:
        _wait(lambda: _checkpoints(tmp_path) >= 2, [training], tmp_path)
        training.terminate()
        assert training.wait(120) == 75, _output(tmp_path)
    one = tiny_params(**TRAINING, processes=1)
    said = _run(one, train, tmp_path, "--resume-anyway")
    assert "train.processes 2 → 1" in said
    card = json.loads((tmp_path / "gan/generator.json").read_text())
    assert "train.processes 2 → 1" in str(card["resumed_across"])


def _run(params: TrainParams, train: Path, folder: Path, *options: str) -> str:
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "train",
        "--params",
        params.model_dump_json(),
        *_paths(folder, train),
        *options,
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def _wait(what: Any, processes: list[subprocess.Popen[bytes]], folder: Path) -> None:
    deadline = time.monotonic() + 600
    while not what():
        assert all(process.poll() is None for process in processes), _output(folder)
        assert time.monotonic() < deadline, _output(folder)
        time.sleep(0.1)
