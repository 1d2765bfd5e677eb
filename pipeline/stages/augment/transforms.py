"""Pictures brought into a frame, and the random changes to be made to them; images/changes.py makes them.

A frame is one training picture. Sizes are (width, height) in pixels, as in Pillow.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.imaging.resizing import border_pixels

FILTERS = {name: Image.Resampling[name.upper()] for name in ("box", "bilinear", "bicubic", "lanczos")}
Fit = Literal["pad", "crop", "stretch"]
Fill = int | tuple[int, ...]


@dataclass(frozen=True)
class Frame:
    """How pictures of any size come into one of width × height."""

    width: int
    height: int
    fit: Fit  # whole with a margin, cut to fill, or out of shape
    resize_filter: str  # a name of FILTERS; antialiased
    upscale: bool  # whether a smaller picture is enlarged, else it gets a margin
    pad_value: int | Literal["edge"]  # grey level of margins, or the median of the picture's border


@dataclass(frozen=True)
class ChangeLimits:
    """How far a random change may go."""

    rotate_degrees: float
    min_scale: float
    max_scale: float
    translate: float  # share of the side
    crop: float  # share of the side
    brightness: float  # of the factor, either way
    saturation: float
    contrast: float
    hue: float  # share of the colour circle, either way

    @property
    def any(self) -> bool:
        """Whether there is any change at all, beside flips."""
        return self != ChangeLimits(0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Change:
    """One random change of a picture."""

    degrees: float  # counter-clockwise
    scale: float  # over 1: larger
    shift_x: float  # shares of the frame's side
    shift_y: float
    mirrored: bool
    brightness: float  # factors
    saturation: float
    contrast: float
    hue: float  # share of the colour circle

    @property
    def oversize(self) -> int:
        """How many times the frame the picture is when it is moved: turning at twice the size costs no sharpness."""
        return 1 if (self.degrees, self.scale, self.shift_x, self.shift_y) == (0, 1, 0, 0) else 2


def random_change(limits: ChangeLimits, flip: bool, random: np.random.Generator) -> Change:
    """A change within `limits`. All numbers are drawn whatever is switched on, so that one limit does not move the others."""
    angle, scale, move_x, move_y, cut, cut_x, cut_y, mirror, bright, colour, steep, turn = random.random(12)
    cropped = 1 - limits.crop * cut  # share of the side that stays in view
    zoom = math.exp(math.log(limits.min_scale) + scale * math.log(limits.max_scale / limits.min_scale)) / cropped
    return Change(
        degrees=limits.rotate_degrees * (2 * angle - 1),
        scale=zoom,
        shift_x=limits.translate * (2 * move_x - 1) + (1 / cropped - 1) * (cut_x - 0.5),
        shift_y=limits.translate * (2 * move_y - 1) + (1 / cropped - 1) * (cut_y - 0.5),
        mirrored=bool(flip and mirror < 0.5),
        brightness=1 + limits.brightness * (2 * bright - 1),
        saturation=1 + limits.saturation * (2 * colour - 1),
        contrast=1 + limits.contrast * (2 * steep - 1),
        hue=limits.hue * (2 * turn - 1),
    )


def fill_colour(image: Image.Image, pad_value: int | Literal["edge"]) -> Fill:
    """Colour of margins around `image`, of mode L or RGB."""
    if pad_value != "edge":
        return pad_value if image.mode == "L" else (pad_value,) * 3
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    colour = tuple(round(float(level)) for level in np.median(border_pixels(pixels), axis=0))
    return colour[0] if image.mode == "L" else colour


def _fitted_size(size: tuple[int, int], frame: tuple[int, int], fit: Fit, max_enlargement: float) -> tuple[int, int]:
    shares = [inner / outer for inner, outer in zip(frame, size, strict=True)]
    if fit != "stretch":
        shares = [min(shares) if fit == "pad" else max(shares)] * 2
    width, height = (max(1, round(side * min(share, max_enlargement))) for side, share in zip(size, shares, strict=True))
    return width, height


def resize_to_frame(image: Image.Image, frame: Frame, oversize: int) -> Image.Image:
    """`image` as large as it is in a frame of `oversize` times the size; antialiased."""
    outer = (frame.width * oversize, frame.height * oversize)
    size = _fitted_size(image.size, outer, frame.fit, math.inf if frame.upscale else oversize)
    return image if size == image.size else image.resize(size, FILTERS[frame.resize_filter])


def centred(image: Image.Image, size: tuple[int, int], fill: Fill) -> Image.Image:
    """`image` in the middle of one of `size`; what does not fit is cut off."""
    if image.size == size:
        return image
    canvas = Image.new(image.mode, size, fill)
    canvas.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
    return canvas


def fit_to_frame(image: Image.Image, frame: Frame) -> Image.Image:
    """`image`, of mode L or RGB, in the middle of the frame, otherwise unchanged."""
    fill = fill_colour(image, frame.pad_value)
    return centred(resize_to_frame(image, frame, 1), (frame.width, frame.height), fill)


def pixels_of(image: Image.Image, channels: int) -> NDArray[np.uint8]:
    """`image` as (H, W, C) uint8 with 1 or 3 channels."""
    return np.asarray(image.convert("L" if channels == 1 else "RGB")).reshape(image.height, image.width, channels)
