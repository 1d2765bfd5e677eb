"""Heads on a frozen pretrained network, beside the discriminator or alone: their losses, and when they join.

Sauer et al. 2021 train a generator against such heads alone (Projected GAN). Kumari et al. 2022 add them to a discriminator
that is trained from scratch, after a warm-up (Vision-aided GAN).
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.gan.losses import LOSSES, discriminator_loss
from pipeline.gan.networks import PictureShape
from pipeline.gan.networks.projected import Head, Heads, MixedMaps
from pipeline.gan.penalties import gradient_square_norms, zero_centred_penalty
from pipeline.gan.recipe import Recipe

CALIBRATION_PICTURES = 256
Condition = tuple[Tensor, Tensor | None]


class HeadsTerms(NamedTuple):
    """Scalars of one micro-batch, summed over the heads; and scores (N,), their mean."""

    loss: Tensor
    penalty: Tensor
    real_scores: Tensor
    fake_scores: Tensor


class ProjectedDiscriminator:
    """The frozen maps and the trained heads."""

    def __init__(self, params: Recipe, shape: PictureShape, categories: int, attributes: int) -> None:
        """Initialised from torch's global random state."""
        assert params.projected is not None
        self.params, self.loss = params.projected, LOSSES[params.loss]
        self.maps = MixedMaps(shape.height, shape.width, self.params.input_px, self.params.channels)
        group = getattr(params.network, "stddev_group", 0)
        self.heads = Heads(
            Head(channels, side, categories, attributes, stddev_group=group)
            for channels, side in zip(self.maps.channels, self.maps.sides, strict=True)
        )

    def has_joined(self, images_seen: int) -> bool:
        """Whether the warm-up is over."""
        return images_seen >= self.params.warm_up_kimg * 1000

    def discriminator_terms(
        self,
        real: list[Tensor],
        fake: list[Tensor],
        condition: Condition,
        mismatched: Condition | None,
        *,
        penalised: bool,
        loss_scale: Tensor | float,
    ) -> HeadsTerms:
        """The heads' terms on maps of `real` and `fake` pictures; the penalty, if any, is R1 with respect to the maps.

        `mismatched` is the condition of the real pictures with captions of others, if the networks take captions.
        """
        real = [maps.detach().requires_grad_(penalised) for maps in real]
        real_scores, fake_scores = self.heads(real, *condition), self.heads([maps.detach() for maps in fake], *condition)
        wrong = [None] * len(real) if mismatched is None else self.heads([maps.detach() for maps in real], *mismatched)
        scored = zip(real_scores, fake_scores, wrong, strict=True)
        losses = [discriminator_loss(self.loss, *scores) for scores in scored]
        penalty = real_scores[0].new_zeros(())
        if penalised:
            for scores, maps in zip(real_scores, real, strict=True):
                penalty = penalty + zero_centred_penalty(gradient_square_norms(scores, maps, loss_scale), self.params.r1_gamma)
        return HeadsTerms(torch.stack(losses).sum(), penalty, _mean(real_scores), _mean(fake_scores))

    def generator_loss(self, fake: list[Tensor], real: list[Tensor] | None, condition: Condition) -> Tensor:
        """The generator's loss on the maps of its pictures, summed over the heads; `real` for a loss that compares pairs."""
        fake_scores = self.heads(fake, *condition)
        real_scores = fake_scores if real is None else self.heads(real, *condition)
        return torch.stack([self.loss.generator(*scores) for scores in zip(real_scores, fake_scores, strict=True)]).sum()


def _mean(scores: list[Tensor]) -> Tensor:
    return torch.stack(scores).mean(dim=0)


def calibration_rows(images: int, seed: int) -> NDArray[np.int64]:
    """Ascending rows of the real images on which the maps are scaled."""
    return np.sort(np.random.default_rng(seed).permutation(images)[:CALIBRATION_PICTURES])
