"""Pictures brought into a frame, and changed at random: rotated, scaled, moved, cropped, flipped, brightened, saturated.

A frame is one training picture. Sizes are (width, height) in pixels, as in Pillow.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from pipeline.images.quality import border

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
class Limits:
    """How far a random change may go."""

    rotate_degrees: float
    min_scale: float
    max_scale: float
    translate: float  # share of the side
    crop: float  # share of the side
    brightness: float
    saturation: float

    @property
    def any(self) -> bool:
        """Whether there is any change at all, beside flips."""
        return self != Limits(0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0)


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

    @property
    def oversize(self) -> int:
        """How many times the frame the picture is when it is moved: turning at twice the size costs no sharpness."""
        return 1 if (self.degrees, self.scale, self.shift_x, self.shift_y) == (0, 1, 0, 0) else 2


def random_change(limits: Limits, flip: bool, random: np.random.Generator) -> Change:
    """A change within `limits`. Ten numbers are drawn whatever is switched on, so that one limit does not move the others."""
    angle, scale, move_x, move_y, cut, cut_x, cut_y, mirror, bright, colour = random.random(10)
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
    )


def fill_colour(image: Image.Image, pad_value: int | Literal["edge"]) -> Fill:
    """Colour of margins around `image`, of mode L or RGB."""
    if pad_value != "edge":
        return pad_value if image.mode == "L" else (pad_value,) * 3
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    colour = tuple(round(float(level)) for level in np.median(border(pixels), axis=0))
    return colour[0] if image.mode == "L" else colour


def _fitted_size(size: tuple[int, int], frame: tuple[int, int], fit: Fit, max_enlargement: float) -> tuple[int, int]:
    shares = [inner / outer for inner, outer in zip(frame, size, strict=True)]
    if fit != "stretch":
        shares = [min(shares) if fit == "pad" else max(shares)] * 2
    width, height = (max(1, round(side * min(share, max_enlargement))) for side, share in zip(size, shares, strict=True))
    return width, height


def _resized(image: Image.Image, frame: Frame, oversize: int) -> Image.Image:
    outer = (frame.width * oversize, frame.height * oversize)
    size = _fitted_size(image.size, outer, frame.fit, math.inf if frame.upscale else oversize)
    return image if size == image.size else image.resize(size, FILTERS[frame.resize_filter])


def _centred(image: Image.Image, size: tuple[int, int], fill: Fill) -> Image.Image:
    if image.size == size:
        return image
    canvas = Image.new(image.mode, size, fill)
    canvas.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
    return canvas


def framed(image: Image.Image, frame: Frame) -> Image.Image:
    """`image`, of mode L or RGB, in the middle of the frame, otherwise unchanged."""
    fill = fill_colour(image, frame.pad_value)
    return _centred(_resized(image, frame, 1), (frame.width, frame.height), fill)


def _moved(image: Image.Image, change: Change, fill: Fill) -> Image.Image:
    """`image` turned and scaled about its middle, then shifted; bicubic."""
    # Pillow asks where each pixel of the result comes from, so this is the inverse of the change.
    angle = math.radians(change.degrees)
    cosine, sine = math.cos(angle) / change.scale, math.sin(angle) / change.scale
    centre_x, centre_y = image.width / 2, image.height / 2
    from_x, from_y = centre_x + change.shift_x * image.width, centre_y + change.shift_y * image.height
    matrix = (
        *(cosine, -sine, centre_x - cosine * from_x + sine * from_y),
        *(sine, cosine, centre_y - sine * from_x - cosine * from_y),
    )
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=fill)


def _recoloured(image: Image.Image, change: Change) -> Image.Image:
    if change.brightness != 1:
        image = ImageEnhance.Brightness(image).enhance(change.brightness)
    if change.saturation != 1 and image.mode == "RGB":
        image = ImageEnhance.Color(image).enhance(change.saturation)
    return image


def _changed(resized: Image.Image, frame: Frame, change: Change) -> Image.Image:
    picture = _recoloured(ImageOps.mirror(resized) if change.mirrored else resized, change)
    fill = fill_colour(picture, frame.pad_value)
    placed = _centred(picture, (frame.width * change.oversize, frame.height * change.oversize), fill)
    if change.oversize == 1:
        return placed
    return _moved(placed, change, fill).resize((frame.width, frame.height), FILTERS[frame.resize_filter])


def changed(image: Image.Image, frame: Frame, changes: list[Change]) -> list[Image.Image]:
    """`image`, of mode L or RGB, in the frame with each of `changes` made to it. Margins keep the frame's own grey level."""
    resized = {oversize: _resized(image, frame, oversize) for oversize in {change.oversize for change in changes}}
    return [_changed(resized[change.oversize], frame, change) for change in changes]


def pixels_of(image: Image.Image, channels: int) -> NDArray[np.uint8]:
    """`image` as (H, W, C) uint8 with 1 or 3 channels."""
    return np.asarray(image.convert("L" if channels == 1 else "RGB")).reshape(image.height, image.width, channels)
