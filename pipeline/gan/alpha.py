"""Pictures with alpha in training: as layers, which augmentations change, and on random grounds, where discriminators see them.

The networks' pictures are premultiplied (inference/transparency.py). A *layer* is such a picture with its alpha in [0, 1], so
that zero is transparent in every channel, and what moves or is cut out leaves nothing behind.

A discriminator's input is the layer on a random ground and, beside it, the premultiplied picture. On the ground every fault of
an edge shows: too little alpha lets the ground through, too much leaves a rim. Because the ground changes, the generator cannot
suit its edges to one. The premultiplied picture shows the garment without the noise of the grounds. Both are linear in the
picture, so gradient penalties pass through them. Real and generated pictures get grounds of one distribution, from random
numbers that are drawn on the CPU like all others of a step.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pipeline.gan.devices import to_device
from pipeline.storage.arrays import colour_channels, has_alpha

PLAIN, TWO_COLOURS = 0.5, 0.25  # shares of grounds; the rest are smooth noise
NOISE_CELLS = 4  # per side, enlarged bilinearly


def as_layer(pictures: Tensor) -> Tensor:
    """Premultiplied `pictures` NCHW as layers: the last channel from [-1, 1] to [0, 1]."""
    return torch.cat([pictures[:, :-1], (pictures[:, -1:] + 1) / 2], dim=1)


def as_pictures(layers: Tensor) -> Tensor:
    """The inverse of `as_layer`."""
    return torch.cat([layers[:, :-1], layers[:, -1:] * 2 - 1], dim=1)


def premultiply(pictures: Tensor) -> Tensor:
    """Straight `pictures` NCHW in [-1, 1] as premultiplied ones; as inference.transparency.premultiplied, on any device."""
    colour, alpha = pictures[:, :-1], pictures[:, -1:]
    return torch.cat([colour * ((alpha + 1) / 2), alpha], dim=1)


def composite(layers: Tensor, grounds: Tensor | float) -> Tensor:
    """Colours of `layers` NCHW over `grounds`, colours that broadcast to them; without alpha."""
    return layers[:, :-1] + (1 - layers[:, -1:]) * grounds


def random_grounds(shape: torch.Size, rng: torch.Generator, device: torch.device) -> Tensor:
    """Grounds in [-1, 1] of the `shape` (N, C, H, W): one colour, two colours on either side of a line, or smooth noise."""
    count, channels, height, width = shape
    # Only what is random comes from the CPU; whole grounds would be a hundred times as much to send.
    kind, angle, offset = (to_device(torch.rand(count, 1, 1, 1, generator=rng), device) for _ in range(3))
    first, second = (to_device(torch.rand(count, channels, 1, 1, generator=rng) * 2 - 1, device) for _ in range(2))
    cells = to_device(torch.rand(count, channels, NOISE_CELLS, NOISE_CELLS, generator=rng) * 2 - 1, device)
    down, across = (torch.linspace(-0.5, 0.5, side, device=device) for side in (height, width))
    turned = down[:, None] * (2 * math.pi * angle).sin() + across * (2 * math.pi * angle).cos()
    two_colours = torch.where(turned > offset - 0.5, first, second)
    noise = interpolate(cells, (height, width), mode="bilinear")
    return torch.where(kind < PLAIN, first, torch.where(kind < PLAIN + TWO_COLOURS, two_colours, noise))


def seen_channels(channels: int) -> int:
    """Channels of a discriminator's input for pictures with `channels`."""
    return channels + colour_channels(channels) if has_alpha(channels) else channels


def on_random_grounds(layers: Tensor, rng: torch.Generator) -> Tensor:
    """Colours of `layers` NCHW on random grounds, without alpha."""
    return composite(layers, random_grounds(layers[:, :-1].shape, rng, layers.device))


def as_seen(layers: Tensor, rng: torch.Generator) -> Tensor:
    """`layers` as a discriminator's input (N, seen_channels, H, W): on random grounds, and premultiplied."""
    return torch.cat([on_random_grounds(layers, rng), as_pictures(layers)], dim=1)
