"""A garment cut out of its picture: RGBA from the picture and its coarse mask."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.imaging.garment_masks import Pixels, cielab
from pipeline.imaging.resizing import shrink

WORKING_SIDE_PX = 1024  # the longer side on which edges are refined
SURE = 0.95  # alpha from which a pixel's colour is the garment's


def alpha_of(mask: Pixels, picture: Pixels) -> NDArray[np.float32]:
    """(H, W) in [0, 1] for the picture (H, W, 3): the mask enlarged, its edge laid along the picture's own.

    A guided filter (He et al. 2010) with the lightness as its guide; only a band along the mask's edge changes.
    """
    height, width = picture.shape[:2]
    coarse = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    cell = max(height, width) / max(mask.shape)  # pixels of the picture per pixel of the mask
    guide = cielab(picture)[..., 0] / 100
    refined = _guided_filter(guide, coarse, radius=max(round(2 * cell), 2), epsilon=1e-4)
    band = cv2.GaussianBlur(coarse, (0, 0), max(cell, 0.7))
    edge = (band > 0.05) & (band < 0.95)
    # The filter leaves grey: what is nearly ground or garment becomes so.
    return np.where(edge, ((refined - 0.5) * 1.6 + 0.5).clip(0, 1), coarse > 0.5).astype(np.float32)


def _guided_filter(guide: NDArray[Any], values: NDArray[Any], radius: int, epsilon: float) -> NDArray[Any]:
    def mean(field: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(cv2.boxFilter(field, -1, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT))

    mean_guide, mean_values = mean(guide), mean(values)
    slope = (mean(guide * values) - mean_guide * mean_values) / (mean(guide * guide) - mean_guide**2 + epsilon)
    return mean(slope) * guide + mean(mean_values - slope * mean_guide)


def cut_out(image: Image.Image, mask: Pixels) -> Image.Image:
    """`image` as RGBA with the garment's alpha, at most WORKING_SIDE_PX on the longer side.

    Colours along the edge come from inside the garment, so that no rim of the old background shows on a new one.
    """
    picture = np.asarray(shrink(image.convert("RGB"), WORKING_SIDE_PX, Image.Resampling.LANCZOS))
    alpha = alpha_of(mask, picture)
    return Image.fromarray(np.dstack([_bled(picture, alpha), np.round(alpha * 255).astype(np.uint8)]), "RGBA")


def _bled(picture: Pixels, alpha: NDArray[np.float32]) -> Pixels:
    sure = (alpha >= SURE).astype(np.float32)
    reach = max(picture.shape[:2]) / 100
    weights = cv2.GaussianBlur(sure, (0, 0), reach)[..., None]
    spread = cv2.GaussianBlur(picture * sure[..., None], (0, 0), reach) / np.maximum(weights, 1e-6)
    near = (sure == 0)[..., None] & (weights > 1e-3)
    return np.where(near, spread.clip(0, 255), picture).astype(np.uint8)


def garment_window(mask: Pixels, size: tuple[int, int], aspect: float, share: float) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) in a picture of `size` (width, height), centred on the garment, which fills `share` of it.

    The window has the `aspect` (width / height) and may reach beyond the picture.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    scale_x, scale_y = size[0] / mask.shape[1], size[1] / mask.shape[0]
    left, right = columns[0] * scale_x, (columns[-1] + 1) * scale_x
    top, bottom = rows[0] * scale_y, (rows[-1] + 1) * scale_y
    width = max(right - left, (bottom - top) * aspect) / share
    corner = round((left + right - width) / 2), round((top + bottom - width / aspect) / 2)
    return (*corner, corner[0] + max(round(width), 1), corner[1] + max(round(width / aspect), 1))


def crop_beyond(image: Image.Image, window: tuple[int, int, int, int], fill: int | tuple[int, ...]) -> Image.Image:
    """The `window` of `image`, with `fill` where it reaches beyond."""
    canvas = Image.new(image.mode, (window[2] - window[0], window[3] - window[1]), fill)
    canvas.paste(image, (-window[0], -window[1]))
    return canvas
