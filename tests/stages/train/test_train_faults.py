"""The train stage on bad days: killed at thirty random moments, short of memory, on a full disk."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.gan.checkpoints import load_generator
from pipeline.stages.train.params import TrainParams
from pipeline.storage.checkpoints import read_checkpoint
from tests.stages.train.test_train import VARIANTS
from tests.support.training import hashes, tiny_params, write_data

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.slow
ROOM = 1100 * 1024  # bytes left on the full disk: for a checkpoint and a half

# Training in children forked from one process, lest most of each life go into importing torch. Prints kills, and whether the
# bytes at the end of each training were those of the first, undisturbed one, after so many kills at least.
KILLING = """
import json, os, random, shutil, signal, sys, time
from pathlib import Path
from pipeline.stages.train.run import run
from pipeline.params import parse_section
from pipeline.tracking.tracker import Tracker
from tests.support.training import hashes

section, data, folder, wanted = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
moments = random.Random(0)

def begin(name):
    if child := os.fork():
        return child
    paths = {"gan": folder / name, "scratch": folder / "scratch"}
    run(parse_section("train", section), train=data, track=Tracker(), **paths)
    os._exit(0)

start = time.monotonic()
os.waitpid(begin("undisturbed"), 0)
whole_s = time.monotonic() - start
expected, kills, ends = hashes(folder / "undisturbed"), 0, []
while kills < wanted or not ends:
    child = begin("gan")
    if kills < wanted:
        time.sleep(moments.uniform(0, whole_s / 3))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    kills += os.WIFSIGNALED(status)
    if os.WIFEXITED(status):
        ends.append(hashes(folder / "gan") == expected)
        shutil.rmtree(folder / "gan")
        shutil.rmtree(folder / "scratch")
print(json.dumps({"kills": kills, "ends": ends}))
"""

SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
import pipeline.stages.train.run
from pipeline.__main__ import main
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + 300 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.exit(main(sys.argv[1:]))
"""


STOPPING = """
import signal, sys
from pathlib import Path
from pipeline.stages.train.run import run
from pipeline.errors import StoppedError
from pipeline.params import parse_section
from pipeline.tracking.tracker import Tracker

class Stopping(Tracker):
    def metrics(self, metrics, *, step=0):
        if step == 160 and "loss_generator" in metrics:
            signal.raise_signal(signal.SIGTERM)

section, data, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
paths = {"gan": folder / "gan", "scratch": folder / "scratch"}
try:
    run(parse_section("train", section), train=data, track=Stopping() if "stop" in sys.argv else Tracker(), **paths)
except StoppedError:
    sys.exit(75)
"""


def in_python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `program` with `arguments` in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _arguments(params: TrainParams, train: Path, folder: Path) -> list[str]:
    paths = ["--train", str(train), "--gan", str(folder / "gan"), "--scratch", str(folder / "scratch")]
    return ["train", "--params", params.model_dump_json(), *paths]


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data") / "train")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("changes", [{}, {"best_by": "swd", "keep_checkpoints": 3}], ids=["plain", "best"])
def test_killed_thirty_times_the_bytes_are_those_of_an_undisturbed_training(
    changes: dict[str, Any], train: Path, tmp_path: Path
) -> None:
    done = in_python(KILLING, tiny_params(**changes).model_dump_json(), str(train), str(tmp_path), "30")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] == 30
    assert found["ends"]
    assert all(found["ends"])


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["resnet", "stylegan2"])
def test_a_compiled_training_goes_on_to_the_same_bytes(name: str, train: Path, tmp_path: Path) -> None:
    params = tiny_params(**VARIANTS.get(name, {}), compile=True)
    for folder, last in (("whole", "go"), ("parted", "stop"), ("parted", "go")):
        done = in_python(STOPPING, params.model_dump_json(), str(train), str(tmp_path / folder), last)
        assert done.returncode == (75 if last == "stop" else 0), done.stderr
    found = hashes(tmp_path / "parted" / "gan")
    assert found == hashes(tmp_path / "whole" / "gan")
    names = read_checkpoint((tmp_path / "whole" / "gan" / "checkpoint.pt").read_bytes())
    assert not [name for name in names if "_orig_mod" in name]
    assert load_generator(tmp_path / "whole" / "gan", torch.device("cpu"))[1].images_seen == 400


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_short_memory_is_one_line_that_names_the_parameter_to_lower(train: Path, tmp_path: Path) -> None:
    large = tiny_params(
        batch_size=16384, network={**tiny_params().network.model_dump(), "generator_width": 64, "max_width": 64}
    )
    done = in_python(SHORT_OF_MEMORY, *_arguments(large, train, tmp_path))
    assert done.returncode == 1, done.stderr
    assert "out of memory with train.batch_size 16384 and train.accumulate 1; raise train.accumulate" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "gan").exists()


def test_a_full_disk_is_one_line_and_the_checkpoints_there_stay(train: Path, tmp_path: Path) -> None:
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    small = f"mount -t tmpfs -o size={{size}} none {tmp_path}"
    if not shutil.which("unshare") or subprocess.run([*unshare, "sh", "-c", small.format(size="1m")], check=False).returncode:
        pytest.skip("needs user namespaces, to mount a small disk")
    command = " ".join(f"'{word}'" for word in [sys.executable, "-m", "pipeline", *_arguments(tiny_params(), train, tmp_path)])
    # Mounted, filled but for a checkpoint and a half, trained on until full; then freed, and the same command again.
    script = f"""
        {small.format(size="8m")}
        head -c $((8 * 1024 * 1024 - {ROOM})) /dev/zero > {tmp_path}/ballast
        {command}; echo "first $?"
        ls {tmp_path}/scratch/*/*.pt
        rm {tmp_path}/ballast
        {command}; echo "second $?"
        ls {tmp_path}/gan
    """
    done = subprocess.run(
        [*unshare, "sh", "-c", script],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "first 1" in done.stdout, done.stdout + done.stderr
    assert "No space left" in done.stderr or "disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert "0000000000-" in done.stdout  # the first checkpoint
    assert "resuming from image" in done.stderr
    assert "second 0" in done.stdout
    assert "generator.safetensors" in done.stdout
