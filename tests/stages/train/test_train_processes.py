"""Two processes that train together, on this machine's loopback: the same training as one process's, and as safe."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from pipeline.errors import ParamsError, StoppedError, TrainingError
from pipeline.gan.history import HISTORY_COLUMNS
from pipeline.gan.processes import WAIT_VARIABLE, Processes, process_group, wait_of_environment
from pipeline.gan.training import Trainer
from pipeline.stages.train.params import TrainParams
from pipeline.storage.checkpoints import read_checkpoint
from pipeline.tracking.tracker import INVOCATION_VARIABLE
from tests.stages.train.test_train import VARIANTS
from tests.support.training import hashes, tiny_params, write_data

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(
    not (torch.distributed.is_available() and torch.distributed.is_gloo_available()), reason="needs Gloo"
)
# Without batch norm and minibatch deviation, so that the parts of a batch do not see each other.
APART = {**VARIANTS["stylegan2"]["network"], "stddev_group": 0, "path_length": 0.0}
TRAINING: dict[str, Any] = {"network": APART, "diffaugment": ["colour"], "total_kimg": 0.16}
CASES = {"apart-with-alpha": TRAINING, "dcgan": VARIANTS["dcgan"], "projected": VARIANTS["projected"]}

# Both processes train each case in turn and write their states; the steps are those of the trainer alone.
STEPS = """
import json
import sys
from pathlib import Path
import numpy as np
import torch
from pipeline.gan.processes import process_group
from pipeline.gan.training import Trainer
from pipeline.params import parse_section

folder = Path(sys.argv[1])
torch.set_num_threads(1)
with process_group(2, torch.device("cpu")) as processes:
    for name, (section, data) in json.loads((folder / "cases.json").read_text()).items():
        images, labels = np.load(Path(data, "train_images.npy")), np.load(Path(data, "train_labels.npy"))
        trainer = Trainer(
            parse_section("train", section), images, labels, 3, torch.device("cpu"), processes=processes
        )
        for _ in range(6):
            trainer.step()
        trainer.history.close_row(trainer.images_seen)
        torch.save(trainer.state(), folder / f"{name}-{processes.index}.pt")
"""


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data") / "train")


@contextmanager
def _at_work(*module: str, folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A module at work with its arguments, asked to stop when the block ends."""
    run = [sys.executable, "-m", *module]
    given = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"} | environment
    with (
        (folder / "output").open("w") as output,
        subprocess.Popen(run, cwd=folder, env=given, stdout=output, stderr=output) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


def _arguments(params: TrainParams, train: Path, folder: Path) -> list[str]:
    paths = ["--train", str(train), "--gan", str(folder / "gan"), "--scratch", str(folder / "scratch")]
    return ["pipeline", "train", "--params", params.model_dump_json(), "--log", "logs/train.log", *paths]


def _steps(params: TrainParams, train: Path) -> Trainer:
    images, labels = np.load(train / "train_images.npy"), np.load(train / "train_labels.npy")
    trainer = Trainer(params, images, labels, 3, torch.device("cpu"))
    for _ in range(6):
        trainer.step()
    trainer.history.close_row(trainer.images_seen)
    return trainer


@pytest.fixture(scope="module")
def stepped(train: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the states of two processes after the steps of each case; starting them takes longer than the steps."""
    folder = tmp_path_factory.mktemp("stepped")
    data = {"apart-with-alpha": write_data(folder / "alpha", channels=4)}
    cases = {
        name: (tiny_params(**changes, processes=2).model_dump_json(), str(data.get(name, train)))
        for name, changes in CASES.items()
    }
    (folder / "cases.json").write_text(json.dumps(cases))
    (folder / "steps.py").write_text(STEPS)
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    with _at_work(*torchrun, "steps.py", str(folder), folder=folder) as process:
        assert process.wait() == 0, (folder / "output").read_text()
    return folder


@pytest.mark.parametrize("name", CASES)
def test_two_processes_take_the_steps_of_one(name: str, train: Path, stepped: Path) -> None:
    first, second = (torch.load(stepped / f"{name}-{index}.pt", weights_only=True) for index in (0, 1))
    assert list(first) == list(second)
    assert [key for key in first if not torch.equal(first[key], second[key])] == []

    # What a part draws at random does not depend on whether a process or a turn is its own.
    data = stepped / "alpha" if name == "apart-with-alpha" else train
    one = _steps(tiny_params(**CASES[name], accumulate=2), data)
    assert first["images_seen"] == one.images_seen
    history = dict(zip(HISTORY_COLUMNS, first["history"][0].tolist(), strict=True))
    assert history == pytest.approx(dict(zip(HISTORY_COLUMNS, one.history.rows[0], strict=True)), rel=1e-3, abs=1e-5)
    learnt = {key: value for key, value in one.state().items() if key.split(".")[0] in ("generator", "discriminator")}
    # Means over past steps move otherwise, as docs/training.md says.
    means = ("running_", "num_batches", "mean_styles")
    weights = [key for key in learnt if not any(word in key for word in means)]
    differences = torch.cat([(learnt[key].float() - first[key].float()).abs().flatten() for key in weights])
    assert float(differences.quantile(0.95)) < 1e-4


def test_what_two_processes_began_one_goes_on_with(train: Path, stepped: Path) -> None:
    """With `accumulate` twice as large; `--resume-anyway` allows it (test_resume.py)."""
    params = tiny_params(**CASES["dcgan"], accumulate=2)
    images, labels = np.load(train / "train_images.npy"), np.load(train / "train_labels.npy")
    resumed, whole = (Trainer(params, images, labels, 3, torch.device("cpu")) for _ in range(2))
    resumed.restore(torch.load(stepped / "dcgan-0.pt", weights_only=True))
    for trainer, steps in ((whole, 6 + 2), (resumed, 2)):
        for _ in range(steps):
            trainer.step()
    assert resumed.images_seen == whole.images_seen
    expected = whole.state()
    generator = {key: value for key, value in resumed.state().items() if key.startswith("generator.") and "running_" not in key}
    differences = torch.cat([(value.float() - expected[key].float()).abs().flatten() for key, value in generator.items()])
    assert float(differences.quantile(0.95)) < 1e-4


def test_only_the_first_process_writes_files_and_records_events(train: Path, tmp_path: Path) -> None:
    params = tiny_params(**TRAINING, processes=2)
    with _at_work(*_arguments(params, train, tmp_path), folder=tmp_path, **{INVOCATION_VARIABLE: "together"}) as process:
        assert process.wait() == 0, (tmp_path / "output").read_text()
    state = read_checkpoint((tmp_path / "gan" / "checkpoint.pt").read_bytes())
    assert state["images_seen"] == 160
    assert sorted(path.name for path in (tmp_path / "gan" / "samples").iterdir()) == ["00000000.png", "00000160.png"]
    [spool] = (tmp_path / "logs" / "tracking" / "together").glob("*.jsonl")
    events = [json.loads(line) for line in spool.read_text(encoding="utf-8").splitlines()]
    assert [event["step"] for event in events if "loss_generator" in event.get("metrics", {})] == [80, 160]
    assert (tmp_path / "logs" / "train.log").read_text().count("trained in") == 1


@pytest.mark.slow
def test_stopped_by_a_signal_all_stop_and_go_on(train: Path, tmp_path: Path) -> None:
    params = tiny_params(**{**TRAINING, "total_kimg": 1000.0}, processes=2)

    def stopped_after(count: int, *, one: bool) -> int:
        """Images seen when both have stopped, by a signal, to one of them or to who started them, after so many checkpoints."""
        with _at_work(*_arguments(params, train, tmp_path), folder=tmp_path) as process:
            before = newest()
            while process.poll() is None and newest() < before + count * 80:
                time.sleep(0.01)
            (psutil.Process(process.pid).children()[0] if one else process).terminate()
            assert process.wait() == StoppedError.exit_status, (tmp_path / "output").read_text()
        return newest()

    def newest() -> int:
        return max((int(path.name[:10]) for path in (tmp_path / "scratch").rglob("*.pt")), default=0)

    stopped = stopped_after(1, one=False)
    output = (tmp_path / "output").read_text()
    assert "stopped by SIGTERM, all saved" in output
    assert "not foreseen" not in output
    assert stopped_after(1, one=True) > stopped
    assert f"resuming from image {stopped}" in (tmp_path / "output").read_text()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_the_bytes_are_those_of_an_undisturbed_training(train: Path, tmp_path: Path) -> None:
    """One of the two processes, or all at once with who started them, at random moments."""
    params = tiny_params(**{**TRAINING, "total_kimg": 0.8}, processes=2)
    moments = random.Random(0)

    def status(folder: Path, *, kill: str = "", before_s: float = 0.0) -> int:
        with _at_work(*_arguments(params, train, folder), folder=folder) as process:
            if kill:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(moments.uniform(0, before_s))
            if kill and process.poll() is None:
                started = psutil.Process(process.pid).children(recursive=True)
                if kill == "all":
                    process.kill()
                for victim in started if kill == "all" else started[:1]:
                    with suppress(psutil.NoSuchProcess):
                        victim.kill()
            return process.wait()

    for name in ("undisturbed", "killed"):
        (tmp_path / name).mkdir()
    start = time.monotonic()
    assert status(tmp_path / "undisturbed") == 0, (tmp_path / "undisturbed" / "output").read_text()
    whole_s = time.monotonic() - start
    ends = [status(tmp_path / "killed", kill=kill, before_s=whole_s) for kill in ["all", "one"] * 4]
    assert sum(end != 0 for end in ends) >= 4
    assert status(tmp_path / "killed") == 0, (tmp_path / "killed" / "output").read_text()
    assert hashes(tmp_path / "killed" / "gan") == hashes(tmp_path / "undisturbed" / "gan")


def test_the_status_is_that_of_who_failed(tmp_path: Path) -> None:
    params = tiny_params(**TRAINING, processes=2)
    with _at_work(*_arguments(params, tmp_path / "nowhere", tmp_path), folder=tmp_path) as process:
        assert process.wait() == 1
    output = (tmp_path / "output").read_text()
    assert "dataset.json" in output
    assert "Traceback" not in output


def test_the_number_that_torchrun_started_must_be_the_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    for started, wanted, output in ((2, 1, "set it to 2"), (1, 4, "torchrun --nproc-per-node 4")):
        monkeypatch.setenv("WORLD_SIZE", str(started))
        with (
            pytest.raises(ParamsError, match=rf"train\.processes: {wanted}, but {started} started; .*{output}"),
            process_group(wanted, torch.device("cpu")),
        ):
            pass


@pytest.mark.parametrize("text", ["soon", "0", "-3", "1e9", "nan"])
def test_a_wait_that_is_no_number_of_seconds_is_one_sentence(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WAIT_VARIABLE, text)
    with pytest.raises(ParamsError, match=rf"ATELIER_PROCESS_WAIT_S: {text}, but it must be a number of seconds"):
        wait_of_environment()


def test_alone_nothing_is_averaged_and_a_broken_line_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = torch.ones(2)
    Processes().average([tensor])
    assert tensor.tolist() == [1.0, 1.0]
    assert Processes().any(True)
    assert Processes().from_first(lambda: 3) == 3

    def broken(*_: object) -> None:
        raise RuntimeError("Connection closed by peer\nand more")

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", broken)
    with pytest.raises(TrainingError, match=r"another process of this training has ended.*closed by peer\)$"):
        Processes(0, 2).average([tensor])
