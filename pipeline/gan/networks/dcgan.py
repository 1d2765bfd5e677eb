"""DCGAN; Radford et al. 2016, with the class as an additional input."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.gan.grid import coarsest_grid
from pipeline.gan.networks.convolution import Conv2d
from pipeline.gan.networks.parts import (
    CONVOLUTIONS,
    SLOPE,
    ConditionEmbedding,
    Entries,
    Generator,
    PictureShape,
    bounded,
    channels_by_level,
    known_labels,
)


def one_hot(labels: Tensor, categories: int, like: Tensor) -> Tensor:
    """Labels (N,) as one-hot rows (N, categories); shares of categories as they are."""
    if labels.is_floating_point():
        return known_labels(labels, categories)
    return functional.one_hot(known_labels(labels, categories), categories).to(like.dtype)


class DcganGenerator(Generator):
    """Transposed 4×4 convolutions with batch norm; Radford et al. 2016, with the one-hot class appended to the latent."""

    def __init__(
        self,
        shape: PictureShape,
        categories: int,
        latent_dim: int,
        attributes: int = 0,
        *,
        width: int,
        max_width: int,
        truncation: float = 1.0,
    ) -> None:
        super().__init__(truncation)
        height, grid_width, doublings = coarsest_grid(shape.height, shape.width)
        channels = channels_by_level(width, max_width, doublings)
        self.categories = categories
        self.grid = (channels[0], height, grid_width)
        self.start = nn.Linear(latent_dim + categories, math.prod(self.grid), bias=False)
        self.start_attributes = nn.Linear(attributes, math.prod(self.grid), bias=False) if attributes else None
        self.category_entries = {"start.weight": Entries(axis=1, first=latent_dim)}
        self.attribute_entries = {"start_attributes.weight": Entries(axis=1)}
        layers: list[nn.Module] = [nn.BatchNorm2d(channels[0]), nn.ReLU()]
        for wide, narrow in pairwise(channels):
            layers += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False), nn.BatchNorm2d(narrow), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(channels[-1], shape.channels, 4, 2, 1))
        _initialise(self)

    def _start(self, latents: Tensor, labels: Tensor, attributes: Tensor | None) -> Tensor:
        start = self.start(torch.cat([self.truncate(latents), one_hot(labels, self.categories, latents)], dim=1))
        if self.start_attributes is None or attributes is None:
            return start
        return start + self.start_attributes(attributes)

    def early_layers(self, latents: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        start = self._start(latents, labels, self.complete(labels, None))
        return start, self.layers[:2](start.unflatten(1, self.grid)).flatten(1)

    def forward(self, latents: Tensor, labels: Tensor, attributes: Tensor | None = None) -> Tensor:
        start = self._start(latents[:, 0] if latents.ndim == 3 else latents, labels, attributes)
        return bounded(self.layers(start.unflatten(1, self.grid)))


class DcganDiscriminator(nn.Module):
    """Strided 4×4 convolutions with batch norm; Radford et al. 2016, with a class embedding as an additional channel."""

    def __init__(self, shape: PictureShape, categories: int, attributes: int = 0, *, width: int, max_width: int) -> None:
        super().__init__()
        height, grid_width, doublings = coarsest_grid(shape.height, shape.width)
        channels = channels_by_level(width, max_width, doublings)[::-1]
        self.class_map = ConditionEmbedding(categories, shape.height * shape.width, attributes)
        layers: list[nn.Module] = [Conv2d(shape.channels + 1, channels[0], 4, 2, 1), nn.LeakyReLU(SLOPE)]
        for narrow, wide in pairwise(channels):
            layers += [Conv2d(narrow, wide, 4, 2, 1, bias=False), nn.BatchNorm2d(wide), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * height * grid_width, 1))
        _initialise(self)

    def forward(self, pictures: Tensor, labels: Tensor, attributes: Tensor | None = None) -> Tensor:
        class_map = self.class_map(labels, attributes).reshape(-1, 1, *pictures.shape[2:])
        return self.layers(torch.cat([pictures, class_map], dim=1)).squeeze(1)


def _initialise(network: nn.Module) -> None:
    """Initialise weights from a normal distribution with deviation 0.02; Radford et al. 2016, section 4."""
    for module in network.modules():
        if isinstance(module, (*CONVOLUTIONS, nn.Linear)):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, mean=1.0, std=0.02)
