"""Pictures at the sizes at which they are measured, compared and recognised, and the pixels at their border."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL_SIDE_PX = 16
NETWORK_SIDE_PX = 224
GARMENT_SIDE_PX = 200  # longer side of the picture that a garment is cut out of
Pixel = TypeVar("Pixel", bound=np.generic)


def shrink(image: Image.Image, max_side_px: int, resample: Image.Resampling) -> Image.Image:
    """`image` with its longer side at most `max_side_px`; a smaller picture is returned as it is."""
    scale = max_side_px / max(image.size)
    if scale >= 1:
        return image
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), resample)


def thumbnail(grey: Image.Image) -> NDArray[np.uint8]:
    """Area averages (16, 16) of `grey`, mode L."""
    side = (THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX)
    return np.asarray(grey.resize(side, Image.Resampling.BOX, reducing_gap=8.0))


def network_input(image: Image.Image) -> NDArray[np.uint8]:
    """RGB pixels (224, 224, 3) for an ImageNet network; a picture that is not square is stretched."""
    side = (NETWORK_SIDE_PX, NETWORK_SIDE_PX)
    return np.asarray(image.convert("RGB").resize(side, Image.Resampling.BICUBIC, reducing_gap=3.0))


def garment_input(image: Image.Image) -> NDArray[np.uint8]:
    """RGB pixels (H, W, 3) from which a garment is cut out, the longer side at most GARMENT_SIDE_PX."""
    return np.asarray(shrink(image.convert("RGB"), GARMENT_SIDE_PX, Image.Resampling.BOX))


def border_pixels(pixels: NDArray[Pixel]) -> NDArray[Pixel]:
    """The outermost pixels (N, C) of `pixels` (H, W, C); corners occur twice."""
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
