"""The exponential moving average (EMA) of the generator's weights, and the recalibration of its batch norm."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

WARM_UP = 0.05  # the half-life is at most this share of the images seen; Karras et al. 2020 (ADA), appendix F


def ema_decay(images_seen: int, batch_size: int, half_life_kimg: float) -> float:
    """Weight of the previous average in the step after `images_seen`; 0 at the start."""
    half_life = min(half_life_kimg * 1000, WARM_UP * images_seen)
    return 0.5 ** (batch_size / half_life) if half_life else 0.0


@torch.no_grad()
def update_ema(average: nn.Module, current: nn.Module, decay: float) -> None:
    """Set the parameters of `average` to decay·average + (1 - decay)·current."""
    torch._foreach_lerp_(list(average.parameters()), list(current.parameters()), 1 - decay)


@torch.no_grad()
def recalibrate_batch_norm(generator: nn.Module, batches: Iterable[tuple[Tensor, ...]]) -> None:
    """Recompute the running statistics of every batch norm over `batches` of the generator's inputs, weighted equally.

    The statistics collected during training belong to the raw weights, not to the averaged ones.
    """
    norms = [module for module in generator.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative mean over the batches
    generator.train()
    for inputs in batches:
        generator(*inputs)
    generator.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
