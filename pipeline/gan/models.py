"""The networks in training: generator, discriminator and EMA, called eagerly, compiled, or as CUDA graphs."""

import copy
import dataclasses
import os
import shutil
import sys
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from pipeline.errors import ParamsError
from pipeline.gan.ada import ada_augment
from pipeline.gan.alpha import as_layer, as_seen, composite, on_random_grounds, seen_channels
from pipeline.gan.batches import MicroBatch
from pipeline.gan.devices import choose_precision
from pipeline.gan.diffaugment import diff_augment
from pipeline.gan.graphs import GraphedNetwork
from pipeline.gan.networks import PictureShape, build_discriminator, build_generator
from pipeline.gan.networks.parts import Generator
from pipeline.gan.projected import ProjectedDiscriminator
from pipeline.gan.recipe import Recipe
from pipeline.storage.arrays import has_alpha

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class KnownCategories:
    """A generator as it was before categories were added to it, and how far another draws other pictures of the known ones.

    Wu et al. 2018, "Memory Replay GANs", section on replay alignment.
    """

    def __init__(self, before: Generator, new: Sequence[int], weight: float) -> None:
        self._before, self._new, self._weight = before, new, weight

    def difference(self, images: Tensor, batch: MicroBatch) -> Tensor:
        """`weight` times the mean squared difference, 0 in pictures of new categories; a scalar.

        `images` (N, C, H, W) were drawn from `batch`. Both generators normalise over it, as in training.
        """
        random_inputs = () if batch.random_inputs is None else (batch.random_inputs,)
        with torch.no_grad():
            before = self._before(batch.latents, *batch.condition, *random_inputs).float()
        known = torch.isin(batch.labels, torch.tensor(self._new, device=batch.labels.device), invert=True)
        return self._weight * (known[:, None, None, None] * (images - before)).square().mean()


class Models:
    """Generator, discriminator and the generator's EMA, with the precision and the augmentation they are called with."""

    def __init__(
        self,
        params: Recipe,
        shape: PictureShape,
        categories: int,
        attributes: int,
        device: torch.device,
        *,
        graphs: bool,
    ) -> None:
        """Initialise weights from `params.seed`. `graphs`: the training calls each network once between backward passes."""
        self._params, self._device, self._alpha = params, device, has_alpha(shape.channels)
        seen = dataclasses.replace(shape, channels=seen_channels(shape.channels))
        self.precision = choose_precision(params.precision, device)
        self._memory_format = torch.channels_last if params.channels_last else torch.contiguous_format
        network = params.network
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(params.seed)
            generator = build_generator(
                network.name, network.generator_arguments, shape, categories, network.latent_dim, attributes
            )
            discriminator = build_discriminator(network.name, network.discriminator_arguments, seen, categories, attributes)
            self.projected = ProjectedDiscriminator(params, shape, categories, attributes) if params.projected else None
        self.generator = generator.to(device).to(memory_format=self._memory_format)
        self.discriminator = discriminator.to(device).to(memory_format=self._memory_format)
        if self.projected:
            for part in (self.projected.maps, self.projected.heads):
                part.to(device).to(memory_format=self._memory_format)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.known: KnownCategories | None = None  # of the model that was started from, if further ones are added to it
        self.eager = False  # call the networks themselves, as for counting operations
        # Compiled code and graphs stand beside the networks: checkpoints keep their keys, and whatever is differentiated twice
        # goes through the networks themselves, because neither supports that.
        self._generate: Callable[..., Tensor] = self.generator
        self._discriminate: Callable[..., Tensor] = self.discriminator
        if params.compile:
            _require_compiler(device)
            self._generate = torch.compile(self.generator, dynamic=False)
            self._discriminate = torch.compile(self.discriminator, dynamic=False)
        elif graphs and device.type == "cuda" and not self.has_discriminator_batch_norm:
            dtype = AUTOCAST.get(self.precision)
            self._generate = GraphedNetwork(self.generator, dtype)
            self._discriminate = GraphedNetwork(self.discriminator, dtype)

    @property
    def has_discriminator_batch_norm(self) -> bool:
        """Whether the discriminator normalises over the batch, so that real and generated images need separate passes."""
        return any(isinstance(module, nn.BatchNorm2d) for module in self.discriminator.modules())

    def autocast(self) -> torch.autocast:
        """The context in which the networks compute in `precision`."""
        return torch.autocast(self._device.type, AUTOCAST.get(self.precision), enabled=self.precision in AUTOCAST)

    def generate(self, batch: MicroBatch) -> Tensor:
        """Training images NCHW float32 from the batch's latents and condition."""
        random_inputs = () if batch.random_inputs is None else (batch.random_inputs,)
        with self.autocast():
            generate = self.generator if self.eager else self._generate
            return generate(batch.latents, *batch.condition, *random_inputs).float()

    def keep_known(self, new: Sequence[int], weight: float) -> None:
        """Hold the generator, with `weight`, to what it draws now of all categories but `new`."""
        self.known = KnownCategories(copy.deepcopy(self.generator).requires_grad_(False), list(new), weight)

    def scores(
        self,
        images: Tensor,
        condition: tuple[Tensor, Tensor | None],
        ada_p: float,
        rng: torch.Generator,
        *,
        differentiable_twice: bool = False,
    ) -> Tensor:
        """Scores (N,) float32 of the augmented `images`; of those with alpha, on random grounds."""
        augmented = self._augmented(images, ada_p, rng)
        if self._alpha:
            augmented = as_seen(augmented, rng)
        augmented = augmented.contiguous(memory_format=self._memory_format)
        with self.autocast():
            discriminate = self.discriminator if differentiable_twice or self.eager else self._discriminate
            return discriminate(augmented, *condition).float()

    def mixed_maps(self, images: Tensor, ada_p: float, rng: torch.Generator) -> list[Tensor]:
        """The frozen network's mixed maps (N, C, H, W) of the augmented `images`; of those with alpha, on random grounds."""
        assert self.projected is not None
        augmented = self._augmented(images, ada_p, rng)
        if self._alpha:
            augmented = on_random_grounds(augmented, rng)
        # On CPUs depthwise convolutions are slower in half precision.
        with torch.autocast(self._device.type, AUTOCAST.get(self.precision), enabled=self._device.type == "cuda"):
            return self.projected.maps(augmented.contiguous(memory_format=self._memory_format))

    def calibrate_maps(self, images: Tensor) -> None:
        """Scale the mixed maps to unit variance on real `images` NCHW, on grey if they have alpha."""
        assert self.projected is not None
        self.projected.maps.calibrate(composite(as_layer(images), images.new_zeros(())) if self._alpha else images)

    def _augmented(self, images: Tensor, ada_p: float, rng: torch.Generator) -> Tensor:
        """`images` after augmentation; those with alpha as layers."""
        layers = as_layer(images) if self._alpha else images
        return ada_augment(diff_augment(layers, self._params.diffaugment, rng), ada_p, rng)

    @property
    def judges(self) -> nn.ModuleList:
        """What the discriminator's step trains: the discriminator, the heads, or both."""
        if self.projected is None:
            return nn.ModuleList([self.discriminator])
        return nn.ModuleList(
            [self.projected.heads] if self.projected.params.alone else [self.discriminator, self.projected.heads]
        )

    def statistics(self) -> list[Tensor]:
        """Tensors that change without a gradient: running statistics of batch norm, and a stylegan2's mean styles."""
        return [*_statistics(self.generator), *_statistics(self.discriminator)]

    def by_name(self) -> dict[str, nn.Module]:
        """The trained networks and the average, by their names in a checkpoint; beside the heads, what mixes their maps."""
        networks = {"generator": self.generator, "discriminator": self.discriminator, "average": self.average}
        if self.projected is None:
            return networks
        return networks | {"heads": self.projected.heads, "mixing": self.projected.maps.mixing}


def _statistics(network: nn.Module) -> list[Tensor]:
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    running = [tensor for norm in norms for tensor in (norm.running_mean, norm.running_var) if tensor is not None]
    return running + [parameter.data for parameter in network.parameters() if not parameter.requires_grad]


def _require_compiler(device: torch.device) -> None:
    """Raise ParamsError if torch.compile finds no C++ compiler for CPU code; for GPUs it brings its own."""
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise ParamsError(f"train.compile: true, but there is no C++ compiler, {compiler}; install one or set it to false")
