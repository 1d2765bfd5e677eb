"""A Slurm cluster on the loopback interface: munge, the controller, and one or more nodes, each with a GPU that is none."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from tests.cluster.processes import started
from tests.support.checkout import BIN
from tests.support.mlflow_server import free_port

START_S = 60
KILL_WAIT_S = 30
# proctrack/linuxproc and task/none need no cgroups, which a container may not write. `config_overrides` lets a node have more
# CPUs than the machine, so that two jobs run beside each other anywhere.
CONFIG = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,requeue_delay=1
GresTypes=gpu
ReturnToService=1
MpiDefault=none
KillWait={kill_wait_s}
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MinJobAge=86400
SlurmdTimeout=20
{nodes}
PartitionName=all Nodes={names} Default=YES MaxTime=INFINITE State=UP OverTimeLimit=0 PriorityTier=1
PartitionName=urgent Nodes={names} MaxTime=INFINITE State=UP PriorityTier=2
"""


class Slurm:
    """A running cluster; the commands of Slurm and of Snakemake's plugin find it through `environment`."""

    def __init__(self, folder: Path) -> None:
        self.environment = {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder / 'bin'}{os.pathsep}{BIN}{os.pathsep}{os.environ['PATH']}",
        }

    def run(self, *command: str) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(command, env=os.environ | self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def jobs(self, *states: str) -> dict[str, str]:
        """The state of each job by its id; with `states` only of those in one of them."""
        lines = self.run("squeue", "--noheader", "--states=all", "--format=%i %T").splitlines()
        found = dict(line.split() for line in lines)
        return {job: state for job, state in found.items() if not states or state in states}

    def cancel_all(self) -> None:
        """End every job, and wait for its processes."""
        if active := self.jobs("PENDING", "RUNNING"):
            self.run("scancel", *active)
        deadline = time.monotonic() + KILL_WAIT_S + START_S
        while self.jobs("PENDING", "RUNNING", "COMPLETING") and time.monotonic() < deadline:
            time.sleep(0.2)

    @contextmanager
    def down(self, node: str) -> Iterator[None]:
        """While the block lasts, the controller holds `node` for broken."""
        self.run("scontrol", "update", f"nodename={node}", "state=down", "reason=the test")
        try:
            yield
        finally:
            self.run("scontrol", "update", f"nodename={node}", "state=resume")

    def job(self, job_id: str) -> dict[str, str]:
        """What `scontrol show job` says, by name."""
        words = self.run("scontrol", "show", "job", job_id).split()
        return dict(word.split("=", 1) for word in words if "=" in word)


def _write_srun(folder: Path) -> None:
    """An `srun` that finds this cluster: Snakemake's plugin does not pass SLURM_CONF on to it."""
    script = folder / "bin" / "srun"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
    script.chmod(0o755)


def _munge(folder: Path) -> list[str]:
    subprocess.run(["mungekey", "--create", f"--keyfile={folder / 'munge.key'}"], check=True)
    files = {"key-file": "munge.key", "log-file": "munged.log", "pid-file": "munged.pid", "seed-file": "munged.seed"}
    options = [f"--{option}={folder / name}" for option, name in files.items()]
    return ["munged", "--foreground", "--force", f"--socket={folder / 'munge.socket'}", *options]


@contextmanager
def slurm(folder: Path, nodes: Sequence[str] = ("node1",), *, cpus: int = 8) -> Iterator[Slurm]:
    """Start munge, slurmctld and a slurmd for each of `nodes` in `folder`; yields when all are idle."""
    host = os.uname().nodename
    lines = [
        f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={free_port()} CPUs={cpus} RealMemory=16000 Gres=gpu:1"
        for name in nodes
    ]
    (folder / "state").mkdir(parents=True)
    (folder / "slurm.conf").write_text(
        CONFIG.format(
            host=host,
            folder=folder,
            controller=free_port(),
            nodes="\n".join(lines),
            names=",".join(nodes),
            kill_wait_s=KILL_WAIT_S,
        )
    )
    (folder / "gres.conf").write_text(f"NodeName={','.join(nodes)} Name=gpu File=/dev/null\n")
    _write_srun(folder)
    cluster = Slurm(folder)
    environment = os.environ | cluster.environment
    with ExitStack() as stack:
        stack.callback(_end_what_is_left, cluster.environment["SLURM_CONF"])
        stack.enter_context(started(_munge(folder), folder / "munge.out"))
        _wait_for(folder / "munge.socket")
        stack.enter_context(started(["slurmctld", "-D"], folder / "slurmctld.out", environment))
        for name in nodes:
            stack.enter_context(started(["slurmd", "-D", "-N", name], folder / f"slurmd-{name}.out", environment))
        deadline = time.monotonic() + START_S
        while "idle" not in _states(environment) or _states(environment) - {"idle"}:
            assert time.monotonic() < deadline, (folder / "slurmctld.log").read_text()[-3000:]
            time.sleep(0.2)
        stack.callback(cluster.cancel_all)
        yield cluster


def _end_what_is_left(configuration: str) -> None:
    """End the processes of jobs that this cluster has lost: proctrack/linuxproc forgets those whose parent has ended."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("SLURM_CONF") == configuration:
                process.kill()


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + START_S
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not appear"
        time.sleep(0.05)


def _states(environment: dict[str, str]) -> set[str]:
    done = subprocess.run(["sinfo", "--noheader", "--Node", "--format=%t"], env=environment, capture_output=True, text=True)
    return set(done.stdout.split())
