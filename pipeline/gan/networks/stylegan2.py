"""StyleGAN2, written from Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN"; its equation numbers.

Weights are stored with unit variance and scaled by their fan-in at run time, so that all layers learn at the same rate;
Karras et al. 2018 (progressive growing), section 4.1.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.gan.devices import device_generator, to_device
from pipeline.gan.grid import coarsest_grid
from pipeline.gan.networks.convolution import conv2d, conv_transpose2d
from pipeline.gan.networks.parts import (
    SLOPE,
    ConditionEmbedding,
    Entries,
    Generator,
    PictureShape,
    RandomInputs,
    bounded,
    channels_by_level,
    minibatch_deviation,
    rows_of,
)
from pipeline.gan.networks.resampling import Blur, Resampled, doubling
from pipeline.storage.arrays import has_alpha

MAPPING_RATE = 0.01  # learning rate multiplier of the mapping layers; Karras et al. 2019 (StyleGAN), appendix C
MEAN_DECAY = 0.995  # per image, of the moving mean of a category's styles
SMALL = 1e-8
# Preserves the variance through a leaky ReLU. It commutes with the ReLU, so for large maps it is folded into the weights and
# biases of the layer before.
GAIN = math.sqrt(2)


def scaled_leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU that preserves the variance of its input."""
    return leaky_relu(x) * GAIN


def leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU of an input already multiplied by GAIN."""
    return functional.leaky_relu(x, SLOPE)


def normalize_second_moment(x: Tensor) -> Tensor:
    """Rows (N, D) with mean square 1; Karras et al. 2018, section 4.2. Rows of zeros stay."""
    # clamp, not + SMALL: ONNX's optimiser drops so small a term, and a row of zeros would become NaN.
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True).clamp(min=SMALL))


class ScaledLinear(nn.Module):
    """x W / √fan-in + b, both learning at `rate` times the optimiser's rate."""

    def __init__(self, entering: int, leaving: int, *, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(leaving, entering) / rate)
        self.bias = nn.Parameter(torch.full((leaving,), bias / rate))
        self.scale, self.rate = rate / math.sqrt(entering), rate

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight * self.scale, self.bias * self.rate)


class ScaledConv(nn.Module):
    """gain · (convolution with W / √fan-in + b) that keeps the side, or halves it after a low-pass filter."""

    def __init__(
        self,
        entering: int,
        leaving: int,
        kernel: int,
        *,
        gain: float,
        down_from: tuple[int, int] | None = None,
        bias: bool = True,
    ) -> None:
        """`down_from` is the input size, if the convolution halves it."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(leaving, entering, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(leaving)) if bias else None
        self.scale, self.gain = gain / math.sqrt(entering * kernel**2), gain
        # A 1×1 kernel sees only the positions that are kept, so the blur itself can be strided.
        early, self.stride = (1, 1) if down_from is None else (2, 1) if kernel == 1 else (1, 2)
        self.blur = None if down_from is None else Blur(down_from, kernel + 1, stride=early)
        self.padding = kernel // 2 if down_from is None else 0

    def forward(self, x: Tensor) -> Tensor:
        if self.blur is not None:
            x = self.blur(x)
        bias = None if self.bias is None else self.bias * self.gain
        return conv2d(x, self.weight * self.scale, bias, stride=self.stride, padding=self.padding)


class ModulatedConv(nn.Module):
    """Convolution whose weights a style scales, equation 1: w'_ijk = s_i w_ijk; equation 3 restores unit variance:
    w''_ijk = w'_ijk / √(Σ_ik w'²_ijk + ε).

    Computed in the equivalent form of section 2.2: s scales the input, and 1/√… (`demodulation`) the output, so that a batch of
    styles is one plain convolution.
    """

    def __init__(
        self, entering: int, leaving: int, kernel: int, style_dim: int, *, up_to: tuple[int, int] | None = None
    ) -> None:
        """`up_to` is the output size, if the convolution doubles it."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(leaving, entering, kernel, kernel))
        self.affine = ScaledLinear(style_dim, entering, bias=1.0)
        self.scale = 1 / math.sqrt(entering * kernel**2)
        self.padding = kernel // 2
        # The transposed convolution fills one of four positions, hence the gain, and its result is one position larger.
        self.blur = None if up_to is None else Blur((up_to[0] + 1, up_to[1] + 1), 2, gain=4.0)

    def forward(self, x: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        """Maps of equation 1, not demodulated, and the scales s (N, entering)."""
        scales = self.affine(style).float()
        weight = self.weight * self.scale
        x = x * scales[:, :, None, None].to(x.dtype)
        if self.blur is not None:
            return self.blur(conv_transpose2d(x, weight.transpose(0, 1), stride=2)), scales
        return conv2d(x, weight, padding=self.padding), scales

    def demodulation(self, scales: Tensor) -> Tensor:
        """Factors (N, leaving) that demodulate maps computed with `scales`."""
        with torch.autocast(scales.device.type, enabled=False):  # sums of squares need more than 8 bits of mantissa
            squares = (self.weight * self.scale).square().sum(dim=(2, 3))
            return torch.rsqrt(scales.square() @ squares.T + SMALL)


class StyledLayer(nn.Module):
    """activated(modulated convolution + strength · noise + bias); figure 2 (c)."""

    def __init__(self, entering: int, leaving: int, style_dim: int, size: tuple[int, int], *, up: bool) -> None:
        super().__init__()
        self.conv = ModulatedConv(entering, leaving, 3, style_dim, up_to=size if up else None)
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(leaving))
        self.register_buffer("noise", torch.randn(1, 1, *size))  # what is drawn with when no noise is given
        self.noise: Tensor

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        x, scales = self.conv(x, style)
        lengths = (self.conv.demodulation(scales) * GAIN)[:, :, None, None].to(x.dtype)
        added = ((self.noise if noise is None else noise) * (self.strength * GAIN)).to(x.dtype)
        return leaky_relu(torch.addcmul(added, x, lengths) + (self.bias * GAIN)[:, None, None].to(x.dtype))


class ToPicture(nn.Module):
    """A 1×1 modulated convolution to the picture's channels, not demodulated."""

    def __init__(self, entering: int, channels: int, style_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(entering, channels, 1, style_dim)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        x, _ = self.conv(x, style)
        return x.float() + self.bias[:, None, None]


class Mapping(nn.Module):
    """Latent z and condition to style w (N, style_dim), a multi-layer perceptron."""

    def __init__(self, categories: int, attributes: int, latent_dim: int, style_dim: int, layers: int) -> None:
        super().__init__()
        self.embedding = ConditionEmbedding(categories, style_dim, attributes)
        sizes = [latent_dim + style_dim, *[style_dim] * layers]
        self.layers = nn.ModuleList(ScaledLinear(*size, rate=MAPPING_RATE) for size in pairwise(sizes))

    def entering(self, latents: Tensor, labels: Tensor, attributes: Tensor | None) -> Tensor:
        """Input (N, D + style_dim) of the first layer."""
        embedding = self.embedding(labels, attributes)
        return torch.cat([normalize_second_moment(latents), normalize_second_moment(embedding)], dim=1)

    def forward(self, latents: Tensor, labels: Tensor, attributes: Tensor | None) -> Tensor:
        with torch.autocast(latents.device.type, enabled=False):  # cheap, and truncation needs exact styles
            x = self.entering(latents, labels, attributes)
            for layer in self.layers:
                x = scaled_leaky_relu(layer(x))
            return x


class Stylegan2Generator(Generator):
    """Skip generator: one image per resolution, upsampled and summed; figure 7 (b).

    In `eval` mode styles are truncated towards the mean of their category, w̄ + ψ (w - w̄), Karras et al. 2019, appendix B, and
    images are clipped to [-1, 1]. Images with alpha are bounded by tanh instead.
    """

    category_entries: ClassVar = {"mean_styles": Entries(learnt=False)}

    def __init__(
        self,
        shape: PictureShape,
        categories: int,
        latent_dim: int,
        attributes: int = 0,
        *,
        width: int,
        max_width: int,
        style_dim: int,
        mapping_layers: int,
        style_mixing: float = 0.0,
        truncation: float = 1.0,
    ) -> None:
        height, grid_width, doublings = coarsest_grid(shape.height, shape.width)
        super().__init__(truncation, style_layers=2 * doublings + 2)  # one per layer, and one for the last image
        channels = channels_to_full_size(width, max_width, doublings)
        self.latent_dim, self.style_mixing = latent_dim, style_mixing
        self.mapping = Mapping(categories, attributes, latent_dim, style_dim, mapping_layers)
        # A parameter without gradient, so that the EMA includes it.
        self.mean_styles = nn.Parameter(torch.zeros(categories, style_dim), requires_grad=False)
        self.start = nn.Parameter(torch.randn(1, channels[0], height, grid_width))
        sizes = [(height << level, grid_width << level) for level in range(doublings + 1)]
        self.first = StyledLayer(channels[0], channels[0], style_dim, sizes[0], up=False)
        steps = list(zip(pairwise(channels), sizes[1:], strict=True))
        self.ups = nn.ModuleList(StyledLayer(wide, narrow, style_dim, size, up=True) for (wide, narrow), size in steps)
        self.doubled = nn.ModuleList(Resampled(doubling(height), doubling(width)) for height, width in sizes[:-1])
        self.keeps = nn.ModuleList(StyledLayer(narrow, narrow, style_dim, size, up=False) for (_, narrow), size in steps)
        self.to_picture = nn.ModuleList(ToPicture(wide, shape.channels, style_dim) for wide in channels)
        self.noise_sizes = [sizes[0], *(size for size in sizes[1:] for _ in range(2))]

    def random_inputs(self, count: int, rng: torch.Generator) -> RandomInputs:
        """Random inputs of `count` training images: latents to mix in, crossover layers, and noise."""
        other = torch.randn(count, self.latent_dim, generator=rng)
        mixed = torch.rand(count, generator=rng) < self.style_mixing
        crossovers = torch.randint(1, self.style_layers, (count,), generator=rng).where(mixed, self.style_layers)
        device = self.start.device
        device_rng = device_generator(rng, device)
        noises = tuple(torch.randn(count, 1, *size, generator=device_rng, device=device) for size in self.noise_sizes)
        return RandomInputs(to_device(other, device), to_device(crossovers, device), noises)

    def styles(
        self, latents: Tensor, labels: Tensor, attributes: Tensor | None = None, drawn: RandomInputs | None = None
    ) -> Tensor:
        """Styles of every layer (N, style_layers, style_dim): equal in all layers, or with style mixing those of another latent
        from the crossover on; Karras et al. 2019, section 3.1.
        """
        layered = latents.ndim == 3
        if layered:  # a row for each layer of each image
            latents, labels = latents.flatten(0, 1), labels.repeat_interleave(self.style_layers, dim=0)
            attributes = None if attributes is None else attributes.repeat_interleave(self.style_layers, dim=0)
        style = self.mapping(latents, labels, attributes)
        if drawn is not None and torch.is_grad_enabled():  # images generated without gradients are generated again
            self._note_mean(style.detach(), labels)
        if not self.training and self.truncation != 1:
            style = torch.lerp(rows_of(self.mean_styles, labels), style, self.truncation)
        if layered:
            return style.unflatten(0, (-1, self.style_layers))
        styles = style[:, None].expand(-1, self.style_layers, -1)
        if drawn is None or not self.style_mixing:
            return styles
        other = self.mapping(drawn.other_latents, labels, attributes)[:, None]
        layers = torch.arange(self.style_layers, device=style.device)
        return torch.where((layers >= drawn.crossovers[:, None])[:, :, None], other, styles)

    def early_layers(self, latents: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        entered = self.mapping.layers[0](self.mapping.entering(latents, labels, self.complete(labels, None)))
        return entered, scaled_leaky_relu(entered)

    @torch.no_grad()
    def _note_mean(self, styles: Tensor, labels: Tensor) -> None:
        members = functional.one_hot(labels, len(self.mean_styles)).to(styles.dtype)  # (N, categories)
        counts = members.sum(dim=0)[:, None]
        means = members.T @ styles / counts.clamp(min=1)
        self.mean_styles.add_((means - self.mean_styles) * (1 - MEAN_DECAY**counts))

    def pictures(self, styles: Tensor, noises: Sequence[Tensor] = ()) -> Tensor:
        """Images NCHW from `styles` (N, style_layers, style_dim), with the layers' fixed noise if `noises` is empty."""
        noise: list[Tensor | None] = [*noises] or [None] * len(self.noise_sizes)
        x = self.first(self.start.expand(len(styles), -1, -1, -1), styles[:, 0], noise[0])
        drawn = self.to_picture[0](x, styles[:, 1])
        levels = zip(self.ups, self.keeps, self.doubled, self.to_picture[1:], strict=True)
        for level, (up, keep, doubled, to_picture) in enumerate(levels):
            x = up(x, styles[:, 2 * level + 1], noise[2 * level + 1])
            x = keep(x, styles[:, 2 * level + 2], noise[2 * level + 2])
            drawn = doubled(drawn) + to_picture(x, styles[:, 2 * level + 3])
        return bounded(drawn) if has_alpha(drawn.shape[1]) else drawn

    def images_and_styles(
        self, latents: Tensor, labels: Tensor, attributes: Tensor | None, drawn: RandomInputs | None
    ) -> tuple[Tensor, Tensor]:
        """Images NCHW and their styles (N, style_layers, style_dim)."""
        styles = self.styles(latents, labels, attributes, drawn)
        return self.pictures(styles, drawn.noises if drawn is not None else ()), styles

    def forward(
        self, latents: Tensor, labels: Tensor, attributes: Tensor | None = None, drawn: RandomInputs | None = None
    ) -> Tensor:
        pictures, _ = self.images_and_styles(latents, labels, attributes, drawn)
        return pictures if self.training else pictures.clamp(-1, 1)


def channels_to_full_size(width: int, max_width: int, doublings: int) -> list[int]:
    """Channels from the coarsest map to the full image size: `width` at half the side, half of that at the full size."""
    return [*channels_by_level(width, max_width, doublings), max(width // 2, 1)]


class DownBlock(nn.Module):
    """Two 3×3 convolutions, the second strided, plus a 1×1 skip, divided by √2; figure 7 (c)."""

    def __init__(self, entering: int, leaving: int, size: tuple[int, int]) -> None:
        """`size` is the input size."""
        super().__init__()
        self.keep = ScaledConv(entering, entering, 3, gain=GAIN)
        self.down = ScaledConv(entering, leaving, 3, down_from=size, gain=GAIN / math.sqrt(2))
        self.skip = ScaledConv(entering, leaving, 1, down_from=size, gain=1 / math.sqrt(2), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return leaky_relu(self.down(leaky_relu(self.keep(x)))) + self.skip(x)


class Stylegan2Discriminator(nn.Module):
    """Residual blocks, minibatch deviation as an additional map, a convolution, a hidden layer, and a projected condition.

    The score is linear in the hidden layer h: w·h + e·h / √dim; Miyato & Koyama 2018, equation 3.
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
        channels = channels_to_full_size(width, max_width, doublings)[::-1]
        last = channels[-1]
        self.stddev_group = stddev_group
        self.enter = ScaledConv(shape.channels, channels[0], 1, gain=GAIN)
        sizes = [(height << level, grid_width << level) for level in range(doublings, 0, -1)]
        steps = zip(pairwise(channels), sizes, strict=True)
        self.downs = nn.ModuleList(DownBlock(narrow, wide, size) for (narrow, wide), size in steps)
        self.last = ScaledConv(last + (1 if stddev_group else 0), last, 3, gain=GAIN)
        self.hidden = ScaledLinear(last * height * grid_width, last)
        self.score = ScaledLinear(last, 1)
        self.embedding = ConditionEmbedding(categories, last, attributes)

    def forward(self, pictures: Tensor, labels: Tensor, attributes: Tensor | None = None) -> Tensor:
        x = leaky_relu(self.enter(pictures))
        for down in self.downs:
            x = down(x)
        if self.stddev_group:
            deviation = minibatch_deviation(x.permute(0, 2, 3, 1), self.stddev_group).mean(dim=1)  # (N,)
            x = torch.cat([x, deviation.to(x.dtype)[:, None, None, None].expand(-1, 1, *x.shape[2:])], dim=1)
        x = leaky_relu(self.last(x))
        hidden = scaled_leaky_relu(self.hidden(x.flatten(1))).float()  # (N, last)
        condition = self.embedding(labels, attributes)
        return self.score(hidden).float().squeeze(1) + (condition * hidden).sum(dim=1) / math.sqrt(hidden.shape[1])
