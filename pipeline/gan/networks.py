"""Generators and discriminators, by name; each is built from its arguments and the shape of the pictures.

A generator maps latents (N, D) and labels (N,) to pictures, NCHW float in [-1, 1]. A discriminator maps pictures and labels to
scores (N,), higher for more real. Unconditional is one category.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import TrainingError

EMBEDDING_DIM = 64
HIDDEN_DIM = 256
SLOPE = 0.2  # of the leaky rectifiers


@dataclass(frozen=True)
class PictureShape:
    """What a generator draws."""

    height: int
    width: int
    channels: int


def coarsest_grid(height: int, width: int) -> tuple[int, int, int]:
    """Height and width of the coarsest feature map, its shorter side 4 to 7, and the doublings from there to the picture.

    Raises TrainingError when the sides are not the coarsest ones times the same power of two.
    """
    doublings = max(1, int(math.log2(max(min(height, width), 1) / 4))) if min(height, width) >= 4 else 1
    step = 2**doublings
    if min(height, width) < 8 or height % step or width % step:
        raise TrainingError(
            f"pictures of {height}×{width} cannot be drawn: set augment.height and width to multiples of {step}"
        )
    return height // step, width // step, doublings


def channels_by_level(width: int, max_width: int, doublings: int) -> list[int]:
    """Channels of the feature maps, from the coarsest to half the picture's side; they halve as the side doubles."""
    return [min(max_width, width * 2**level) for level in reversed(range(doublings))]


def one_hot(labels: Tensor, categories: int, like: Tensor) -> Tensor:
    """Labels (N,) as rows (N, categories) of zeros and a one."""
    return functional.one_hot(labels, categories).to(like.dtype)


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose gain and bias are linear in a condition; de Vries et al. 2017, equation 4."""

    def __init__(self, channels: int, condition_dim: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.affine = nn.Linear(condition_dim, 2 * channels)

    def start_neutral(self) -> None:
        """Begin close to plain batch norm."""
        nn.init.normal_(self.affine.weight, std=0.02)
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, bias = self.affine(condition)[:, :, None, None].chunk(2, dim=1)  # (N, C, 1, 1) each
        return torch.addcmul(bias, self.norm(x), 1 + gain)


class UpBlock(nn.Module):
    """y = x + W ∗ relu(norm(x)) with 3×3 W, then twice the side by a transposed 4×4 convolution of relu(norm(y))."""

    def __init__(self, channels: int, narrower: int, condition_dim: int) -> None:
        super().__init__()
        self.first_norm = ConditionalBatchNorm(channels, condition_dim)
        self.residual = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = ConditionalBatchNorm(channels, condition_dim)
        self.up = nn.ConvTranspose2d(channels, narrower, 4, stride=2, padding=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        x = x + self.residual(functional.relu(self.first_norm(x, condition)))
        return self.up(functional.relu(self.second_norm(x, condition)))


class Generator(nn.Module):
    """Base of the generators: outside training it takes latents pulled towards their mean, 0, by the factor `truncation`.

    Fewer unlikely pictures for fewer kinds of them; Brock et al. 2019, section 3.1, with a smaller deviation for a cut tail.
    """

    def __init__(self, truncation: float) -> None:
        super().__init__()
        self.truncation = truncation

    def pulled(self, latents: Tensor) -> Tensor:
        """`latents` as the layers see them."""
        return latents if self.training or self.truncation == 1 else latents * self.truncation


class ResnetGenerator(Generator):
    """Latent and class, linear to the coarsest map, then one UpBlock a doubling; every norm sees latent and class."""

    def __init__(
        self, shape: PictureShape, categories: int, latent_dim: int, *, width: int, max_width: int, truncation: float = 1.0
    ) -> None:
        super().__init__(truncation)
        height, grid_width, doublings = coarsest_grid(shape.height, shape.width)
        channels = channels_by_level(width, max_width, doublings)
        condition_dim = latent_dim + EMBEDDING_DIM
        self.grid = (height, grid_width, channels[0])
        self.embedding = nn.Embedding(categories, EMBEDDING_DIM)
        self.start = nn.Linear(condition_dim, math.prod(self.grid))
        self.blocks = nn.ModuleList(
            UpBlock(wide, narrow, condition_dim) for wide, narrow in pairwise([*channels, shape.channels])
        )
        _start_orthogonal(self)
        for module in self.modules():
            if isinstance(module, ConditionalBatchNorm):
                module.start_neutral()

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        condition = torch.cat([self.pulled(latents), self.embedding(labels)], dim=1)  # (N, D + EMBEDDING_DIM)
        x = self.start(condition).unflatten(1, self.grid).permute(0, 3, 1, 2)  # channels last in memory
        for block in self.blocks:
            x = block(x, condition)
        return torch.tanh(x)


def minibatch_deviation(features: Tensor, group: int) -> Tensor:
    """Standard deviation of each channel of (N, H, W, C) over `group` neighbours in the batch, averaged over places, (N, C).

    Karras et al. 2018 (progressive growing), section 3, kept apart by channel. N is a multiple of `group`.
    """
    grouped = features.float().unflatten(0, (-1, group))  # (N / group, group, H, W, C)
    centred = grouped - grouped.mean(dim=1, keepdim=True)
    deviation = (centred.square().mean(dim=1) + 1e-8).sqrt().mean(dim=(1, 2))  # var() takes five times as long
    return deviation.repeat_interleave(group, dim=0)


class ResnetDiscriminator(nn.Module):
    """Strided 4×4 convolutions, a residual 3×3 after each, minibatch deviation, a hidden layer, and a projected class.

    The score is linear in the hidden layer h: w·h + e(label)·h; Miyato & Koyama 2018, equation 3.
    """

    def __init__(self, shape: PictureShape, categories: int, *, width: int, max_width: int, stddev_group: int) -> None:
        super().__init__()
        height, grid_width, doublings = coarsest_grid(shape.height, shape.width)
        channels = channels_by_level(width, max_width, doublings)[::-1]
        entering = [shape.channels, *channels[:-1]]
        self.stddev_group = stddev_group
        self.downs = nn.ModuleList(
            nn.Conv2d(narrow, wide, 4, stride=2, padding=1) for narrow, wide in zip(entering, channels, strict=True)
        )
        self.residuals = nn.ModuleList(nn.Conv2d(wide, wide, 3, padding=1) for wide in channels)
        features = channels[-1] * (height * grid_width + (1 if stddev_group else 0))
        self.hidden = nn.Linear(features, HIDDEN_DIM)
        self.score = nn.Linear(HIDDEN_DIM, 1)
        self.embedding = nn.Embedding(categories, HIDDEN_DIM)
        _start_orthogonal(self)
        nn.init.normal_(self.embedding.weight, std=0.05)

    def forward(self, pictures: Tensor, labels: Tensor) -> Tensor:
        x = pictures
        for down, residual in zip(self.downs, self.residuals, strict=True):
            x = functional.leaky_relu(down(x), SLOPE)
            x = x + functional.leaky_relu(residual(x), SLOPE)
        places = x.permute(0, 2, 3, 1)  # (N, H, W, C), as it lies in memory: backwards, too, nothing is reordered
        features = places.flatten(1)
        if self.stddev_group:
            features = torch.cat([features, minibatch_deviation(places, self.stddev_group).to(features.dtype)], dim=1)
        hidden = functional.leaky_relu(self.hidden(features), SLOPE).float()  # (N, HIDDEN_DIM)
        return self.score(hidden).squeeze(1) + (self.embedding(labels) * hidden).sum(dim=1)


class DcganGenerator(Generator):
    """Transposed 4×4 convolutions with batch norm; Radford et al. 2016, with the class as further latent numbers."""

    def __init__(
        self, shape: PictureShape, categories: int, latent_dim: int, *, width: int, max_width: int, truncation: float = 1.0
    ) -> None:
        super().__init__(truncation)
        height, grid_width, doublings = coarsest_grid(shape.height, shape.width)
        channels = channels_by_level(width, max_width, doublings)
        self.categories = categories
        self.grid = (channels[0], height, grid_width)
        self.start = nn.Linear(latent_dim + categories, math.prod(self.grid), bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(channels[0]), nn.ReLU()]
        for wide, narrow in pairwise(channels):
            layers += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False), nn.BatchNorm2d(narrow), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(channels[-1], shape.channels, 4, 2, 1), nn.Tanh())
        _start_as_dcgan(self)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        start = self.start(torch.cat([self.pulled(latents), one_hot(labels, self.categories, latents)], dim=1))
        return self.layers(start.unflatten(1, self.grid))


class DcganDiscriminator(nn.Module):
    """Strided 4×4 convolutions with batch norm; Radford et al. 2016, with a map of the class as a further channel."""

    def __init__(self, shape: PictureShape, categories: int, *, width: int, max_width: int) -> None:
        super().__init__()
        height, grid_width, doublings = coarsest_grid(shape.height, shape.width)
        channels = channels_by_level(width, max_width, doublings)[::-1]
        self.class_map = nn.Embedding(categories, shape.height * shape.width)
        layers: list[nn.Module] = [nn.Conv2d(shape.channels + 1, channels[0], 4, 2, 1), nn.LeakyReLU(SLOPE)]
        for narrow, wide in pairwise(channels):
            layers += [nn.Conv2d(narrow, wide, 4, 2, 1, bias=False), nn.BatchNorm2d(wide), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * height * grid_width, 1))
        _start_as_dcgan(self)

    def forward(self, pictures: Tensor, labels: Tensor) -> Tensor:
        class_map = self.class_map(labels).reshape(-1, 1, *pictures.shape[2:])
        return self.layers(torch.cat([pictures, class_map], dim=1)).squeeze(1)


CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def _start_orthogonal(network: nn.Module) -> None:
    """Orthogonal weights and no bias, in every convolution and linear layer; Saxe et al. 2014."""
    for module in network.modules():
        if isinstance(module, (*CONVOLUTIONS, nn.Linear)):
            nn.init.orthogonal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _start_as_dcgan(network: nn.Module) -> None:
    """Normal weights of deviation 0.02; Radford et al. 2016, section 4."""
    for module in network.modules():
        if isinstance(module, (*CONVOLUTIONS, nn.Linear)):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, mean=1.0, std=0.02)


GENERATORS: dict[str, type[nn.Module]] = {"resnet": ResnetGenerator, "dcgan": DcganGenerator}
DISCRIMINATORS: dict[str, type[nn.Module]] = {"resnet": ResnetDiscriminator, "dcgan": DcganDiscriminator}


def build_generator(
    name: str, arguments: Mapping[str, Any], shape: PictureShape, categories: int, latent_dim: int
) -> nn.Module:
    """A generator of GENERATORS with fresh weights, drawn from torch's global random state."""
    return GENERATORS[name](shape, categories, latent_dim, **arguments)


def build_discriminator(name: str, arguments: Mapping[str, Any], shape: PictureShape, categories: int) -> nn.Module:
    """A discriminator of DISCRIMINATORS with fresh weights, drawn from torch's global random state."""
    return DISCRIMINATORS[name](shape, categories, **arguments)
