"""A residual GAN: conditional batch norm, strided convolutions, doubled sides, and a projection discriminator."""

import math
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.gan.grid import coarsest_grid
from pipeline.gan.networks.convolution import Conv2d
from pipeline.gan.networks.parts import (
    CONVOLUTIONS,
    SLOPE,
    ConditionEmbedding,
    Generator,
    PictureShape,
    bounded,
    channels_by_level,
    minibatch_deviation,
)
from pipeline.gan.networks.resampling import Resampled, doubling

EMBEDDING_DIM = 64
HIDDEN_DIM = 256


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose gain and bias are linear in a condition; de Vries et al. 2017, equation 4."""

    def __init__(self, channels: int, condition_dim: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.affine = nn.Linear(condition_dim, 2 * channels)

    def initialise(self) -> None:
        """Start close to plain batch norm."""
        nn.init.normal_(self.affine.weight, std=0.02)
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, bias = self.affine(condition)[:, :, None, None].chunk(2, dim=1)  # (N, C, 1, 1) each
        return torch.addcmul(bias, self.norm(x), 1 + gain)


Upsampling = Literal["transposed", "bilinear"]
Side = tuple[int, int]  # height and width of a feature map


def doubling_layer(upsampling: Upsampling, channels: int, narrower: int, side: Side, *, last: bool) -> nn.Module:
    """Doubles the `side` of maps and narrows them from `channels`.

    A transposed 4×4 convolution has a filter for each of its four phases, which can differ: checkerboards, Odena et al. 2016,
    "Deconvolution and checkerboard artifacts". A 3×3 convolution before bilinear doubling has no phases. After the `last` one
    nothing would follow that draws details finer than two pixels, so that there another convolution does.
    """
    if upsampling == "transposed":
        return nn.ConvTranspose2d(channels, narrower, 4, stride=2, padding=1)
    between = max(narrower, channels // 2) if last else narrower
    layers = [nn.Conv2d(channels, between, 3, padding=1), Resampled(doubling(side[0]), doubling(side[1]))]
    if last:
        layers += [nn.LeakyReLU(SLOPE), nn.Conv2d(between, narrower, 3, padding=1)]
    return nn.Sequential(*layers)


class UpBlock(nn.Module):
    """y = x + W ∗ relu(norm(x)) with 3×3 W, then `up`, a doubling layer, of relu(norm(y))."""

    def __init__(self, channels: int, up: nn.Module, condition_dim: int) -> None:
        super().__init__()
        self.first_norm = ConditionalBatchNorm(channels, condition_dim)
        self.residual = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = ConditionalBatchNorm(channels, condition_dim)
        self.up = up

    def forward(self, x: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Conditions (N, E) of the two norms."""
        x = x + self.residual(functional.relu(self.first_norm(x, first)))
        return self.up(functional.relu(self.second_norm(x, second)))


class ResnetGenerator(Generator):
    """A linear layer to the coarsest map, then one UpBlock per doubling; latent and class condition every norm."""

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
        upsampling: Upsampling = "transposed",
    ) -> None:
        height, grid_width, doublings = coarsest_grid(shape.height, shape.width)
        super().__init__(truncation, style_layers=1 + 2 * doublings)  # the start, and two norms in each block
        channels = channels_by_level(width, max_width, doublings)
        condition_dim = latent_dim + EMBEDDING_DIM
        self.grid = (height, grid_width, channels[0])
        self.embedding = ConditionEmbedding(categories, EMBEDDING_DIM, attributes)
        self.start = nn.Linear(condition_dim, math.prod(self.grid))
        widths = list(pairwise([*channels, shape.channels]))
        self.blocks = nn.ModuleList()
        for level, (wide, narrow) in enumerate(widths):
            side = (height << level, grid_width << level)
            up = doubling_layer(upsampling, wide, narrow, side, last=level == len(widths) - 1)
            self.blocks.append(UpBlock(wide, up, condition_dim))
        _initialise_orthogonal(self)
        for module in self.modules():
            if isinstance(module, ConditionalBatchNorm):
                module.initialise()

    def forward(self, latents: Tensor, labels: Tensor, attributes: Tensor | None = None) -> Tensor:
        latents, embedding = self.truncate(latents), self.embedding(labels, attributes)
        if latents.ndim == 3:
            conditions = [torch.cat([latent, embedding], dim=1) for latent in latents.unbind(1)]
        else:
            conditions = [torch.cat([latents, embedding], dim=1)] * self.style_layers  # (N, D + EMBEDDING_DIM) each
        x = self._first_map(conditions[0])
        for block, first, second in zip(self.blocks, conditions[1::2], conditions[2::2], strict=True):
            x = block(x, first, second)
        return bounded(x)

    def _first_map(self, condition: Tensor) -> Tensor:
        return self.start(condition).unflatten(1, self.grid).permute(0, 3, 1, 2)  # channels last in memory

    def early_layers(self, latents: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        condition = torch.cat([self.truncate(latents), self.embedding(labels, self.complete(labels, None))], dim=1)
        norms = [module for module in self.modules() if isinstance(module, ConditionalBatchNorm)]
        entered = torch.cat([self.start(condition), *(norm.affine(condition) for norm in norms)], dim=1)
        return entered, functional.relu(norms[0](self._first_map(condition), condition)).flatten(1)


class ResnetDiscriminator(nn.Module):
    """Strided 4×4 convolutions, a residual 3×3 after each, minibatch deviation, a hidden layer, and a projected class.

    The score is linear in the hidden layer h: w·h + e(label)·h; Miyato & Koyama 2018, equation 3.
    """

    def __init__(
        self,
        shape: PictureShape,
        categories: int,
        attributes: int = 0,
        *,
        width: int,
        max_width: int,
        stddev_group: int,
    ) -> None:
        super().__init__()
        height, grid_width, doublings = coarsest_grid(shape.height, shape.width)
        channels = channels_by_level(width, max_width, doublings)[::-1]
        entering = [shape.channels, *channels[:-1]]
        self.stddev_group = stddev_group
        self.downs = nn.ModuleList(
            Conv2d(narrow, wide, 4, stride=2, padding=1) for narrow, wide in zip(entering, channels, strict=True)
        )
        self.residuals = nn.ModuleList(Conv2d(wide, wide, 3, padding=1) for wide in channels)
        features = channels[-1] * (height * grid_width + (1 if stddev_group else 0))
        self.hidden = nn.Linear(features, HIDDEN_DIM)
        self.score = nn.Linear(HIDDEN_DIM, 1)
        self.embedding = ConditionEmbedding(categories, HIDDEN_DIM, attributes)
        _initialise_orthogonal(self)
        for table in self.embedding.parameters():
            nn.init.normal_(table, std=0.05)

    def forward(self, pictures: Tensor, labels: Tensor, attributes: Tensor | None = None) -> Tensor:
        x = pictures
        for down, residual in zip(self.downs, self.residuals, strict=True):
            x = functional.leaky_relu(down(x), SLOPE)
            x = x + functional.leaky_relu(residual(x), SLOPE)
        places = x.permute(0, 2, 3, 1)  # (N, H, W, C), the memory order, so that backward reorders nothing either
        features = places.flatten(1)
        if self.stddev_group:
            features = torch.cat([features, minibatch_deviation(places, self.stddev_group).to(features.dtype)], dim=1)
        hidden = functional.leaky_relu(self.hidden(features), SLOPE).float()  # (N, HIDDEN_DIM)
        return self.score(hidden).squeeze(1) + (self.embedding(labels, attributes) * hidden).sum(dim=1)


def _initialise_orthogonal(network: nn.Module) -> None:
    """Set orthogonal weights and zero biases in every convolution and linear layer; Saxe et al. 2014."""
    for module in network.modules():
        if isinstance(module, (*CONVOLUTIONS, nn.Linear)):
            nn.init.orthogonal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
