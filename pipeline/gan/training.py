"""A GAN in training: everything that changes from step to step, one step, and the whole as a flat dict of tensors and back."""

import copy
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.errors import DivergedError, ParamsError, TrainingError
from pipeline.gan.ada import ada_augment, adjust_probability
from pipeline.gan.devices import AsyncCopy, choose_precision, device_generator, to_device
from pipeline.gan.diffaugment import diff_augment
from pipeline.gan.ema import ema_decay, recalibrate_batch_norm, update_ema
from pipeline.gan.graphs import GraphedNetwork
from pipeline.gan.losses import (
    LOSSES,
    gradient_square_norms,
    interpolate,
    mode_seeking_loss,
    one_centred_penalty,
    path_lengths,
    zero_centred_penalty,
)
from pipeline.gan.networks import PictureShape, build_discriminator, build_generator
from pipeline.gan.networks.parts import DrawnInputs
from pipeline.gan.processes import Processes
from pipeline.gan.recipe import Recipe, Stylegan2Params
from pipeline.gan.sampling import to_float
from pipeline.inference.latents import draw_latents

# Averages since the last row of the history; the last two over the steps with a penalty only.
EVERY_STEP = (
    "loss_discriminator",
    "loss_generator",
    "score_real",
    "score_fake",
    "gradient_discriminator",
    "gradient_generator",
)
PENALTY_STEPS = ("loss_penalty", "square_gradient_real")
HISTORY_COLUMNS = ("images", *EVERY_STEP, *PENALTY_STEPS)

PATH_DECAY = 0.99  # of the mean path length, a regularised step; Karras et al. 2020, appendix B
ATTRIBUTE_DROPOUT = 0.1  # of the pictures whose attributes the networks are not told
NORM_BATCH = 256  # generated pictures a batch when batch norm is measured again
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
# At a loss scale of 1 or below, a gradient that is not finite is so in itself, not by scaling.
NO_SCALE = 1.0
SCALER_STATE = ("scale", "_growth_tracker")  # what changes in it, of the loss scaler


@dataclass(frozen=True)
class MicroBatch:
    """Real pictures NCHW float32 in [-1, 1], labels (N,), latents (N, D), attributes (N, A) where the networks take them."""

    pictures: Tensor
    labels: Tensor
    latents: Tensor
    attributes: Tensor | None
    drawn: DrawnInputs | None  # what else the generator wants
    random: torch.Generator  # whatever else is drawn for these pictures comes from it

    @property
    def condition(self) -> tuple[Tensor, Tensor | None]:
        return self.labels, self.attributes


def rate_scale(images_seen: int, total_images: int, decay_share: float) -> float:
    """Share of the full learning rate: 1, then linearly towards 0 over the last `decay_share` of training."""
    left = 1 - images_seen / total_images
    return min(1.0, left / decay_share) if decay_share else 1.0


def epoch_order(labels: NDArray[np.int64], group: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Rows in the order in which `epoch` sees them: shuffled, and where `group` is above 1, in runs of so many of one label.

    Rows that fill no run are left out, other ones every epoch; a label with fewer rows than a run repeats them.
    """
    numbers = np.random.default_rng((seed, epoch))
    order = numbers.permutation(len(labels))
    if group < 2:
        return order
    of_label = [order[labels[order] == label] for label in np.unique(labels)]
    runs = [np.resize(rows, max(len(rows) // group, 1) * group).reshape(-1, group) for rows in of_label]
    return numbers.permutation(np.concatenate(runs)).reshape(-1)


class EpochSampler:
    """The rows of every batch, each a function of the step alone."""

    def __init__(self, labels: NDArray[np.int64], batch_size: int, group: int, seed: int) -> None:
        self._labels, self._batch_size, self._group, self._seed = labels, batch_size, group, seed
        self._epoch = -1
        self._start_epoch(0)

    def _start_epoch(self, epoch: int) -> None:
        if epoch != self._epoch:
            order = epoch_order(self._labels, self._group, self._seed, epoch)
            self._order = np.resize(order, max(len(order), self._batch_size))  # fewer rows than a batch are repeated
            self._epoch = epoch

    def rows(self, step: int) -> NDArray[np.int64]:
        """Rows of the `step`-th batch; an epoch's last incomplete batch is left out."""
        epoch, within = divmod(step, self._batches_an_epoch)
        self._start_epoch(epoch)
        return self._order[within * self._batch_size : (within + 1) * self._batch_size]

    @property
    def _batches_an_epoch(self) -> int:
        return len(self._order) // self._batch_size


class Trainer:
    """Both networks, the moving average, both optimisers, the random state, and the history so far."""

    def __init__(
        self,
        params: Recipe,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        categories: int,
        device: torch.device,
        attributes: NDArray[np.uint8] | None = None,
        processes: Processes | None = None,
    ) -> None:
        """`attributes` (N, A), zeros and ones, are wanted where `params.condition` is attributes; `processes` where there are
        several.
        """
        self.params = params
        self.processes = processes or Processes()
        self.images, self.labels = images, labels
        if params.condition == "none":  # neither the networks nor what compares pictures of a category tells them apart
            labels, categories = np.zeros_like(labels), 1
        self._conditions = labels
        self.attributes = attributes if params.condition == "attributes" else None
        self.device = device
        self.precision = choose_precision(params.precision, device)
        self.memory_format = torch.channels_last if params.channels_last else torch.contiguous_format
        self.loss = LOSSES[params.loss]
        self.random = torch.Generator().manual_seed(params.seed)
        network = params.network
        # The minibatch deviation compares pictures of one category, lest it see the categories differ.
        group = getattr(network, "stddev_group", 0)
        if params.mode_seeking:
            group = max(group, 2)  # it, too, compares pictures of one category
        self.sampler = EpochSampler(labels, params.batch_size, group, params.seed)
        shape = PictureShape(*images.shape[1:])
        flags = self.attributes.shape[1] if self.attributes is not None else 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(params.seed)
            generator = build_generator(network.name, network.generator_arguments, shape, categories, network.latent_dim, flags)
            discriminator = build_discriminator(network.name, network.discriminator_arguments, shape, categories, flags)
        self.generator = generator.to(device).to(memory_format=self.memory_format)
        self.discriminator = discriminator.to(device).to(memory_format=self.memory_format)
        self.normalises_over_batch = any(isinstance(module, nn.BatchNorm2d) for module in discriminator.modules())
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        if params.compile:
            _want_compiler(device)
        # Beside the networks, not in their place: checkpoints keep their keys, and what is differentiated twice, which neither
        # compiled code nor graphs can be, goes through the networks themselves.
        self._generate: Callable[..., Tensor] = self.generator
        self._discriminate: Callable[..., Tensor] = self.discriminator
        if params.compile:
            self._generate, self._discriminate = (
                torch.compile(network, dynamic=False) for network in (self.generator, self.discriminator)
            )
        elif device.type == "cuda" and self._calls_once():
            half = AUTOCAST.get(self.precision)
            self._generate, self._discriminate = GraphedNetwork(self.generator, half), GraphedNetwork(self.discriminator, half)
        self.eager = False  # whether the networks themselves are called at all times, as for counting what they do
        betas = (params.beta1, params.beta2)
        self.generator_optimiser = torch.optim.Adam(self.generator.parameters(), params.generator_rate, betas, fused=True)
        self.discriminator_optimiser = torch.optim.Adam(
            self.discriminator.parameters(), params.discriminator_rate, betas, fused=True
        )
        scaled = self.precision == "fp16"
        # One each, for the gradient that overflows in one network says nothing of the other's.
        self.generator_scaler = torch.amp.GradScaler(device.type, enabled=scaled)
        self.discriminator_scaler = torch.amp.GradScaler(device.type, enabled=scaled)
        self.mean_path = torch.zeros((), device=device)
        self.rate_factor = 1.0
        self.ada_p = 0.0
        self._signs, self._sign_steps = torch.zeros((), device=device), 0
        self._signs_before: AsyncCopy | None = None
        self.images_seen = 0
        self.history: list[list[float]] = []
        self._forget_sums()

    def _calls_once(self) -> bool:
        """Whether a step without penalty calls each network once before it goes backwards, as graphs want it.

        Not for every part of a batch, nor for real and generated pictures apart. With several processes graphs are untried.
        """
        parts = self.params.accumulate * self.processes.count
        return parts == 1 and not self.normalises_over_batch and not self.loss.pairs

    @property
    def total_images(self) -> int:
        """Images seen when training ends: whole steps, at least `total_kimg`."""
        return math.ceil(self.params.total_kimg * 1000 / self.images_a_step) * self.images_a_step

    @property
    def images_a_step(self) -> int:
        """Real pictures seen in one step of the generator and those of the discriminator before it."""
        return self.params.batch_size * self.params.discriminator_steps

    @property
    def loss_at_chance(self) -> float:
        """Loss of a discriminator that gives every picture the score 0."""
        nothing = torch.zeros(1)
        return self.loss.discriminator(nothing, nothing).item()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, AUTOCAST.get(self.precision), enabled=self.precision in AUTOCAST)

    def _scale(self, scaler: torch.amp.GradScaler, pictures: int = 1) -> Tensor | float:
        """What `scaler` multiplies a loss by, so that half precision holds its gradient; 1 without loss scaling.

        Of a sum over `pictures` each is multiplied by its share of that, as in the mean that a loss is.
        """
        return scaler.scale(torch.ones((), device=self.device)) / pictures if scaler.is_enabled() else 1.0

    def _finite_but_for_scale(self, numbers: Tensor, scaler: torch.amp.GradScaler) -> Tensor:
        """`numbers`, with 0 for what is not finite because `scaler` multiplied it: that step is not taken, nothing diverged."""
        if not scaler.is_enabled():
            return numbers
        return numbers.where(numbers.isfinite() | (self._scale(scaler) <= NO_SCALE), 0.0)

    def _scores(
        self,
        pictures: Tensor,
        condition: tuple[Tensor, Tensor | None],
        random: torch.Generator,
        *,
        differentiable_twice: bool = False,
    ) -> Tensor:
        """Scores (N,) of what the discriminator sees of `pictures`."""
        seen = diff_augment(pictures, self.params.diffaugment, random)
        seen = ada_augment(seen, self.ada_p, random).contiguous(memory_format=self.memory_format)
        with self._autocast():
            discriminate = self.discriminator if differentiable_twice or self.eager else self._discriminate
            return discriminate(seen, *condition).float()

    def _next_batch(self) -> list[MicroBatch]:
        """This process's share of the next batch, in its parts.

        Every process draws latents, noise and what is said for the whole batch, so that they are the same in however many parts
        and processes, and all processes come to the same random state.
        """
        size, accumulate = self.params.batch_size, self.params.accumulate
        parts = accumulate * self.processes.count
        mine = slice(self.processes.index * accumulate, (self.processes.index + 1) * accumulate)
        rows = self.sampler.rows(self.images_seen // size)
        latents = torch.randn(size, self.params.network.latent_dim, generator=self.random)
        attributes = None if self.attributes is None else self._drop_attributes(torch.from_numpy(self.attributes[rows]))
        drawn = self.generator.random_inputs(size, self.random)
        return [
            MicroBatch(
                self._pictures(rows[here]),
                to_device(torch.from_numpy(self._conditions[rows[here]]), self.device),
                to_device(latents[here], self.device),
                None if attributes is None else to_device(attributes[here], self.device),
                None if drawn is None else drawn.of(here),
                random,
            )
            for here, random in zip(_in_parts(size, parts)[mine], self._random_of_parts(parts)[mine], strict=True)
        ]

    def _pictures(self, rows: NDArray[np.int64]) -> Tensor:
        pictures = to_device(torch.from_numpy(self.images[rows]), self.device).permute(0, 3, 1, 2)
        return to_float(pictures).contiguous(memory_format=self.memory_format)

    def _random_of_parts(self, parts: int) -> list[torch.Generator]:
        """Where the numbers drawn for each part come from: of several parts, from a seed that step and part make alone."""
        if parts == 1:
            return [self.random]
        seeds = [np.random.SeedSequence((self.params.seed, self.images_seen, part)) for part in range(parts)]
        return [torch.Generator().manual_seed(int(seed.generate_state(1, np.uint64)[0])) for seed in seeds]

    def _drop_attributes(self, flags: Tensor) -> Tensor:
        """Attributes (N, A) with those of some pictures left unsaid, so that the networks know a category alone, too."""
        return flags.float() * (torch.rand(len(flags), 1, generator=self.random) >= ATTRIBUTE_DROPOUT)

    def _generated(self, part: MicroBatch) -> Tensor:
        """Pictures of the part's latents and labels, as the generator draws them in training."""
        drawn = () if part.drawn is None else (part.drawn,)
        with self._autocast():
            generate = self.generator if self.eager else self._generate
            return generate(part.latents, *part.condition, *drawn).float()

    def _path_penalty(self, part: MicroBatch, network: Stylegan2Params) -> Tensor:
        """Path-length regularisation over the first half of the part; zero on the steps between."""
        step = self.images_seen // self.images_a_step - 1
        if not network.path_length or step % network.path_length_interval:
            return torch.zeros((), device=self.device)
        half = len(part.latents) // 2
        drawn = self.generator.random_inputs(half, part.random)
        attributes = None if part.attributes is None else part.attributes[:half]
        with self._autocast():
            pictures, styles = self.generator.pictures_and_styles(part.latents[:half], part.labels[:half], attributes, drawn)
        directions = torch.randn(pictures.shape, generator=device_generator(part.random, self.device), device=self.device)
        lengths = path_lengths(pictures.float(), styles, directions, self._scale(self.generator_scaler, half))
        mean = lengths.detach().mean()
        if self.generator_scaler.is_enabled():
            mean = mean.where(mean.isfinite(), self.mean_path)  # one that overflowed would stay in the mean for ever
        self.mean_path = torch.lerp(mean, self.mean_path, PATH_DECAY ** (1 / self.params.accumulate))
        return (lengths - self.mean_path).square().mean() * network.path_length * network.path_length_interval

    def _scores_of_both(self, part: MicroBatch, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of real and of generated pictures: in one pass, unless batch norm would let each side see the other."""
        if self.normalises_over_batch:
            real_scores = self._scores(part.pictures, part.condition, part.random)
            return real_scores, self._scores(fake, part.condition, part.random)
        twice = None if part.attributes is None else part.attributes.repeat(2, 1)
        both = self._scores(torch.cat([part.pictures, fake]), (part.labels.repeat(2), twice), part.random)
        real_scores, fake_scores = both.chunk(2)
        return real_scores, fake_scores

    def _penalised_scores(self, part: MicroBatch, fake: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Scores of real and of generated pictures, the penalty on the gradients there, and the mean square of real ones'."""
        penalties = self.params.penalties
        scale = self._scale(self.discriminator_scaler, len(part.pictures))
        real = part.pictures.detach().requires_grad_()
        fake = fake.detach().requires_grad_(penalties.r2_gamma > 0)
        real_scores = self._scores(real, part.condition, part.random, differentiable_twice=True)
        fake_scores = self._scores(fake, part.condition, part.random, differentiable_twice=True)
        square_norms = gradient_square_norms(real_scores, real, scale)
        penalty = zero_centred_penalty(square_norms, penalties.r1_gamma)
        if penalties.r2_gamma:
            penalty = penalty + zero_centred_penalty(gradient_square_norms(fake_scores, fake, scale), penalties.r2_gamma)
        if penalties.gradient_penalty:
            shares = to_device(torch.rand(len(real), generator=part.random), self.device)
            middle = interpolate(real.detach(), fake.detach(), shares).requires_grad_()
            middle_scores = self._scores(middle, part.condition, part.random, differentiable_twice=True)
            square = gradient_square_norms(middle_scores, middle, scale)
            penalty = penalty + one_centred_penalty(square, penalties.gradient_penalty)
        return real_scores, fake_scores, penalty, square_norms.detach().mean()

    def _discriminator_gradient(self, part: MicroBatch, kept: Tensor | None, *, penalised: bool) -> Tensor:
        """Add the part's gradient; its loss, mean scores and mean sign of real ones, penalty, and squared gradient (6,)."""
        if kept is None:
            with torch.no_grad():
                fake = self._generated(part)
        else:
            fake = kept.detach()
        if penalised:
            real_scores, fake_scores, penalty, square_norm = self._penalised_scores(part, fake)
        else:
            real_scores, fake_scores = self._scores_of_both(part, fake)
            penalty = square_norm = real_scores.new_zeros(())
        loss = self.loss.discriminator(real_scores, fake_scores)
        # A penalty's weight is that of the steps between, too.
        total = (loss + penalty * self.params.penalties.interval) / self.params.accumulate
        self.discriminator_scaler.scale(total).backward()
        real_scores, fake_scores = real_scores.detach(), fake_scores.detach()
        numbers = [loss, real_scores.mean(), fake_scores.mean(), real_scores.sign().mean(), penalty, square_norm]
        return torch.stack([number.detach() for number in numbers])

    def _discriminator_step(self, parts: list[MicroBatch], kept: Tensor | None) -> Tensor:
        """One step; loss, mean scores and gradient norm (4,)."""
        penalties, step = self.params.penalties, self.images_seen // self.params.batch_size
        penalised = penalties.any and step % penalties.interval == 0
        self.discriminator_optimiser.zero_grad()
        told = torch.stack([self._discriminator_gradient(part, kept, penalised=penalised) for part in parts]).mean(dim=0)
        self.processes.average([*_gradients(self.discriminator), told])
        norm = self._stepped(self.discriminator, self.discriminator_optimiser, self.discriminator_scaler)
        self._clip_weights()
        self._adjust_ada(told[3])
        if penalised:
            self._penalty_sums += self._finite_but_for_scale(told[4:], self.discriminator_scaler)
            self._penalty_steps += 1
        return torch.cat([told[:3], norm[None]])

    def _stepped(self, network: nn.Module, optimiser: torch.optim.Optimizer, scaler: torch.amp.GradScaler) -> Tensor:
        """The norm of the gradient with which `optimiser` moved `network`."""
        scaler.unscale_(optimiser)
        norm = torch.nn.utils.get_total_norm(_gradients(network))
        scaler.step(optimiser)
        norm = self._finite_but_for_scale(norm, scaler)
        scaler.update()
        return norm

    @torch.no_grad()
    def _clip_weights(self) -> None:
        """Cut every weight of the discriminator to ± penalties.weight_clip; Arjovsky et al. 2017, algorithm 1."""
        limit = self.params.penalties.weight_clip
        if limit:
            for weights in self.discriminator.parameters():
                weights.clamp_(-limit, limit)

    def _adjust_ada(self, mean_sign: Tensor) -> None:
        """Note the mean sign of real scores and, every ada.interval steps, move p by them; Karras et al. 2020, section 2.4.

        By those of the interval before, so that no GPU is waited for.
        """
        ada = self.params.ada
        if ada is None:
            return
        self._signs = self._signs + mean_sign
        self._sign_steps += 1
        if self._sign_steps == ada.interval:
            if self._signs_before is not None:
                step = self.params.batch_size * ada.interval / (ada.ramp_kimg * 1000)
                self.ada_p = adjust_probability(self.ada_p, float(self._signs_before.wait()) / ada.interval, ada.target, step)
            self._signs_before = AsyncCopy(self._signs)
            self._signs, self._sign_steps = torch.zeros_like(self._signs), 0

    def _generator_gradient(self, part: MicroBatch, kept: Tensor | None) -> Tensor:
        """Add the part's gradient; its loss."""
        fake = self._generated(part) if kept is None else kept
        fake_scores = self._scores(fake, part.condition, part.random)
        pairs = self.loss.pairs
        real_scores = self._scores(part.pictures, part.condition, part.random) if pairs else fake_scores.detach()
        loss = self.loss.generator(real_scores, fake_scores)
        total = loss
        if self.params.mode_seeking:
            total = loss + self.params.mode_seeking * mode_seeking_loss(fake, part.latents, part.labels)
        if isinstance(self.params.network, Stylegan2Params):
            total = total + self._path_penalty(part, self.params.network)
        self.generator_scaler.scale(total / self.params.accumulate).backward()
        return loss.detach()

    def _generator_step(self, parts: list[MicroBatch], kept: Tensor | None) -> Tensor:
        """One step on the pictures the discriminator just learnt from; loss and gradient norm (2,)."""
        self.discriminator.requires_grad_(False)
        self.generator_optimiser.zero_grad()
        loss = torch.stack([self._generator_gradient(part, kept) for part in parts]).mean()
        self.discriminator.requires_grad_(True)
        statistics = [*_statistics(self.generator), *_statistics(self.discriminator)]
        self.processes.average([*_gradients(self.generator), *statistics, loss, self.mean_path])
        return torch.stack([loss, self._stepped(self.generator, self.generator_optimiser, self.generator_scaler)])

    def step(self) -> None:
        """Train the discriminator on one batch or several, then the generator. Raises TrainingError when memory is short."""
        params, before = self.params, self.images_seen
        scale = rate_scale(self.images_seen, self.total_images, params.decay_share) * self.rate_factor
        _set_rate(self.generator_optimiser, params.generator_rate * scale)
        _set_rate(self.discriminator_optimiser, params.discriminator_rate * scale)
        try:
            for _ in range(params.discriminator_steps):
                parts = self._next_batch()
                # Of several parts each is drawn again for the generator: else the graphs of all would be in memory at once.
                kept = self._generated(parts[0]) if len(parts) == 1 else None
                of_discriminator = self._discriminator_step(parts, kept)
                self.images_seen += params.batch_size
            of_generator = self._generator_step(parts, kept)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise _out_of_memory(params) from error
        except RuntimeError as error:  # what the CPU allocator raises
            if "can't allocate memory" in str(error):
                raise _out_of_memory(params) from error
            raise
        decay = ema_decay(before, self.images_a_step, params.ema_half_life_kimg)
        update_ema(self.average, self.generator, decay)
        loss_discriminator, score_real, score_fake, norm_discriminator = of_discriminator
        loss_generator, norm_generator = of_generator
        self._sums += torch.stack(
            [loss_discriminator, loss_generator, score_real, score_fake, norm_discriminator, norm_generator]
        )
        self._steps += 1

    def steps(self) -> Iterator[tuple[int, int]]:
        """Images seen before and after each step, until training is over."""
        while self.images_seen < self.total_images:
            before = self.images_seen
            self.step()
            yield before, self.images_seen

    def _forget_sums(self) -> None:
        self._sums = torch.zeros(len(EVERY_STEP), device=self.device)
        self._penalty_sums = torch.zeros(len(PENALTY_STEPS), device=self.device)
        self._steps = self._penalty_steps = 0

    @property
    def sums(self) -> Tensor:
        """Sums of losses, scores and gradients since the last row, by EVERY_STEP and PENALTY_STEPS; one NaN makes a NaN."""
        return torch.cat([self._sums, self._penalty_sums])

    def new_history_row(self) -> dict[str, float]:
        """Averages since the last row, by HISTORY_COLUMNS; the row joins the history. Raises DivergedError."""
        if not torch.isfinite(self.sums).all():
            raise DivergedError
        of_steps = (self._sums / max(self._steps, 1)).tolist()
        of_penalties = (self._penalty_sums / max(self._penalty_steps, 1)).tolist()
        row = [float(self.images_seen), *of_steps, *of_penalties]
        self.history.append(row)
        self._forget_sums()
        return dict(zip(HISTORY_COLUMNS, row, strict=True))

    def measured_average(self, batches: int) -> nn.Module:
        """The averaged generator with its batch norm measured over `batches` of NORM_BATCH pictures; always the same ones."""
        seed, dim = self.params.seed, self.params.network.latent_dim
        # Batch norm is measured in training mode, where a generator does not truncate by itself.
        latents = (
            torch.from_numpy(draw_latents(seed, batches * NORM_BATCH, dim)).to(self.device) * self.params.network.truncation
        )
        labels = torch.from_numpy(np.random.default_rng(seed).choice(self.labels, batches * NORM_BATCH)).to(self.device)
        recalibrate_batch_norm(self.average, zip(latents.split(NORM_BATCH), labels.split(NORM_BATCH), strict=True))
        return self.average

    def state(self) -> dict[str, Tensor]:
        """Everything that the next step depends on, and the history."""
        history = torch.tensor(self.history, dtype=torch.float64).reshape(-1, len(HISTORY_COLUMNS))
        state = {
            "images_seen": torch.tensor(self.images_seen),
            "random": self.random.get_state(),
            "history": history,
            "sums": self._sums,
            "penalty_sums": self._penalty_sums,
            "steps": torch.tensor([self._steps, self._penalty_steps]),
            "mean_path": self.mean_path,
            "ada": torch.tensor([self.ada_p, self._sign_steps], dtype=torch.float64),
            "signs": self._signs,
            # None of them before the first interval is over.
            "signs_before": self._signs.new_zeros(0) if self._signs_before is None else self._signs_before.wait()[None],
        }
        for name, network in self._networks().items():
            state |= {f"{name}.{key}": tensor for key, tensor in network.state_dict().items()}
        for name, optimiser in self._optimisers().items():
            moments = optimiser.state_dict()["state"]
            state |= {f"{name}.{index}.{key}": tensor for index, of in moments.items() for key, tensor in of.items()}
        for name, scaler in self._scalers().items():
            of_scaler = scaler.state_dict()
            state[name] = torch.tensor([of_scaler[key] for key in SCALER_STATE], dtype=torch.float64)
        return state

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`, as if there had been no interruption."""
        self.images_seen = int(state["images_seen"])
        self.random.set_state(state["random"])
        self.history = state["history"].tolist()
        self._sums = state["sums"].to(self.device)
        self._penalty_sums = state["penalty_sums"].to(self.device)
        self._steps, self._penalty_steps = state["steps"].tolist()
        self.mean_path = state["mean_path"].to(self.device)
        self.ada_p, self._sign_steps = float(state["ada"][0]), int(state["ada"][1])
        self._signs = state["signs"].to(self.device)
        self._signs_before = AsyncCopy(state["signs_before"][0]) if len(state["signs_before"]) else None
        for name, network in self._networks().items():
            network.load_state_dict(_under(name, state))
        for name, optimiser in self._optimisers().items():
            moments: dict[int, dict[str, Tensor]] = {}
            for key, tensor in _under(name, state).items():
                index, moment = key.split(".")
                moments.setdefault(int(index), {})[moment] = tensor
            optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
        for name, scaler in self._scalers().items():
            scale, steps = state[name].tolist()
            scaler.load_state_dict(scaler.state_dict() | dict(zip(SCALER_STATE, (scale, int(steps)), strict=True)))

    def _networks(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator, "average": self.average}

    def _optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"generator_optimiser": self.generator_optimiser, "discriminator_optimiser": self.discriminator_optimiser}

    def _scalers(self) -> dict[str, torch.amp.GradScaler]:
        scalers = {"generator_scaler": self.generator_scaler, "discriminator_scaler": self.discriminator_scaler}
        return {name: scaler for name, scaler in scalers.items() if scaler.is_enabled()}


def _under(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The entries of `state` whose keys begin with `name` and a dot, without it."""
    return {key.removeprefix(f"{name}."): tensor for key, tensor in state.items() if key.startswith(f"{name}.")}


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate


def _gradients(network: nn.Module) -> list[Tensor]:
    return [parameter.grad for parameter in network.parameters() if parameter.grad is not None]


def _statistics(network: nn.Module) -> list[Tensor]:
    """What moves in `network` without a gradient: running statistics of batch norm, and a stylegan2's mean styles."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    running = [tensor for norm in norms for tensor in (norm.running_mean, norm.running_var) if tensor is not None]
    return running + [parameter.data for parameter in network.parameters() if not parameter.requires_grad]


def _want_compiler(device: torch.device) -> None:
    """Raise ParamsError where torch.compile has no compiler to write CPU code for; for GPUs it brings its own."""
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise ParamsError(f"train.compile: true, but there is no C++ compiler, {compiler}; install one or set it to false")


def _in_parts(size: int, parts: int) -> list[slice]:
    """So many equal parts of `size` rows."""
    return [slice(start, start + size // parts) for start in range(0, size, size // parts)]


def _out_of_memory(params: Recipe) -> TrainingError:
    return TrainingError(
        f"out of memory with train.batch_size {params.batch_size} and train.accumulate {params.accumulate}; "
        "raise train.accumulate, which takes a batch in more parts, or lower train.batch_size"
    )
