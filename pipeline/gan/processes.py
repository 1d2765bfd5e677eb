"""Processes that train one GAN together, each on its share of every batch; `together` starts them, or torchrun.

Gradients are averaged by hand, in one message a network and step, rather than by DistributedDataParallel: that wants one
forward for each backward and does not go with torch.autograd.grad, where a step here goes several times through two networks,
one of them frozen in half of it, and differentiates twice for the penalties of some steps. What all go on from alike (losses,
scores, ADA's signs, running statistics) travels with the gradients.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed
from torch import Tensor

from pipeline.errors import ParamsError, StoppedError, TrainingError

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among `count`; alone, or where they are not joined, as in a forecast, it hears nothing from others."""

    index: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes files, draws samples and tells."""
        return self.index == 0

    @property
    def _joined(self) -> bool:
        return self.count > 1 and torch.distributed.is_initialized()

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Set each of `tensors`, float32, to its mean over the processes: to the same bits in all. Raises TrainingError."""
        if not self._joined:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        with _as_training_error():
            torch.distributed.all_reduce(flat)
        flat /= self.count
        for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(mean.view(tensor.shape))

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true in one of the processes. Raises TrainingError."""
        if not self._joined:
            return flag
        count = torch.tensor(int(flag))  # on the CPU: no GPU is waited for
        with _as_training_error():
            torch.distributed.all_reduce(count)
        return bool(count)

    def from_first(self, make: Callable[[], T]) -> T:
        """What `make` returns in the first process, which alone calls it. Raises TrainingError."""
        made: list[T | None] = [make() if self.is_first else None]
        if self._joined:
            with _as_training_error():
                torch.distributed.broadcast_object_list(made, src=0, device=torch.device("cpu"))
        return made[0]  # type: ignore[return-value]


@contextmanager
def _as_training_error() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise TrainingError(
            f"another process of this training has ended; its own line says why ({str(error).splitlines()[0]})"
        ) from error


def launch_torchrun(count: int, module: str, arguments: Sequence[str]) -> int:
    """Exit status of `python -m module arguments` in `count` processes on this machine, as torchrun starts them.

    torchrun's own is 1 whatever happened. Here it is that of the process that failed first, and where a signal stopped all,
    that of a stopped stage: torchrun passes the signal on, and waits half a minute for the checkpoint.
    """
    from torch.distributed import run as torchrun  # takes a while, and is not for those who train alone
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all are here, and no network need know this machine's name
    # Behind the dashes options are the module's; torchrun would take --log for the beginning of one of its own.
    start = ["--standalone", "--nproc-per-node", str(count), "-m", "--", module, *arguments]
    try:
        torchrun.run(torchrun.get_args_parser().parse_args(start))
    except SignalException:
        return StoppedError.exit_status
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode  # as shells tell of a death by signal
    return 0


@contextmanager
def process_group(count: int, device: torch.device) -> Iterator[Processes]:
    """The `count` processes of train.processes, joined while the block runs: by NCCL on GPUs, each its own, by Gloo on CPUs.

    Raises ParamsError where torchrun has started another number of them.
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
    torch.distributed.init_process_group("cuda:nccl,cpu:gloo" if device.type == "cuda" else "gloo")
    try:
        yield Processes(torch.distributed.get_rank(), count)
    finally:
        torch.distributed.destroy_process_group()
