"""The moving average of a generator's weights, and its batch norm measured again."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

WARM_UP = 0.05  # the half-life is at most this share of the images seen; Karras et al. 2020 (ADA), appendix F


def ema_decay(images_seen: int, batch_size: int, half_life_kimg: float) -> float:
    """Weight of the old average in the step that follows `images_seen`; 0 at the start, when there is nothing to keep."""
    half_life = min(half_life_kimg * 1000, WARM_UP * images_seen)
    return 0.5 ** (batch_size / half_life) if half_life else 0.0


@torch.no_grad()
def update_ema(average: nn.Module, current: nn.Module, decay: float) -> None:
    """Move the parameters of `average` towards `current`'s: decay·average + (1 - decay)·current."""
    torch._foreach_lerp_(list(average.parameters()), list(current.parameters()), 1 - decay)


@torch.no_grad()
def recalibrate_batch_norm(generator: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Set the running statistics of every batch norm to those over `batches` of latents and labels, all weighed alike.

    The statistics gathered while training belong to other weights than the averaged ones.
    """
    norms = [module for module in generator.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
    generator.train()
    for latents, labels in batches:
        generator(latents, labels)
    generator.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
