"""The two objectives of a training step, each on one micro-batch: adversarial loss, penalties and regularisation."""

from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.gan.batches import MicroBatch
from pipeline.gan.devices import device_generator, to_device
from pipeline.gan.losses import LOSSES, discriminator_loss
from pipeline.gan.models import Models
from pipeline.gan.optimiser import ScaledAdam
from pipeline.gan.penalties import (
    gradient_square_norms,
    interpolate,
    mode_seeking_loss,
    one_centred_penalty,
    path_lengths,
    zero_centred_penalty,
)
from pipeline.gan.recipe import Recipe, Stylegan2Params

PATH_DECAY = 0.99  # of the mean path length per regularised step; Karras et al. 2020, appendix B


class Drawn(NamedTuple):
    """Generated images NCHW of a micro-batch, and their mixed maps once the projected heads have joined."""

    images: Tensor
    maps: list[Tensor] | None = None


class Scores(NamedTuple):
    """Scores (N,) of real and generated images, and of the real ones with captions of others, if there are captions."""

    real: Tensor
    fake: Tensor
    mismatched: Tensor | None


class DiscriminatorTerms(NamedTuple):
    """Scalars of one micro-batch, except for the scores (N,)."""

    loss: Tensor
    real_scores: Tensor
    fake_scores: Tensor
    penalty: Tensor
    square_gradient_real: Tensor  # mean squared gradient norm at real images; 0 without a penalty
    heads_loss: Tensor  # 0 without projected heads
    heads_penalty: Tensor

    @property
    def means(self) -> Tensor:
        """Loss, mean scores, mean sign of real scores, penalty, squared gradient, (6,)."""
        real, fake = self.real_scores.detach(), self.fake_scores.detach()
        values = [self.loss, real.mean(), fake.mean(), real.sign().mean(), self.penalty, self.square_gradient_real]
        return torch.stack([value.detach() for value in values])


def discriminator_terms(
    params: Recipe,
    models: Models,
    batch: MicroBatch,
    drawn: Drawn,
    ada_p: float,
    *,
    penalised: bool,
    loss_scale: Tensor | float,
) -> DiscriminatorTerms:
    """The discriminators' losses on `batch` and the images `drawn` for it, with the gradient penalties if `penalised`.

    `loss_scale` multiplies the inner gradients of the penalties, so that half precision holds them.
    """
    zero = drawn.images.new_zeros(())
    heads_loss, heads_penalty = zero, zero
    if drawn.maps is not None:
        projected = models.projected
        assert projected is not None
        with torch.no_grad():
            real_maps = models.mixed_maps(batch.images, ada_p, batch.rng)
        with models.autocast():
            heads = projected.discriminator_terms(
                real_maps,
                drawn.maps,
                batch.condition,
                batch.mismatched_condition,
                penalised=penalised and projected.params.r1_gamma > 0,
                loss_scale=loss_scale,
            )
        if projected.params.alone:
            return DiscriminatorTerms(heads.loss, heads.real_scores, heads.fake_scores, heads.penalty, zero, zero, zero)
        heads_loss, heads_penalty = heads.loss, heads.penalty
    fake = drawn.images.detach()
    if penalised and params.penalties.any:
        scores, penalty, square_norm = _penalised_scores(params, models, batch, fake, ada_p, loss_scale)
    else:
        scores = _scores_at_once(models, batch, fake, ada_p)
        penalty = square_norm = zero
    loss = discriminator_loss(LOSSES[params.loss], *scores)
    return DiscriminatorTerms(loss, scores.real, scores.fake, penalty, square_norm, heads_loss, heads_penalty)


def _scores_at_once(models: Models, batch: MicroBatch, fake: Tensor, ada_p: float) -> Scores:
    """Scores in one pass unless batch norm would mix the statistics of real and generated images."""
    pairs = [(batch.images, batch.attributes), (fake, batch.attributes)]
    if batch.mismatched is not None:
        pairs.append((batch.images, batch.mismatched))
    if models.has_discriminator_batch_norm:
        parts = [models.scores(images, (batch.labels, attributes), ada_p, batch.rng) for images, attributes in pairs]
    else:
        images = torch.cat([images for images, _ in pairs])
        attributes = torch.cat([one for _, one in pairs if one is not None]) if batch.attributes is not None else None
        parts = list(models.scores(images, (batch.labels.repeat(len(pairs)), attributes), ada_p, batch.rng).chunk(len(pairs)))
    return Scores(parts[0], parts[1], parts[2] if len(parts) > 2 else None)


def _penalised_scores(
    params: Recipe, models: Models, batch: MicroBatch, fake: Tensor, ada_p: float, loss_scale: Tensor | float
) -> tuple[Scores, Tensor, Tensor]:
    """The scores, the gradient penalty, and the mean squared gradient norm at real images."""
    penalties = params.penalties

    def scores(images: Tensor) -> Tensor:
        return models.scores(images, batch.condition, ada_p, batch.rng, differentiable_twice=True)

    real = batch.images.detach().requires_grad_()
    fake = fake.detach().requires_grad_(penalties.r2_gamma > 0)
    real_scores, fake_scores = scores(real), scores(fake)
    square_norms = gradient_square_norms(real_scores, real, loss_scale)
    penalty = zero_centred_penalty(square_norms, penalties.r1_gamma)
    if penalties.r2_gamma:
        penalty = penalty + zero_centred_penalty(gradient_square_norms(fake_scores, fake, loss_scale), penalties.r2_gamma)
    if penalties.gradient_penalty:
        shares = to_device(torch.rand(len(real), generator=batch.rng), real.device)
        middle = interpolate(real.detach(), fake.detach(), shares).requires_grad_()
        square = gradient_square_norms(scores(middle), middle, loss_scale)
        penalty = penalty + one_centred_penalty(square, penalties.gradient_penalty)
    wrong = batch.mismatched_condition
    mismatched = None if wrong is None else models.scores(batch.images, wrong, ada_p, batch.rng, differentiable_twice=True)
    return Scores(real_scores, fake_scores, mismatched), penalty, square_norms.detach().mean()


def generator_terms(params: Recipe, models: Models, batch: MicroBatch, drawn: Drawn, ada_p: float) -> tuple[Tensor, Tensor]:
    """The generator's adversarial loss on its images `drawn`, and that loss plus all other terms; scalars."""
    total = drawn.images.new_zeros(())
    if drawn.maps is not None:
        total = _loss_by_heads(params, models, batch, drawn.maps, ada_p)
    if params.projected is not None and params.projected.alone:
        loss = total
    else:
        loss = _loss_by_discriminator(params, models, batch, drawn.images, ada_p)
        total = total + loss
    if models.known is not None:
        with models.autocast():
            total = total + models.known.difference(drawn.images, batch)
    if params.mode_seeking:
        total = total + params.mode_seeking * mode_seeking_loss(drawn.images, batch.latents, batch.labels)
    return loss, total


def _loss_by_heads(params: Recipe, models: Models, batch: MicroBatch, maps: list[Tensor], ada_p: float) -> Tensor:
    """The weighted loss by the projected heads; those of a loss that compares pairs see the real pictures, too."""
    projected = models.projected
    assert projected is not None
    real_maps = None
    if LOSSES[params.loss].pairs:
        with torch.no_grad():
            real_maps = models.mixed_maps(batch.images, ada_p, batch.rng)
    with models.autocast():
        return projected.params.weight * projected.generator_loss(maps, real_maps, batch.condition)


def _loss_by_discriminator(params: Recipe, models: Models, batch: MicroBatch, fake: Tensor, ada_p: float) -> Tensor:
    loss_functions = LOSSES[params.loss]
    fake_scores = models.scores(fake, batch.condition, ada_p, batch.rng)
    real_scores = fake_scores.detach()
    if loss_functions.pairs:
        real_scores = models.scores(batch.images, batch.condition, ada_p, batch.rng)
    return loss_functions.generator(real_scores, fake_scores)


class PathLengthRegulariser:
    """StyleGAN2's path-length regularisation and its moving mean; Karras et al. 2020, section 3.2."""

    def __init__(self, params: Recipe, device: torch.device) -> None:
        self._network = params.network if isinstance(params.network, Stylegan2Params) else None
        self._decay = PATH_DECAY ** (1 / params.accumulate)
        self.mean = torch.zeros((), device=device)

    def is_due(self, step: int) -> bool:
        """Whether generator step `step` is regularised."""
        network = self._network
        return network is not None and network.path_length > 0 and step % network.path_length_interval == 0

    def penalty(self, models: Models, batch: MicroBatch, optimiser: ScaledAdam) -> Tensor:
        """The weighted penalty over the first half of `batch`, a scalar; moves the mean."""
        assert self._network is not None
        half = len(batch.latents) // 2
        random_inputs = models.generator.random_inputs(half, batch.rng)
        attributes = None if batch.attributes is None else batch.attributes[:half]
        with models.autocast():
            images, styles = models.generator.images_and_styles(
                batch.latents[:half], batch.labels[:half], attributes, random_inputs
            )
        directions = torch.randn(images.shape, generator=device_generator(batch.rng, images.device), device=images.device)
        lengths = path_lengths(images.float(), styles, directions, optimiser.loss_scale(half))
        mean = lengths.detach().mean()
        if optimiser.scaler.is_enabled():
            mean = mean.where(mean.isfinite(), self.mean)  # an overflow would stay in the moving mean for ever
        self.mean = torch.lerp(mean, self.mean, self._decay)
        return (lengths - self.mean).square().mean() * self._network.path_length * self._network.path_length_interval
