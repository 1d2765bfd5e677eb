"""Discriminator heads on a frozen pretrained network: Projected GAN.

Sauer et al. 2021, "Projected GANs Converge Faster": feature maps of several depths of a pretrained network are mixed by random,
frozen convolutions, across channels and across scales, and a small discriminator judges each mixture.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import fuse_conv_bn_eval

from pipeline.gan.networks.convolution import Conv2d
from pipeline.gan.networks.parts import SLOPE, ConditionEmbedding, minibatch_deviation
from pipeline.gan.networks.resampling import Resampled, averaging
from pipeline.imaging.efficientnet import pretrained_network

TAPPED_BLOCKS = (2, 4, 10, 15)
TAPPED_CHANNELS = (24, 40, 112, 320)  # at strides 4, 8, 16 and 32
HIDDEN_DIM = 128
MAX_CHANNELS = 128


class TappedNetwork(nn.Module):
    """EfficientNet-Lite0 with batch norm folded into its convolutions: pictures in, four feature maps out."""

    def __init__(self, side_px: int) -> None:
        super().__init__()
        network = pretrained_network(side_px)
        self.stem = fuse_conv_bn_eval(network._conv_stem, network._bn0)
        self.blocks = nn.ModuleList(network._blocks)
        for block in network._blocks:
            for convolution, norm in (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")):
                if hasattr(block, convolution):
                    setattr(block, convolution, fuse_conv_bn_eval(getattr(block, convolution), getattr(block, norm)))
                    setattr(block, norm, nn.Identity())
        for module in network.modules():
            padding = getattr(module, "static_padding", None)
            if isinstance(padding, nn.ZeroPad2d) and len(set(padding.padding)) == 1:  # a third faster without a padded copy
                module.padding, module.static_padding = padding.padding[:2], nn.Identity()

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Maps (N, C, H, W) after TAPPED_BLOCKS of `pictures` (N, 3, side, side) in [-1, 1]."""
        x = functional.relu6(self.stem(pictures))
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in TAPPED_BLOCKS:
                maps.append(x)
        return maps


class Mixing(nn.Module):
    """Random 1×1 convolutions across the channels of the taps, and 3×3 across their scales; never trained."""

    def __init__(self, channels: list[int]) -> None:
        """`channels` of the mixed maps, from fine to coarse; the coarsest tap joins the next and has as many."""
        super().__init__()
        mixed = [*channels, channels[-1]]
        self.across_channels = nn.ModuleList(
            _random_convolution(before, after, 1) for before, after in zip(TAPPED_CHANNELS, mixed, strict=True)
        )
        self.across_scales = nn.ModuleList(
            _random_convolution(coarser, finer, 3) for finer, coarser in zip(channels, mixed[1:], strict=True)
        )
        self.register_buffer("scales", torch.ones(len(channels)))
        self.scales: Tensor

    def forward(self, taps: list[Tensor]) -> list[Tensor]:
        """Mixed maps (N, C, H, W), from fine to coarse, of the `taps`, of which there is one more."""
        taps = [convolution(tap) for convolution, tap in zip(self.across_channels, taps, strict=True)]
        coarser, mixed = taps[-1], []
        for level in reversed(range(len(self.scales))):
            coarser = taps[level] + self.across_scales[level](_doubled(coarser))
            mixed.append(coarser * self.scales[level])
        return mixed[::-1]


class MixedMaps(nn.Module):
    """Three mixed maps of a picture, from fine to coarse.

    Sauer et al. 2021, section 3.2, but without the last doubling of each map's side, so that heads cost a quarter. Nothing is
    trained; every map has unit variance on the pictures of `calibrate`.
    """

    def __init__(self, height: int, width: int, side_px: int, channels: int) -> None:
        """For pictures of `height` × `width`, seen at `side_px`; the maps have 1, 2 and 4 times `channels`."""
        super().__init__()
        same = (height, width) == (side_px, side_px)
        self.resize = nn.Identity() if same else Resampled(averaging(height, side_px), averaging(width, side_px))
        self.network = TappedNetwork(side_px)
        self.channels = [channels, 2 * channels, 4 * channels]
        self.sides = [side_px // stride for stride in (4, 8, 16)]
        self.mixing = Mixing(self.channels)
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def calibrate(self, pictures: Tensor) -> None:
        """Scale each map to unit standard deviation on `pictures` (N, 1 or 3, H, W) in [-1, 1]."""
        self.mixing.scales.fill_(1)
        self.mixing.scales.copy_(torch.stack([1 / maps.std() for maps in self(pictures)]))

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Maps (N, C, H, W) of `pictures` (N, 1 or 3, H, W) in [-1, 1]."""
        return self.mixing(self.network(self.resize(pictures.expand(-1, 3, -1, -1))))


def _doubled(maps: Tensor) -> Tensor:
    """`maps` with every cell repeated 2×2; torch's own upsampling is not deterministic on a GPU."""
    count, channels, height, width = maps.shape
    return maps[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2).reshape(count, channels, 2 * height, 2 * width)


def _random_convolution(channels: int, out_channels: int, kernel_px: int) -> nn.Conv2d:
    convolution = nn.Conv2d(channels, out_channels, kernel_px, padding=kernel_px // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight)
    return convolution


class Head(nn.Module):
    """Scores one mixed map: strided convolutions down to 4×4, minibatch deviation, a hidden layer and a projected class.

    The paper's heads have spectral norm, batch norm and one score per place. These are built like the discriminator `resnet`:
    a gradient penalty and minibatch deviation keep more variety (docs/trials.md).
    """

    def __init__(self, channels: int, side: int, categories: int, attributes: int, *, stddev_group: int) -> None:
        super().__init__()
        self.stddev_group = stddev_group
        layers: list[nn.Module] = []
        while side > 4:
            wider = min(2 * channels, MAX_CHANNELS)
            layers += [Conv2d(channels, wider, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
            channels, side = wider, side // 2
        self.layers = nn.Sequential(*layers, Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(SLOPE))
        self.hidden = nn.Linear(channels * (side * side + (1 if stddev_group else 0)), HIDDEN_DIM)
        self.score = nn.Linear(HIDDEN_DIM, 1)
        self.embedding = ConditionEmbedding(categories, HIDDEN_DIM, attributes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.orthogonal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for table in self.embedding.parameters():
            nn.init.normal_(table, std=0.05)

    def forward(self, maps: Tensor, labels: Tensor, attributes: Tensor | None = None) -> Tensor:
        """Scores (N,) of `maps` (N, C, H, W)."""
        places = self.layers(maps).permute(0, 2, 3, 1)  # (N, H, W, C), the memory order
        features = places.flatten(1)
        if self.stddev_group:
            features = torch.cat([features, minibatch_deviation(places, self.stddev_group).to(features.dtype)], dim=1)
        hidden = functional.leaky_relu(self.hidden(features), SLOPE).float()
        return self.score(hidden).squeeze(1) + (self.embedding(labels, attributes) * hidden).sum(dim=1)


class Heads(nn.ModuleList):
    """One head for each mixed map."""

    def forward(self, maps: list[Tensor], labels: Tensor, attributes: Tensor | None = None) -> list[Tensor]:
        """Scores (N,) by each head."""
        return [head(one, labels, attributes).float() for head, one in zip(self, maps, strict=True)]
