"""The tiny pipeline as jobs of a Slurm cluster, and what Slurm does to a training."""

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.processes import PATIENCE_S, registered, started, wait_until
from tests.cluster.slurm import Slurm
from tests.support.checkout import SNAKEMAKE, Checkout

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]

QUICK = ["--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1"]
SUBMIT = ["snakemake", "--workflow-profile", "profiles/slurm", "--resources", "gpu=1", *QUICK]


@pytest.fixture(scope="module")
def finished(cluster: Slurm, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which Slurm has run everything, on an idle cluster."""
    checkout = Checkout.make(tmp_path_factory.mktemp("checkout") / "project", cluster.environment)
    checkout.run(*SUBMIT, "--group-components", "shards=2")
    return checkout


@pytest.fixture(scope="module")
def jobs(cluster: Slurm, finished: Checkout) -> list[dict[str, str]]:
    """The jobs that ran in `finished`."""
    of_project = str(finished.folder)
    return [job for job in map(cluster.job, cluster.jobs()) if job["WorkDir"] == of_project]


def test_the_profile_runs_everything_and_leaves_one_state(finished: Checkout, jobs: list[dict[str, str]]) -> None:
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    rules = [job["Comment"] for job in jobs]
    assert len(jobs) == 11, f"fetch and inspect of both shards share one job: {rules}"
    finished.assert_all_up_to_date()


def test_a_training_asks_for_its_gpu_its_threads_its_time_and_the_memory_of_its_dry_run(
    finished: Checkout, jobs: list[dict[str, str]]
) -> None:
    training = next(job for job in jobs if "train" in job["Comment"])
    assert training["TresPerJob"] == "gres:gpu:1"
    assert training["TimeLimit"] == "1-00:00:00"
    assert training["CPUs/Task"] == "2"
    forecast = next((finished.folder / ".scratch/forecasts").glob("train-*.txt")).read_text()
    megabytes = int(re.findall(r"memory +([\d,]+) MB", forecast)[0].replace(",", ""))
    assert training["MinMemoryNode"] == f"{max(4000, int(megabytes * 1.25))}M"


def _copy(checkout: Checkout, folder: Path) -> Checkout:
    shutil.copytree(checkout.folder, folder, symlinks=True)
    return Checkout(folder, checkout.environment)


def _model(checkout: Checkout) -> dict[str, bytes]:
    folder = checkout.folder / "models/gan"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def before_training(cluster: Slurm, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which nothing is left to do before the training, which is to run on one CPU."""
    checkout = Checkout.make(tmp_path_factory.mktemp("before") / "project", cluster.environment)
    checkout.change("train", lambda section: section.update(threads=1))
    checkout.run(*SNAKEMAKE, "--", "data/train")
    return checkout


@pytest.fixture(scope="module")
def undisturbed(before_training: Checkout, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The model, byte by byte, of a training that nothing stopped, without Slurm."""
    checkout = _copy(before_training, tmp_path_factory.mktemp("undisturbed") / "project")
    checkout.run(*SNAKEMAKE, "--", "models/gan")
    return _model(checkout)


@dataclass(frozen=True)
class HeldTraining:
    """A training in mid-course, stopped by SIGSTOP, so that it cannot end before what is to happen to it."""

    checkout: Checkout
    job_id: str
    wait: Callable[[], None]  # until Snakemake has ended well


@contextmanager
def _held_training(checkout: Checkout, cluster: Slurm) -> Iterator[HeldTraining]:
    log = checkout.folder / "snakemake.out"
    with started([*SUBMIT, "--", "models/gan"], log, checkout.environment, checkout.folder) as snakemake:

        def has_saved() -> bool:
            assert snakemake.poll() is None, log.read_text()[-3000:]
            return len(list((checkout.folder / ".scratch/train").glob("*/*.pt"))) >= 2

        wait_until(has_saved, "no checkpoint")
        process_id = registered(checkout.folder, "train")
        assert process_id is not None
        os.kill(process_id, signal.SIGSTOP)
        project = str(checkout.folder)
        job_id = next(job for job in cluster.jobs("RUNNING") if cluster.job(job)["WorkDir"] == project)

        def wait() -> None:
            assert snakemake.wait(PATIENCE_S) == 0, log.read_text()[-5000:]

        yield HeldTraining(checkout, job_id, wait)


def _assert_went_on(training: HeldTraining, undisturbed: dict[str, bytes]) -> None:
    assert re.search(r"resuming from image [1-9]", (training.checkout.folder / "logs/train.log").read_text())
    assert _model(training.checkout) == undisturbed


def test_a_cancelled_training_is_submitted_again_and_goes_on_from_its_checkpoint_to_the_same_bytes(
    before_training: Checkout, undisturbed: dict[str, bytes], cluster: Slurm, tmp_path: Path
) -> None:
    with _held_training(_copy(before_training, tmp_path / "project"), cluster) as training:
        cluster.run("scancel", training.job_id)
        training.wait()
    assert cluster.job(training.job_id)["JobState"] == "CANCELLED"
    _assert_went_on(training, undisturbed)


def test_a_training_whose_time_is_up_is_submitted_again_and_goes_on_to_the_same_bytes(
    before_training: Checkout, undisturbed: dict[str, bytes], cluster: Slurm, tmp_path: Path
) -> None:
    with _held_training(_copy(before_training, tmp_path / "project"), cluster) as training:
        cluster.run("scontrol", "update", f"jobid={training.job_id}", "TimeLimit=1")
        training.wait()
    assert cluster.job(training.job_id)["JobState"] == "TIMEOUT"
    _assert_went_on(training, undisturbed)


def test_a_training_whose_node_goes_down_is_requeued_by_slurm_and_goes_on_elsewhere_to_the_same_bytes(
    before_training: Checkout, undisturbed: dict[str, bytes], cluster: Slurm, tmp_path: Path
) -> None:
    with _held_training(_copy(before_training, tmp_path / "project"), cluster) as training:
        node = cluster.job(training.job_id)["NodeList"]
        with cluster.down(node):
            training.wait()
    job = cluster.job(training.job_id)
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "1")
    assert job["NodeList"] != node
    _assert_went_on(training, undisturbed)


@pytest.mark.parametrize(
    ("grace_s", "state", "requeued"),
    [
        pytest.param(0, "COMPLETED", "1", id="without GraceTime, requeued by Slurm"),
        # In its grace time the training saves and ends, so that the job is over before Slurm would requeue it.
        pytest.param(30, "FAILED", "0", id="with GraceTime, submitted again by Snakemake"),
    ],
)
def test_a_preempted_training_saves_and_goes_on_to_the_same_bytes(
    grace_s: int,
    state: str,
    requeued: str,
    before_training: Checkout,
    undisturbed: dict[str, bytes],
    cluster: Slurm,
    tmp_path: Path,
) -> None:
    cluster.run("scontrol", "update", "partitionname=all", f"gracetime={grace_s}")
    with _held_training(_copy(before_training, tmp_path / "project"), cluster) as training:
        node = cluster.job(training.job_id)["NodeList"]
        options = ["--partition=urgent", f"--nodelist={node}", "--gres=gpu:1", "--output=/dev/null", "--wait"]
        cluster.run("sbatch", *options, "--wrap=sleep 1")  # the node has one GPU, so it gets the training's
        training.wait()
    job = cluster.job(training.job_id)
    assert (job["JobState"], job["Restarts"]) == (state, requeued)
    _assert_went_on(training, undisturbed)
