"""One GAN training: the step, and its state as a flat dict of tensors. stages/train/training_loop.py runs it."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import TrainingError
from pipeline.gan.ada import AdaController
from pipeline.gan.batches import BatchLoader, MicroBatch, with_some_unsaid
from pipeline.gan.captions import CaptionDraw
from pipeline.gan.ema import ema_decay, recalibrate_batch_norm, update_ema
from pipeline.gan.history import History
from pipeline.gan.losses import LOSSES
from pipeline.gan.models import Models
from pipeline.gan.networks import PictureShape
from pipeline.gan.networks.parts import Generator
from pipeline.gan.objectives import Drawn, PathLengthRegulariser, discriminator_terms, generator_terms
from pipeline.gan.optimiser import ScaledAdam
from pipeline.gan.processes import Processes
from pipeline.gan.projected import calibration_rows
from pipeline.gan.recipe import Recipe
from pipeline.gan.sampling import to_pictures
from pipeline.inference.latents import draw_latents

NORM_BATCH = 256  # generated images per batch when batch norm is recalibrated


def rate_scale(images_seen: int, total_images: int, decay_share: float) -> float:
    """Factor on the learning rate: 1, then linearly to 0 over the last `decay_share` of training."""
    left = 1 - images_seen / total_images
    return min(1.0, left / decay_share) if decay_share else 1.0


def images_per_step(params: Recipe) -> int:
    """Real images seen in one generator step and the discriminator steps before it."""
    return params.batch_size * params.discriminator_steps


def total_images(total_kimg: float, step_images: int) -> int:
    """Images seen when training ends: the smallest number of whole steps that reaches `total_kimg`."""
    return math.ceil(total_kimg * 1000 / step_images) * step_images


class Trainer:
    """Networks, EMA, optimisers, random state and history: everything that changes from step to step."""

    def __init__(
        self,
        params: Recipe,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        categories: int,
        device: torch.device,
        attributes: NDArray[np.uint8] | None = None,
        processes: Processes | None = None,
        captions: CaptionDraw | None = None,
    ) -> None:
        """`images` (N, H, W, C), `labels` (N,); `attributes` (N, A) of zeros and ones if `params.condition` is attributes,
        `captions` if it is text.
        """
        self.params, self.images, self.labels, self.device = params, images, labels, device
        self.processes = processes or Processes()
        conditions = labels
        if params.condition == "none":  # one category for the networks and for all terms that compare within a category
            conditions, categories = np.zeros_like(labels), 1
        if params.condition != "attributes":
            attributes = None
        self._attributes, self._captions = attributes, captions if params.condition == "text" else None
        self.loss = LOSSES[params.loss]
        self.rng = torch.Generator().manual_seed(params.seed)
        # The minibatch deviation must not see that categories differ, and mode seeking compares neighbours of one category.
        group = max(getattr(params.network, "stddev_group", 0), 2 if params.mode_seeking else 0)
        self._batches = BatchLoader(
            params,
            images,
            conditions,
            attributes,
            self._captions,
            group=group,
            device=device,
            processes=self.processes,
            rng=self.rng,
        )
        self.models = Models(
            params,
            PictureShape(*images.shape[1:]),
            categories,
            self._captions.dim if self._captions else 0 if attributes is None else attributes.shape[1],
            device,
            # A graph needs one call per network between backward passes; with several processes graphs are untested.
            graphs=params.accumulate * self.processes.count == 1 and not self.loss.pairs,
        )
        if self._captions is not None:
            for network in (self.models.generator, self.models.average):
                network.expect_texts(self._captions.usual.to(device))
        if self.models.projected is not None:
            rows = calibration_rows(len(images), params.seed)
            self.models.calibrate_maps(to_pictures(torch.from_numpy(images[rows]).permute(0, 3, 1, 2).to(device)))
        self._heads_joined = False  # in the step that runs
        self.generator, self.discriminator, self.average = (
            self.models.generator,
            self.models.discriminator,
            self.models.average,
        )
        betas, scaled = (params.beta1, params.beta2), self.models.precision == "fp16"
        self.generator_optimiser = ScaledAdam(self.generator, params.generator_rate, betas, device, scaled=scaled)
        self.discriminator_optimiser = ScaledAdam(self.models.judges, params.discriminator_rate, betas, device, scaled=scaled)
        self.path_length = PathLengthRegulariser(params, device)
        self.ada = AdaController(params.ada, params.batch_size, device)
        self.history = History(device)
        self.images_seen = 0
        self.rate_factor = 1.0  # below 1 after a divergence

    def add_categories(self, new: Sequence[int], *, keep_known: float, repeat_new: int) -> None:
        """Train the categories `new` beside those that the networks know: params.StartParams says how."""
        self._batches.repeat(new, repeat_new)
        if keep_known:
            self.models.keep_known(new, keep_known)

    @property
    def total_images(self) -> int:
        """Images seen when training ends."""
        return total_images(self.params.total_kimg, images_per_step(self.params))

    @property
    def loss_at_chance(self) -> float:
        """Loss of a discriminator that scores every image 0; summed over the heads where they are alone."""
        zero = torch.zeros(1)
        heads = self.models.projected
        judges = len(heads.heads) if heads is not None and heads.params.alone else 1
        return judges * self.loss.discriminator(zero, zero).item()

    @property
    def precision(self) -> str:
        """`fp32`, `bf16` or `fp16`."""
        return self.models.precision

    def steps(self) -> Iterator[tuple[int, int]]:
        """Train to the end; yields images seen before and after each step."""
        while self.images_seen < self.total_images:
            before = self.images_seen
            self.step()
            yield before, self.images_seen

    def step(self) -> None:
        """Train the discriminator on one or more batches, then the generator, then update the EMA.

        Raises TrainingError if memory runs out.
        """
        params, images_before = self.params, self.images_seen
        self._heads_joined = self.models.projected is not None and self.models.projected.has_joined(images_before)
        factor = rate_scale(self.images_seen, self.total_images, params.decay_share) * self.rate_factor
        self.generator_optimiser.scale_rate(factor)
        self.discriminator_optimiser.scale_rate(factor)
        try:
            for _ in range(params.discriminator_steps):
                batch = self._batches.load(self.images_seen, self.generator.random_inputs)
                # Both steps share the generated images. Micro-batches are generated again for the generator's step, so that
                # only one graph is in memory at a time.
                drawn = self._draw(batch[0]) if len(batch) == 1 else None
                loss_discriminator, score_real, score_fake, gradient_discriminator = self._discriminator_step(batch, drawn)
                self.images_seen += params.batch_size
            loss_generator, gradient_generator = self._generator_step(batch, drawn)
        except (RuntimeError, MemoryError) as error:
            _raise_if_out_of_memory(error, params)
            raise
        update_ema(self.average, self.generator, ema_decay(images_before, images_per_step(params), params.ema_half_life_kimg))
        self.history.add_step(
            torch.stack(
                [loss_discriminator, loss_generator, score_real, score_fake, gradient_discriminator, gradient_generator]
            )
        )

    def _draw(self, batch: MicroBatch) -> Drawn:
        """Images for `batch`, and their mixed maps: one pass through the frozen network serves both steps."""
        images = self.models.generate(batch)
        if not self._heads_joined:
            return Drawn(images)
        return Drawn(images, self.models.mixed_maps(images, self.ada.p, torch.Generator().manual_seed(batch.maps_seed)))

    def _discriminator_step(self, batch: list[MicroBatch], drawn: Drawn | None) -> Tensor:
        """Update the discriminator and the heads; its loss, mean real and fake score, and gradient norm, (4,)."""
        penalties, optimiser = self.params.penalties, self.discriminator_optimiser
        penalised = self.params.penalised and self.images_seen // self.params.batch_size % penalties.interval == 0
        optimiser.zero_grad()
        means = torch.stack([self._discriminator_backward(part, drawn, penalised=penalised) for part in batch]).mean(dim=0)
        self.processes.average([*optimiser.gradients, means])
        norm = optimiser.step()
        self._clip_weights()
        self.ada.update(means[3])
        if penalised:
            self.history.add_penalty(optimiser.mask_overflow(means[4:]))
        return torch.cat([means[:3], norm[None]])

    def _discriminator_backward(self, batch: MicroBatch, drawn: Drawn | None, *, penalised: bool) -> Tensor:
        """Accumulate the gradients of one micro-batch; the means (6,) of its terms."""
        if drawn is None:
            with torch.no_grad():
                drawn = self._draw(batch)
        optimiser, weight = self.discriminator_optimiser, self.params.penalties.interval  # lazy: scaled up by the interval
        terms = discriminator_terms(
            self.params,
            self.models,
            batch,
            drawn,
            self.ada.p,
            penalised=penalised,
            loss_scale=optimiser.loss_scale(len(batch.images)) if penalised else 1.0,
        )
        loss, penalty = terms.loss + terms.heads_loss, terms.penalty + terms.heads_penalty
        optimiser.backward((loss + penalty * weight) / self.params.accumulate)
        return terms.means

    @torch.no_grad()
    def _clip_weights(self) -> None:
        """Clip the weights of the discriminator and the heads to ± penalties.weight_clip; Arjovsky et al. 2017, algorithm 1."""
        limit = self.params.penalties.weight_clip
        if limit:
            for weights in self.models.judges.parameters():
                weights.clamp_(-limit, limit)

    def _generator_step(self, batch: list[MicroBatch], drawn: Drawn | None) -> Tensor:
        """Update the generator on the batch the discriminator saw last; its loss and gradient norm, (2,)."""
        optimiser = self.generator_optimiser
        self.models.judges.requires_grad_(False)
        optimiser.zero_grad()
        loss = torch.stack([self._generator_backward(part, drawn) for part in batch]).mean()
        self.models.judges.requires_grad_(True)
        self.processes.average([*optimiser.gradients, *self.models.statistics(), loss, self.path_length.mean])
        return torch.stack([loss, optimiser.step()])

    def _generator_backward(self, batch: MicroBatch, drawn: Drawn | None) -> Tensor:
        """Accumulate the gradients of one micro-batch; its adversarial loss."""
        if drawn is None:
            drawn = self._draw(batch)
        loss, total = generator_terms(self.params, self.models, batch, drawn, self.ada.p)
        if self.path_length.is_due(self.images_seen // images_per_step(self.params) - 1):
            total = total + self.path_length.penalty(self.models, batch, self.generator_optimiser)
        self.generator_optimiser.backward(total / self.params.accumulate)
        return loss.detach()

    def recalibrated_average(self, batches: int) -> Generator:
        """The EMA generator, its batch norm recalibrated over `batches` of NORM_BATCH images from a fixed seed."""
        seed, network = self.params.seed, self.params.network
        # Batch norm is recalibrated in training mode, where generators do not truncate.
        latents = torch.from_numpy(draw_latents(seed, batches * NORM_BATCH, network.latent_dim)).to(self.device)
        latents = latents * network.truncation
        rows = self._batches.random_rows(batches * NORM_BATCH, np.random.default_rng(seed))
        inputs, rng = [latents, torch.from_numpy(self.labels[rows]).to(self.device)], torch.Generator().manual_seed(seed)
        # With what pictures are drawn with in training, or the statistics would be those of pictures of which nothing is said.
        if self._captions is not None:
            inputs.append(self._captions.own(rows, rng).to(self.device))
        elif self._attributes is not None:
            inputs.append(with_some_unsaid(self._attributes[rows], rng).to(self.device))
        recalibrate_batch_norm(self.average, zip(*(rows.split(NORM_BATCH) for rows in inputs), strict=True))
        return self.average

    def state(self) -> dict[str, Tensor]:
        """Everything the next step depends on, and the history, as a flat dict: the content of a checkpoint."""
        state = {"images_seen": torch.tensor(self.images_seen), "random": self.rng.get_state()}
        state |= self.history.state()
        state["mean_path"] = self.path_length.mean
        state |= self.ada.state()
        for name, network in self.models.by_name().items():
            state |= _prefixed(name, network.state_dict())
        for name, optimiser in self._optimisers().items():
            state |= _prefixed(f"{name}_optimiser", optimiser.moments())
        for name, optimiser in self._optimisers().items():
            if optimiser.scaler.is_enabled():
                state[f"{name}_scaler"] = optimiser.scaler_state()
        return state

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continue from `state`, bit-identically."""
        self.images_seen = int(state["images_seen"])
        self.rng.set_state(state["random"])
        self.history.restore(state)
        self.path_length.mean = state["mean_path"].to(self.device)
        self.ada.restore(state)
        for name, network in self.models.by_name().items():
            network.load_state_dict(_without_prefix(name, state))
        for name, optimiser in self._optimisers().items():
            optimiser.restore_moments(_without_prefix(f"{name}_optimiser", state))
            if optimiser.scaler.is_enabled():
                optimiser.restore_scaler(state[f"{name}_scaler"])

    def _optimisers(self) -> dict[str, ScaledAdam]:
        return {"generator": self.generator_optimiser, "discriminator": self.discriminator_optimiser}


def _prefixed(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{name}.{key}": tensor for key, tensor in state.items()}


def _without_prefix(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): tensor for key, tensor in state.items() if key.startswith(f"{name}.")}


def _raise_if_out_of_memory(error: Exception, params: Recipe) -> None:
    """Raise TrainingError if `error` means that memory ran out; the CPU allocator raises a plain RuntimeError."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error):
        raise TrainingError(
            f"out of memory with train.batch_size {params.batch_size} and train.accumulate {params.accumulate}; "
            "raise train.accumulate, which splits a batch into more parts, or lower train.batch_size"
        ) from error
