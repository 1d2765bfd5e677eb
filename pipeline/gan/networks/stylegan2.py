"""StyleGAN2, written from Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN"; equations are its own.

Every weight is stored with deviation 1 and scaled by its fan-in when it is used, so that Adam moves all layers at one rate;
Karras et al. 2018 (progressive growing), section 4.1.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.gan.devices import device_generator, to_device
from pipeline.gan.grid import coarsest_grid
from pipeline.gan.networks.convolution import conv2d, conv_transpose2d
from pipeline.gan.networks.parts import (
    SLOPE,
    ConditionEmbedding,
    Generator,
    PictureShape,
    RandomInputs,
    channels_by_level,
    known_labels,
    minibatch_deviation,
)

MAPPING_RATE = 0.01  # of the mapping's layers; Karras et al. 2019 (StyleGAN), appendix C
MEAN_DECAY = 0.995  # of the moving mean of a category's styles, a picture
SMALL = 1e-8
# What keeps the deviation through a leaky rectifier. Before it or after is the same: where maps are large it is multiplied into
# the weights and biases before, which are small.
GAIN = math.sqrt(2)
TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8  # of the low-pass filter


def scaled_leaky_relu(x: Tensor) -> Tensor:
    """Leaky rectifier that keeps the deviation of what comes in."""
    return rectified(x) * GAIN


def rectified(x: Tensor) -> Tensor:
    """Leaky rectifier of what was multiplied by GAIN before."""
    return functional.leaky_relu(x, SLOPE)


def normalize_second_moment(x: Tensor) -> Tensor:
    """Rows (N, D) with mean square 1; Karras et al. 2018, section 4.2. Rows of zeros stay."""
    # Not + SMALL: ONNX's optimiser takes so small a term for none, and then a row of zeros is not a number.
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True).clamp(min=SMALL))


class ScaledLinear(nn.Module):
    """x W / √fan-in + b, both learnt at `rate` times the optimiser's rate."""

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
        """`down_from` is the size of what comes in, where it is halved."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(leaving, entering, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(leaving)) if bias else None
        self.scale, self.gain = gain / math.sqrt(entering * kernel**2), gain
        # A kernel of one place looks at no others than those that stay.
        early, self.stride = (1, 1) if down_from is None else (2, 1) if kernel == 1 else (1, 2)
        self.blur = None if down_from is None else Blur(down_from, kernel + 1, stride=early)
        self.padding = kernel // 2 if down_from is None else 0

    def forward(self, x: Tensor) -> Tensor:
        if self.blur is not None:
            x = self.blur(x)
        bias = None if self.bias is None else self.bias * self.gain
        return conv2d(x, self.weight * self.scale, bias, stride=self.stride, padding=self.padding)


class Resampled(nn.Module):
    """Maps or pictures (N, C, H, W) multiplied by a matrix along each side: `rows` (H', H) and `columns` (W', W).

    Not torch's own resampling, whose backward pass is not deterministic on a GPU.
    """

    def __init__(self, rows: Tensor, columns: Tensor) -> None:
        super().__init__()
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns, persistent=False)
        self.rows: Tensor
        self.columns: Tensor

    def forward(self, x: Tensor) -> Tensor:
        count, channels, height, width = x.shape
        rows, columns = self.rows.to(x.dtype), self.columns.to(x.dtype)
        with torch.autocast(x.device.type, enabled=False):
            x = x.permute(0, 2, 3, 1).reshape(count, height, width * channels)  # as it lies in memory, channels last
            x = torch.bmm(rows.expand(count, -1, -1), x).view(count * len(rows), width, channels)
            x = torch.bmm(columns.expand(len(x), -1, -1), x)
        return x.view(count, len(rows), len(columns), channels).permute(0, 3, 1, 2)


class Blur(Resampled):
    """The filter [1, 3, 3, 1] / 8 along both sides at every `stride`-th place, with `padding` zeros along a side in all; Zhang
    2019, with StyleGAN2's taps.

    In training a product with matrices: on an H100 cuDNN takes thirty times as long for a convolution of every channel for
    itself, and on a CPU, too, it takes longer to be differentiated. To draw with on a CPU, and in exported graphs, it is one.
    """

    def __init__(self, size: tuple[int, int], padding: int, *, gain: float = 1.0, stride: int = 1) -> None:
        before = padding // 2
        super().__init__(*(math.sqrt(gain) * blurring(side, before, padding - before, stride) for side in size))
        self.register_buffer("kernel", torch.outer(TAPS, TAPS)[None, None] * gain, persistent=False)
        self.kernel: Tensor
        self.padding, self.stride = (before, padding - before) * 2, stride

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda or torch.is_grad_enabled():
            return super().forward(x)
        channels = x.shape[1]
        kernel = self.kernel.to(x.dtype).expand(channels, 1, -1, -1)
        return functional.conv2d(functional.pad(x, self.padding), kernel, stride=self.stride, groups=channels)


def blurring(side: int, before: int, after: int, stride: int) -> Tensor:
    """The matrix that filters a side by TAPS at every `stride`-th place, with so many zeros around it."""
    padded = functional.pad(torch.eye(side), (before, after))[:, None]  # (side, 1, before + side + after)
    return functional.conv1d(padded, TAPS[None, None], stride=stride)[:, 0].T.contiguous()


def doubling(side: int) -> Tensor:
    """The matrix (2 · side, side) of [1, 3, 3, 1] / 4 between the places of a side, the edge repeated: bilinear."""
    return functional.interpolate(torch.eye(side)[None], scale_factor=2, mode="linear")[0].T.contiguous()


class ModulatedConv(nn.Module):
    """Convolution whose weights a style scales, equation 1: w'_ijk = s_i w_ijk; equation 3 sets them back to unit deviation:
    w''_ijk = w'_ijk / √(Σ_ik w'²_ijk + ε).

    Computed as section 2.2 shows it to be equal: s scales what comes in, and 1/√…, `demodulation`, what goes out, so that a
    batch of styles is one plain convolution.
    """

    def __init__(
        self, entering: int, leaving: int, kernel: int, style_dim: int, *, up_to: tuple[int, int] | None = None
    ) -> None:
        """`up_to` is the size of what goes out, where what comes in is doubled first."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(leaving, entering, kernel, kernel))
        self.affine = ScaledLinear(style_dim, entering, bias=1.0)
        self.scale = 1 / math.sqrt(entering * kernel**2)
        self.padding = kernel // 2
        # A transposed convolution leaves three of four places empty, and its result is a place larger.
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
        """What maps drawn with `scales` are multiplied by (N, leaving)."""
        with torch.autocast(scales.device.type, enabled=False):  # squares of many numbers are no matter for 8 bits
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
        return rectified(torch.addcmul(added, x, lengths) + (self.bias * GAIN)[:, None, None].to(x.dtype))


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

    def forward(self, latents: Tensor, labels: Tensor, attributes: Tensor | None) -> Tensor:
        with torch.autocast(latents.device.type, enabled=False):  # a few rows: nothing to win, and truncation wants them exact
            x = torch.cat(
                [normalize_second_moment(latents), normalize_second_moment(self.embedding(labels, attributes))], dim=1
            )
            for layer in self.layers:
                x = scaled_leaky_relu(layer(x))
            return x


class Stylegan2Generator(Generator):
    """Styles into a skip generator: at every size a picture, all of them added up; figure 7 (b).

    Outside training styles are pulled towards the mean of their category, w̄ + ψ (w - w̄), Karras et al. 2019, appendix B, and
    the pictures are clipped to [-1, 1].
    """

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
        super().__init__(truncation)
        height, grid_width, doublings = coarsest_grid(shape.height, shape.width)
        channels = channels_to_full_size(width, max_width, doublings)
        self.latent_dim, self.style_mixing = latent_dim, style_mixing
        self.mapping = Mapping(categories, attributes, latent_dim, style_dim, mapping_layers)
        # A parameter without a gradient: so the moving average of the weights takes it along.
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
        self.style_count = len(self.noise_sizes) + 1  # a layer each, and one for the last picture

    def random_inputs(self, count: int, random: torch.Generator) -> RandomInputs:
        """What `count` pictures want in training beside latents: other latents to mix in, where they begin, and noise."""
        other = torch.randn(count, self.latent_dim, generator=random)
        mixed = torch.rand(count, generator=random) < self.style_mixing
        crossovers = torch.randint(1, self.style_count, (count,), generator=random).where(mixed, self.style_count)
        device = self.start.device
        there = device_generator(random, device)
        noises = tuple(torch.randn(count, 1, *size, generator=there, device=device) for size in self.noise_sizes)
        return RandomInputs(to_device(other, device), to_device(crossovers, device), noises)

    def styles(
        self, latents: Tensor, labels: Tensor, attributes: Tensor | None = None, drawn: RandomInputs | None = None
    ) -> Tensor:
        """Styles of every layer (N, style_count, style_dim): all alike, or from the drawn crossover on those of another latent
        (style mixing; Karras et al. 2019, section 3.1).
        """
        style = self.mapping(latents, labels, attributes)
        if drawn is not None and torch.is_grad_enabled():  # pictures drawn for the discriminator alone come again
            self._note_mean(style.detach(), labels)
        if not self.training and self.truncation != 1:
            style = torch.lerp(self.mean_styles[known_labels(labels, len(self.mean_styles))], style, self.truncation)
        styles = style[:, None].expand(-1, self.style_count, -1)
        if drawn is None or not self.style_mixing:
            return styles
        other = self.mapping(drawn.other_latents, labels, attributes)[:, None]
        layers = torch.arange(self.style_count, device=style.device)
        return torch.where((layers >= drawn.crossovers[:, None])[:, :, None], other, styles)

    @torch.no_grad()
    def _note_mean(self, styles: Tensor, labels: Tensor) -> None:
        members = functional.one_hot(labels, len(self.mean_styles)).to(styles.dtype)  # (N, categories)
        counts = members.sum(dim=0)[:, None]
        means = members.T @ styles / counts.clamp(min=1)
        self.mean_styles.add_((means - self.mean_styles) * (1 - MEAN_DECAY**counts))

    def pictures(self, styles: Tensor, noises: Sequence[Tensor] = ()) -> Tensor:
        """Pictures NCHW of `styles` (N, style_count, style_dim), with the layers' own fixed noise where none is given."""
        noise: list[Tensor | None] = [*noises] or [None] * len(self.noise_sizes)
        x = self.first(self.start.expand(len(styles), -1, -1, -1), styles[:, 0], noise[0])
        drawn = self.to_picture[0](x, styles[:, 1])
        levels = zip(self.ups, self.keeps, self.doubled, self.to_picture[1:], strict=True)
        for level, (up, keep, doubled, to_picture) in enumerate(levels):
            x = up(x, styles[:, 2 * level + 1], noise[2 * level + 1])
            x = keep(x, styles[:, 2 * level + 2], noise[2 * level + 2])
            drawn = doubled(drawn) + to_picture(x, styles[:, 2 * level + 3])
        return drawn

    def images_and_styles(
        self, latents: Tensor, labels: Tensor, attributes: Tensor | None, drawn: RandomInputs | None
    ) -> tuple[Tensor, Tensor]:
        """Pictures NCHW and the styles (N, style_count, style_dim) they were drawn from, as in training."""
        styles = self.styles(latents, labels, attributes, drawn)
        return self.pictures(styles, drawn.noises if drawn is not None else ()), styles

    def forward(
        self, latents: Tensor, labels: Tensor, attributes: Tensor | None = None, drawn: RandomInputs | None = None
    ) -> Tensor:
        pictures, _ = self.images_and_styles(latents, labels, attributes, drawn)
        return pictures if self.training else pictures.clamp(-1, 1)


def channels_to_full_size(width: int, max_width: int, doublings: int) -> list[int]:
    """Channels from the coarsest map to the picture's own size: `width` at half its side, half of that at the last."""
    return [*channels_by_level(width, max_width, doublings), max(width // 2, 1)]


class DownBlock(nn.Module):
    """Two 3×3 convolutions, the second to half the side, beside a 1×1 one, the sum over √2; figure 7 (c)."""

    def __init__(self, entering: int, leaving: int, size: tuple[int, int]) -> None:
        """`size` is that of what comes in."""
        super().__init__()
        self.keep = ScaledConv(entering, entering, 3, gain=GAIN)
        self.down = ScaledConv(entering, leaving, 3, down_from=size, gain=GAIN / math.sqrt(2))
        self.skip = ScaledConv(entering, leaving, 1, down_from=size, gain=1 / math.sqrt(2), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return rectified(self.down(rectified(self.keep(x)))) + self.skip(x)


class Stylegan2Discriminator(nn.Module):
    """Residual blocks, minibatch deviation as one more map, a convolution, a hidden layer, and a projected condition.

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
        x = rectified(self.enter(pictures))
        for down in self.downs:
            x = down(x)
        if self.stddev_group:
            deviation = minibatch_deviation(x.permute(0, 2, 3, 1), self.stddev_group).mean(dim=1)  # (N,)
            x = torch.cat([x, deviation.to(x.dtype)[:, None, None, None].expand(-1, 1, *x.shape[2:])], dim=1)
        x = rectified(self.last(x))
        hidden = scaled_leaky_relu(self.hidden(x.flatten(1))).float()  # (N, last)
        condition = self.embedding(labels, attributes)
        return self.score(hidden).float().squeeze(1) + (condition * hidden).sum(dim=1) / math.sqrt(hidden.shape[1])
