"""A garment as RGBA, whatever it comes from: a picture with alpha, or a photograph that is cut out."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError
from pipeline.imaging.cut_outs import cut_out

if TYPE_CHECKING:
    from pipeline.imaging.garment_cutter import GarmentCutter

LEAST_CONFIDENCE = 0.5


def has_alpha(picture: NDArray[np.uint8]) -> bool:
    """Whether a picture (H, W, C) has a transparent ground."""
    return picture.shape[-1] == 4 and bool((picture[..., 3] < 128).any())


def garment_of(picture: NDArray[np.uint8], cutter: "GarmentCutter") -> NDArray[np.uint8]:
    """The garment (h, w, 4), straight alpha, of a picture (H, W, 3 or 4). Raises InputError if it cannot be cut out."""
    if has_alpha(picture):
        return picture
    photograph = np.ascontiguousarray(picture[..., :3])
    mask = cutter(photograph)
    if mask.confidence < LEAST_CONFIDENCE:
        raise InputError("this garment cannot be told from its ground; photograph it on a plain ground of another colour")
    return np.asarray(cut_out(Image.fromarray(photograph), mask.pixels))
