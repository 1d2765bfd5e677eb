"""A GAN in training: everything that changes from step to step, one step, and the whole as a flat dict of tensors and back."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.errors import DivergedError, ParamsError, TrainingError
from pipeline.gan.ada import adaptively_augmented, adjusted
from pipeline.gan.diffaugment import augmented
from pipeline.gan.ema import average_decay, measure_batch_norm, move_average
from pipeline.gan.latents import draw_latents
from pipeline.gan.losses import (
    LOSSES,
    between,
    gradient_square_norms,
    mode_seeking_loss,
    one_centred_penalty,
    path_lengths,
    zero_centred_penalty,
)
from pipeline.gan.networks import PictureShape, build_discriminator, build_generator
from pipeline.gan.networks.stylegan2 import Stylegan2Generator
from pipeline.gan.sampling import to_unit_range
from pipeline.params import Stylegan2Params, TrainParams

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
UNSAID = 0.1  # of the pictures whose attributes the networks are not told
NORM_BATCH = 256  # generated pictures a batch when batch norm is measured again


@dataclass(frozen=True)
class Batch:
    """Real pictures NCHW float32 in [-1, 1], labels (N,), latents (N, D), attributes (N, A) where the networks take them."""

    pictures: Tensor
    labels: Tensor
    latents: Tensor
    attributes: Tensor | None

    @property
    def condition(self) -> tuple[Tensor, Tensor | None]:
        return self.labels, self.attributes


def chosen_device(wanted: str, section: str = "train") -> torch.device:
    """The device of that name; for `auto` CUDA where there is one. Raises ParamsError, which names the section."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ParamsError(f"{section}.device: cuda, but torch sees no CUDA device; set it to auto or cpu")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """What a reader of a run calls it: cpu, or the GPU's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def chosen_precision(wanted: str, device: torch.device) -> str:
    """`fp32` or `bf16`; for `auto` by what the processor says it can, not by timing, so that a machine always chooses alike."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    can = torch.cpu.get_capabilities()
    return "bf16" if can.get("amx_bf16") or can.get("avx512_bf16") else "fp32"


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
        params: TrainParams,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        categories: int,
        device: torch.device,
        attributes: NDArray[np.uint8] | None = None,
    ) -> None:
        """`attributes` (N, A), zeros and ones, are wanted where `params.condition` is attributes."""
        self.params = params
        self.images, self.labels = images, labels
        if params.condition == "none":  # neither the networks nor what compares pictures of a category tells them apart
            labels, categories = np.zeros_like(labels), 1
        self._conditions = labels
        self.attributes = attributes if params.condition == "attributes" else None
        self.device = device
        self.precision = chosen_precision(params.precision, device)
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
        betas = (params.beta1, params.beta2)
        self.generator_optimiser = torch.optim.Adam(self.generator.parameters(), params.generator_rate, betas, fused=True)
        self.discriminator_optimiser = torch.optim.Adam(
            self.discriminator.parameters(), params.discriminator_rate, betas, fused=True
        )
        self.mean_path = torch.zeros((), device=device)
        self.rate_factor = 1.0
        self.ada_p = 0.0
        self._signs, self._sign_steps = torch.zeros((), device=device), 0
        self.images_seen = 0
        self.history: list[list[float]] = []
        self._forget_sums()

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
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def _scores(self, pictures: Tensor, condition: tuple[Tensor, Tensor | None]) -> Tensor:
        """Scores (N,) of what the discriminator sees of `pictures`."""
        seen = augmented(pictures, self.params.diffaugment, self.random)
        seen = adaptively_augmented(seen, self.ada_p, self.random)
        with self._autocast():
            return self.discriminator(seen, *condition).float()

    def _next_batch(self) -> Batch:
        size = self.params.batch_size
        rows = self.sampler.rows(self.images_seen // size)
        pictures = torch.from_numpy(self.images[rows]).to(self.device).permute(0, 3, 1, 2)
        latents = torch.randn(size, self.params.network.latent_dim, generator=self.random)
        return Batch(
            to_unit_range(pictures).contiguous(memory_format=self.memory_format),
            torch.from_numpy(self._conditions[rows]).to(self.device),
            latents.to(self.device),
            None if self.attributes is None else self._said(torch.from_numpy(self.attributes[rows])).to(self.device),
        )

    def _said(self, flags: Tensor) -> Tensor:
        """Attributes (N, A) with those of some pictures left unsaid, so that the networks know a category alone, too."""
        return flags.float() * (torch.rand(len(flags), 1, generator=self.random) >= UNSAID)

    def _generated(self, batch: Batch) -> Tensor:
        """Pictures of the batch's latents and labels, as the generator draws them in training."""
        with self._autocast():
            if isinstance(self.generator, Stylegan2Generator):
                drawn = self.generator.random_inputs(len(batch.latents), self.random)
                return self.generator(batch.latents, *batch.condition, drawn).float()
            return self.generator(batch.latents, *batch.condition).float()

    def _path_penalty(self, batch: Batch) -> Tensor:
        """Path-length regularisation over the first half of the batch; zero on the steps between."""
        network, step = self.params.network, self.images_seen // self.images_a_step - 1
        assert isinstance(network, Stylegan2Params)
        assert isinstance(self.generator, Stylegan2Generator)
        if not network.path_length or step % network.path_length_interval:
            return torch.zeros((), device=self.device)
        half = len(batch.latents) // 2
        drawn = self.generator.random_inputs(half, self.random)
        with self._autocast():
            attributes = None if batch.attributes is None else batch.attributes[:half]
            styles = self.generator.styles(batch.latents[:half], batch.labels[:half], attributes, drawn)
            pictures = self.generator.pictures(styles, drawn.noises).float()
        directions = torch.randn(pictures.shape, generator=self.random).to(self.device)
        lengths = path_lengths(pictures, styles, directions)
        self.mean_path = torch.lerp(lengths.detach().mean(), self.mean_path, PATH_DECAY)
        return (lengths - self.mean_path).square().mean() * network.path_length * network.path_length_interval

    def _scores_of_both(self, batch: Batch, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of real and of generated pictures: in one pass, unless batch norm would let each side see the other."""
        if self.normalises_over_batch:
            return self._scores(batch.pictures, batch.condition), self._scores(fake, batch.condition)
        twice = None if batch.attributes is None else batch.attributes.repeat(2, 1)
        both = self._scores(torch.cat([batch.pictures, fake]), (batch.labels.repeat(2), twice))
        real_scores, fake_scores = both.chunk(2)
        return real_scores, fake_scores

    def _penalised_scores(self, batch: Batch, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores of real and of generated pictures, and the penalties on the gradients there, weighed for a lazy interval."""
        penalties = self.params.penalties
        real = batch.pictures.detach().requires_grad_()
        fake = fake.detach().requires_grad_(penalties.r2_gamma > 0)
        real_scores, fake_scores = self._scores(real, batch.condition), self._scores(fake, batch.condition)
        square_norms = gradient_square_norms(real_scores, real)
        penalty = zero_centred_penalty(square_norms, penalties.r1_gamma)
        if penalties.r2_gamma:
            penalty = penalty + zero_centred_penalty(gradient_square_norms(fake_scores, fake), penalties.r2_gamma)
        if penalties.gradient_penalty:
            shares = torch.rand(len(real), generator=self.random).to(self.device)
            middle = between(real.detach(), fake.detach(), shares).requires_grad_()
            square = gradient_square_norms(self._scores(middle, batch.condition), middle)
            penalty = penalty + one_centred_penalty(square, penalties.gradient_penalty)
        self._penalty_sums += torch.stack([penalty.detach(), square_norms.detach().mean()])
        self._penalty_steps += 1
        return real_scores, fake_scores, penalty * penalties.interval

    def _discriminator_step(self, batch: Batch, fake: Tensor) -> Tensor:
        """One step; loss, mean scores and gradient norm (4,)."""
        penalties, step = self.params.penalties, self.images_seen // self.params.batch_size
        if penalties.any and step % penalties.interval == 0:
            real_scores, fake_scores, penalty = self._penalised_scores(batch, fake)
        else:
            real_scores, fake_scores = self._scores_of_both(batch, fake.detach())
            penalty = real_scores.new_zeros(())
        loss = self.loss.discriminator(real_scores, fake_scores)
        self.discriminator_optimiser.zero_grad()
        (loss + penalty).backward()
        self.discriminator_optimiser.step()
        self._clip_weights()
        self._adjust_ada(real_scores.detach())
        norm = _gradient_norm(self.discriminator)
        return torch.stack([loss.detach(), real_scores.detach().mean(), fake_scores.detach().mean(), norm])

    @torch.no_grad()
    def _clip_weights(self) -> None:
        """Cut every weight of the discriminator to ± penalties.weight_clip; Arjovsky et al. 2017, algorithm 1."""
        limit = self.params.penalties.weight_clip
        if limit:
            for weights in self.discriminator.parameters():
                weights.clamp_(-limit, limit)

    def _adjust_ada(self, real_scores: Tensor) -> None:
        """Note the signs of real scores and, every ada.interval steps, move p by them; Karras et al. 2020, section 2.4."""
        ada = self.params.ada
        if ada is None:
            return
        self._signs = self._signs + real_scores.sign().mean()
        self._sign_steps += 1
        if self._sign_steps == ada.interval:
            step = self.params.batch_size * ada.interval / (ada.ramp_kimg * 1000)
            self.ada_p = adjusted(self.ada_p, float(self._signs) / ada.interval, ada.target, step)
            self._signs, self._sign_steps = torch.zeros_like(self._signs), 0

    def _generator_step(self, batch: Batch, fake: Tensor) -> Tensor:
        """One step on the pictures the discriminator just learnt from; loss and gradient norm (2,)."""
        self.discriminator.requires_grad_(False)
        fake_scores = self._scores(fake, batch.condition)
        real_scores = self._scores(batch.pictures, batch.condition) if self.loss.pairs else fake_scores.detach()
        loss = self.loss.generator(real_scores, fake_scores)
        total = loss
        if self.params.mode_seeking:
            total = loss + self.params.mode_seeking * mode_seeking_loss(fake, batch.latents, batch.labels)
        if isinstance(self.params.network, Stylegan2Params):
            total = total + self._path_penalty(batch)
        self.generator_optimiser.zero_grad()
        total.backward()
        self.generator_optimiser.step()
        self.discriminator.requires_grad_(True)
        return torch.stack([loss.detach(), _gradient_norm(self.generator)])

    def step(self) -> None:
        """Train the discriminator on one batch or several, then the generator. Raises TrainingError when memory is short."""
        params, before = self.params, self.images_seen
        scale = rate_scale(self.images_seen, self.total_images, params.decay_share) * self.rate_factor
        _set_rate(self.generator_optimiser, params.generator_rate * scale)
        _set_rate(self.discriminator_optimiser, params.discriminator_rate * scale)
        try:
            for _ in range(params.discriminator_steps):
                batch = self._next_batch()
                fake = self._generated(batch)
                of_discriminator = self._discriminator_step(batch, fake)
                self.images_seen += params.batch_size
            of_generator = self._generator_step(batch, fake)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise _out_of_memory(params.batch_size) from error
        except RuntimeError as error:  # what the CPU allocator raises
            if "can't allocate memory" in str(error):
                raise _out_of_memory(params.batch_size) from error
            raise
        decay = average_decay(before, self.images_a_step, params.ema_half_life_kimg)
        move_average(self.average, self.generator, decay)
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
        measure_batch_norm(self.average, zip(latents.split(NORM_BATCH), labels.split(NORM_BATCH), strict=True))
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
        }
        for name, network in self._networks().items():
            state |= {f"{name}.{key}": tensor for key, tensor in network.state_dict().items()}
        for name, optimiser in self._optimisers().items():
            moments = optimiser.state_dict()["state"]
            state |= {f"{name}.{index}.{key}": tensor for index, of in moments.items() for key, tensor in of.items()}
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
        for name, network in self._networks().items():
            network.load_state_dict(_under(name, state))
        for name, optimiser in self._optimisers().items():
            moments: dict[int, dict[str, Tensor]] = {}
            for key, tensor in _under(name, state).items():
                index, moment = key.split(".")
                moments.setdefault(int(index), {})[moment] = tensor
            optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})

    def _networks(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator, "average": self.average}

    def _optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"generator_optimiser": self.generator_optimiser, "discriminator_optimiser": self.discriminator_optimiser}


def _under(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The entries of `state` whose keys begin with `name` and a dot, without it."""
    return {key.removeprefix(f"{name}."): tensor for key, tensor in state.items() if key.startswith(f"{name}.")}


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate


def _gradient_norm(network: nn.Module) -> Tensor:
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


def _out_of_memory(batch_size: int) -> TrainingError:
    return TrainingError(f"out of memory with train.batch_size {batch_size}; lower it")
