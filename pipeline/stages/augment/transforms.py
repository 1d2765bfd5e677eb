"""Fit pictures into the training frame.

Sizes are (width, height) in pixels, as in Pillow.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.imaging.resizing import border_pixels
from pipeline.inference.transparency import with_bled_colour
from pipeline.storage.arrays import has_alpha

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
FILTERS = {name: Image.Resampling[name.upper()] for name in ("box", "bilinear", "bicubic", "lanczos")}
Fit = Literal["pad", "crop", "stretch"]
Fill = int | tuple[int, ...]
PadValue = int | Literal["edge"] | tuple[int, int, int]  # grey level, the median colour of the picture's border, or RGB


@dataclass(frozen=True)
class Frame:
    """How pictures of any size become training pictures of width × height."""

    width: int
    height: int
    fit: Fit
    resize_filter: str  # key of FILTERS
    upscale: bool  # enlarge smaller pictures instead of padding them
    pad_value: PadValue
    ground: Literal["keep", "plain", "transparent"] = "keep"  # plain: pad_value behind the garment
    on_garment: bool = False  # the garment, not the picture, is centred and fitted
    garment_share: float = 1.0  # of the frame, when it is fitted


def fill_colour(image: Image.Image, pad_value: PadValue) -> Fill:
    """Colour of the padding around `image`: mode L, RGB, or RGBA, whose padding is transparent."""
    if image.mode == "RGBA":
        return (0, 0, 0, 0)
    if pad_value != "edge":
        red, green, blue = pad_value if isinstance(pad_value, tuple) else (pad_value,) * 3
        return (red, green, blue) if image.mode == "RGB" else round(0.299 * red + 0.587 * green + 0.114 * blue)  # as Pillow
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
    """`image` resized to fit a frame of `oversize` times the size; antialiased."""
    outer = (frame.width * oversize, frame.height * oversize)
    size = _fitted_size(image.size, outer, frame.fit, math.inf if frame.upscale else oversize)
    return image if size == image.size else image.resize(size, FILTERS[frame.resize_filter])


def centred(image: Image.Image, size: tuple[int, int], fill: Fill) -> Image.Image:
    """`image` centred on a canvas of `size`, padded with `fill` or cropped."""
    if image.size == size:
        return image
    canvas = Image.new(image.mode, size, fill)
    canvas.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
    return canvas


def fit_to_frame(image: Image.Image, frame: Frame) -> Image.Image:
    """`image`, mode L, RGB or RGBA, resized and centred in the frame, on its ground."""
    fill = fill_colour(image, frame.pad_value)
    return on_ground(centred(resize_to_frame(image, frame, 1), (frame.width, frame.height), fill), frame)


def on_ground(image: Image.Image, frame: Frame) -> Image.Image:
    """A cut-out, mode RGBA, on the frame's plain ground; on a transparent one, and without alpha, it stays as it is."""
    if image.mode != "RGBA" or frame.ground == "transparent":
        return image
    ground = Image.new("RGB", image.size, fill_colour(Image.new("RGB", (1, 1)), frame.pad_value))
    return Image.alpha_composite(ground.convert("RGBA"), image).convert("RGB")


def pixels_of(image: Image.Image, channels: int) -> NDArray[np.uint8]:
    """`image` as (H, W, C) uint8 with 1 or 3 channels, or with 2 or 4, the last of them alpha."""
    pixels = np.asarray(image.convert(MODES[channels])).reshape(image.height, image.width, channels)
    if not has_alpha(channels):
        return pixels
    return with_bled_colour(pixels[None])[0]  # resizing leaves black under what is transparent
