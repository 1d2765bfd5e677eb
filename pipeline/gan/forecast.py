"""An estimate of a training's parameters, operations, memory and time, measured over a few steps."""

import math
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from pipeline.gan.recipe import Recipe, Stylegan2Params
from pipeline.gan.training import NORM_BATCH, Trainer, images_per_step
from pipeline.storage.checkpoints import checkpoint_bytes

WARM_UP_STEPS = 2
MOST_STEPS = 32  # of one period of the lazy regularisers


@dataclass(frozen=True)
class Estimate:
    """Counts are for one training. A multiply-add is two operations."""

    generator_parameters: int
    discriminator_parameters: int
    # With several processes, memory is that of one process, and time excludes communication.
    training_flops: float  # per image seen: forward and backward of both networks, penalties averaged over the steps
    drawing_flops: float  # per generated image
    images: int
    image_s: float
    sample_sheets: int
    sample_sheet_s: float
    checkpoints: int
    checkpoint_s: float
    checkpoint_bytes: int
    peak_bytes: int  # resident including the dataset on a CPU, reserved on a GPU
    pictures_at_once: int  # real images per micro-batch

    @property
    def seconds(self) -> float:
        """Duration of the training."""
        rare = self.sample_sheets * self.sample_sheet_s + self.checkpoints * self.checkpoint_s
        return self.images * self.image_s + rare


def lazy_period(params: Recipe) -> int:
    """Steps after which penalties and path-length regularisation fall on the same steps again, at most MOST_STEPS."""
    intervals = [params.penalties.interval] if params.penalised else []
    if isinstance(params.network, Stylegan2Params) and params.network.path_length:
        intervals.append(params.network.path_length_interval)
    return min(math.lcm(*intervals), MOST_STEPS)


def _parameters(network: nn.Module) -> int:
    return sum(weights.numel() for weights in network.parameters())


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall-clock seconds of `work`, including its queued GPU work."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


class FlopCounter(TorchDispatchMode):
    """Counts operations by torch's own formulas; FlopCounterMode does not support gradient penalties."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if formula := flop_registry.get(func._overloadpacket):
            self.total += formula(*args, **kwargs, out_val=result)
        return result


def _flops(work: Callable[[], object]) -> int:
    with FlopCounter() as counter:
        work()
    return counter.total


def peak_bytes(device: torch.device) -> int:
    """Peak memory of this process so far: resident on a CPU, reserved on a GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def estimate_training(
    trainer: Trainer, norm_batches: int, *, sample_every_kimg: float, checkpoint_every_kimg: float
) -> Estimate:
    """Measured on `trainer`, which trains a few steps; `norm_batches` as for the samples of the training."""
    params, device = trainer.params, trainer.device
    period = lazy_period(params)

    def one_period() -> None:
        for _ in range(period):
            trainer.step()

    def measured() -> tuple[float, float]:
        """Operations and seconds per step."""
        trainer.models.eager = True  # operations in compiled code and graphs cannot be counted
        flops = _flops(one_period) * params.processes / period
        trainer.models.eager = False
        for _ in range(WARM_UP_STEPS):
            trainer.step()
        return flops, seconds(one_period, device) / period

    step_flops, step_s = measured()
    if (projected := trainer.models.projected) and not projected.has_joined(0):
        alone = min(projected.params.warm_up_kimg * 1000 / trainer.total_images, 1.0)
        trainer.images_seen = trainer.total_images  # the heads have joined, and the learning rate is 0
        with_heads = measured()
        step_flops, step_s = (alone * x + (1 - alone) * y for x, y in zip((step_flops, step_s), with_heads, strict=True))
    drawing_flops = _flops(lambda: trainer.recalibrated_average(1)) / NORM_BATCH
    sheet_s = seconds(lambda: trainer.recalibrated_average(norm_batches), device)
    state = checkpoint_bytes(trainer.state())
    checkpoint_s = seconds(lambda: checkpoint_bytes(trainer.state()), device)
    images = trainer.total_images
    return Estimate(
        generator_parameters=_parameters(trainer.generator),
        discriminator_parameters=_parameters(trainer.discriminator),
        training_flops=step_flops / images_per_step(params),
        drawing_flops=drawing_flops,
        images=images,
        image_s=step_s / images_per_step(params),
        sample_sheets=int(images / (sample_every_kimg * 1000)) + 1,
        sample_sheet_s=sheet_s,
        checkpoints=int(images / (checkpoint_every_kimg * 1000)) + 1,
        checkpoint_s=checkpoint_s,
        checkpoint_bytes=len(state),
        pictures_at_once=params.batch_size // (params.accumulate * params.processes),
        peak_bytes=peak_bytes(device) + (trainer.images.nbytes if device.type == "cpu" else 0),
    )


def format_duration(seconds: float) -> str:
    """`3 h 05 min`, `12 min` or `40 s`."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def format_estimate(estimate: Estimate, keep_checkpoints: int) -> str:
    """`estimate` as lines of text."""
    rows = {
        "generator": f"{estimate.generator_parameters / 1e6:.2f} million parameters",
        "discriminator": f"{estimate.discriminator_parameters / 1e6:.2f} million parameters",
        "training": f"{estimate.training_flops / 1e6:,.0f} MFLOP an image",
        "drawing": f"{estimate.drawing_flops / 1e6:,.0f} MFLOP a picture",
        "memory": f"{estimate.peak_bytes / 1e6:,.0f} MB at its peak, the mapped file of pictures included, "
        f"with {estimate.pictures_at_once} pictures at once (train.batch_size / train.accumulate / train.processes)",
        "disk": f"{(keep_checkpoints + 1) * estimate.checkpoint_bytes / 1e6:,.0f} MB for checkpoints of "
        f"{estimate.checkpoint_bytes / 1e6:,.1f} MB, {keep_checkpoints} of them kept",
        "time": f"{format_duration(estimate.seconds)} for {estimate.images:,} images at {1 / estimate.image_s:,.0f} images/s, "
        f"{estimate.sample_sheets} sample sheets of {estimate.sample_sheet_s:.1f} s and {estimate.checkpoints} checkpoints of "
        f"{estimate.checkpoint_s:.2f} s",
    }
    return "".join(f"{name:<15}{value}\n" for name, value in rows.items())
