"""Pictures with alpha (the last of 2 or 4 channels): straight in files, premultiplied in networks, and on a plain ground.

*Straight*, uint8 (N, H, W, C), as in PNG: the garment's own colour, bled into what is transparent, so that enlarging mixes
nothing foreign into an edge. *Premultiplied*, NCHW float: colour in [-1, 1] times alpha in [0, 1], then 2 alpha - 1, so
that a tanh reaches every channel. What is transparent has colour 0, and over a ground g the picture is p + (1 - alpha) g
(Porter & Duff 1984, "Compositing digital images"): linear, without a division.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.arrays import has_alpha

Ground = Literal["white", "grey", "black"]
GROUNDS: tuple[Ground, ...] = get_args(Ground)
LEVELS: dict[Ground, int] = {"white": 255, "grey": 128, "black": 0}
FAINT = 8 / 255  # alpha below which dividing by it would amplify rounding: colour then comes from the pixels around


def unit_level(ground: Ground) -> float:
    """The colour of `ground` in the networks' range, [-1, 1]."""
    return LEVELS[ground] / 127.5 - 1


def premultiplied(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Straight `images` (N, H, W, 2 or 4) as premultiplied pictures NCHW float32 in [-1, 1]."""
    unit = (images.astype(np.float32) / np.float32(127.5) - 1).transpose(0, 3, 1, 2)
    return np.concatenate([unit[:, :-1] * ((unit[:, -1:] + 1) / 2), unit[:, -1:]], axis=1)


def straight(pictures: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Premultiplied `pictures` NCHW as straight uint8 (N, H, W, 2 or 4), rounded.

    The only conversion from what a generator draws to what a file holds. It inverts `premultiplied` where alpha is FAINT or
    more; below, colour fades into that of the garment nearby.
    """
    alpha = ((pictures[:, -1:] + 1) / 2).clip(0, 1)
    colour = _unmultiplied(pictures[:, :-1], alpha)
    unit = np.concatenate([(colour + 1) * 127.5, alpha * 255], axis=1)
    return np.clip(np.rint(unit), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def _unmultiplied(colour: NDArray[np.float32], alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """`colour` (N, C, H, W) divided by `alpha` (N, 1, H, W), and what is faint filled from coarser averages.

    The pull-push pyramid of Gortler et al. 1996, "The lumigraph", section 3.4.
    """
    height, width = alpha.shape[2:]
    if height % 2 or width % 2:
        beyond = colour.mean((2, 3), keepdims=True) / alpha.mean((2, 3), keepdims=True).clip(FAINT)
    else:
        coarser = _unmultiplied(_halved(colour), _halved(alpha))
        beyond = coarser.repeat(2, axis=2).repeat(2, axis=3)
    return colour / alpha.clip(FAINT) + (1 - (alpha / np.float32(FAINT)).clip(0, 1)) * beyond


def _halved(values: NDArray[np.float32]) -> NDArray[np.float32]:
    upper, lower = values[..., ::2, :], values[..., 1::2, :]
    return (upper[..., ::2] + upper[..., 1::2] + lower[..., ::2] + lower[..., 1::2]) * np.float32(0.25)


def with_bled_colour(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Straight `images` (N, H, W, 2 or 4) whose colour is bled into what is transparent."""
    return straight(premultiplied(images))


def on_ground(images: NDArray[np.uint8], ground: Ground) -> NDArray[np.uint8]:
    """`images` (N, H, W, C) on a plain ground, without alpha; images that have none are returned as they are."""
    if not has_alpha(images.shape[-1]):
        return images
    return on_level(images, np.full(1, LEVELS[ground], np.uint8))


def on_level(images: NDArray[np.uint8], ground: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Straight `images` (..., H, W, 2 or 4) on `ground`, colours that broadcast to them, rounded to the nearest level."""
    alpha = images[..., -1:].astype(np.uint32)
    return ((images[..., :-1] * alpha + ground * (255 - alpha) + 127) // 255).astype(np.uint8)
