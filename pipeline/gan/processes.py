"""Several processes that train one GAN, each on its share of every batch; started by `launch_torchrun` or by torchrun itself.

Gradients are averaged by hand, in one all-reduce per network and step, not by DistributedDataParallel. DDP expects one backward
per forward and does not support torch.autograd.grad; a step here passes through two networks several times, freezes one of
them half of the time, and differentiates twice for penalties. Losses, scores, ADA's signs and running statistics are averaged
in the same messages.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed
from torch import Tensor

from pipeline.errors import ParamsError, StoppedError, TrainingError

T = TypeVar("T")
WAIT_VARIABLE = "ATELIER_PROCESS_WAIT_S"
WAIT_S = 600.0  # much longer than the first process takes for samples and a checkpoint, during which the others wait


@dataclass(frozen=True)
class Processes:
    """This process among `count`. Collectives are no-ops for one process, or outside a process group as in a dry run."""

    index: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files, samples and logs."""
        return self.index == 0

    @property
    def _in_group(self) -> bool:
        return self.count > 1 and torch.distributed.is_initialized()

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each float32 tensor by its mean over the processes, identical in all. Raises TrainingError."""
        if not self._in_group:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        with _as_training_error():
            torch.distributed.all_reduce(flat)
        flat /= self.count
        for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(mean.view(tensor.shape))

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true in any process. Raises TrainingError."""
        if not self._in_group:
            return flag
        count = torch.tensor(int(flag))  # on the CPU, so that no GPU blocks
        with _as_training_error():
            torch.distributed.all_reduce(count)
        return bool(count)

    def from_first(self, make: Callable[[], T]) -> T:
        """The result of `make`, called in the first process only, in all processes. Raises TrainingError."""
        made: list[T | None] = [make() if self.is_first else None]
        if self._in_group:
            with _as_training_error():
                torch.distributed.broadcast_object_list(made, src=0, device=torch.device("cpu"))
        return made[0]  # type: ignore[return-value]


@contextmanager
def _as_training_error() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f"another process of this training has ended or cannot be reached; its own line says why ({reason})"
        ) from error


def launch_torchrun(count: int, module: str, arguments: Sequence[str]) -> int:
    """Run `python -m module arguments` in `count` processes on this machine with torchrun; returns the exit status.

    torchrun itself exits with 1 after any failure. This returns the status of the process that failed first, and after a signal
    that of a stopped stage: torchrun passes the signal on and waits 30 s for the checkpoint.
    """
    from torch.distributed import run as torchrun  # slow to import, and not needed with one process
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all processes are local, so the host name need not resolve
    # After `--` all options belong to the module; torchrun would read --log as an abbreviation of one of its own.
    start = ["--standalone", "--nproc-per-node", str(count), "-m", "--", module, *arguments]
    try:
        torchrun.run(torchrun.get_args_parser().parse_args(start))
    except SignalException:
        return StoppedError.exit_status
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode  # 128 + signal, as shells do
    return 0


def wait_of_environment() -> timedelta:
    """How long a process waits for another, which may be on a machine that is gone. Raises ParamsError."""
    text = os.environ.get(WAIT_VARIABLE, str(WAIT_S))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 86400:
        raise ParamsError(f"{WAIT_VARIABLE}: {text}, but it must be a number of seconds from 1 to 86400")
    return timedelta(seconds=seconds)


@contextmanager
def process_group(count: int, device: torch.device) -> Iterator[Processes]:
    """Join the process group of train.processes while the block runs: NCCL with one GPU per process, or Gloo on CPUs.

    A process that waits longer than WAIT_VARIABLE says (WAIT_S) for another ends with TrainingError. Raises ParamsError if
    torchrun has started another number of processes.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != count:
        raise ParamsError(
            f"train.processes: {count}, but {started} started; "
            + (f"use torchrun --nproc-per-node {count}" if count > 1 else f"set it to {started}")
        )
    if count == 1:
        yield Processes()
        return
    if device.type == "cuda":
        local, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= gpus:
            raise ParamsError(f"train.processes: {count}, each with a GPU of its own, but torch sees {gpus} on this machine")
        torch.cuda.set_device(local)
    backends = "cuda:nccl,cpu:gloo" if device.type == "cuda" else "gloo"
    torch.distributed.init_process_group(backends, timeout=wait_of_environment())
    try:
        yield Processes(torch.distributed.get_rank(), count)
    finally:
        torch.distributed.destroy_process_group()
