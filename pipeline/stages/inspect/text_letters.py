"""Detect overlaid text and watermarks: letters are stable regions (MSER, Matas et al. 2002) in a line.

The letters of a line are all darker or all lighter than their background. Patterns and folds are mixed and rarely as long.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse.csgraph import connected_components

from pipeline.imaging.resizing import shrink

SIDE_PX = 384  # longer side, at most, of the picture that is searched
DELTA = 4  # grey levels over which a region must be stable
MIN_HEIGHT_PX, MAX_HEIGHT = 6, 0.25  # of a letter; the maximum is relative to the picture's shorter side
MIN_SLIMNESS, MAX_SLIMNESS = 0.12, 1.6  # width over height
MIN_LETTERS = 4  # in a line; fewer are ignored
MAX_REGIONS = 1500  # more are a texture

cv2.setNumThreads(1)


def _letters(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Boxes (N, 4) of possible letters lighter than their background: left, top, width, height; largest first."""
    finder = cv2.MSER.create(delta=DELTA, min_area=12, max_area=grey.size // 40)
    finder.setPass2Only(True)
    _, found = finder.detectRegions(grey)
    if not len(found):
        return np.empty((0, 4))
    boxes = np.unique(np.asarray(found), axis=0).astype(np.float64)
    width, height = boxes[:, 2], boxes[:, 3]
    alike = (height >= MIN_HEIGHT_PX) & (height <= MAX_HEIGHT * min(grey.shape))
    alike &= (width >= MIN_SLIMNESS * height) & (width <= MAX_SLIMNESS * height)
    boxes = boxes[alike]
    return boxes[np.argsort(-boxes[:, 2] * boxes[:, 3], kind="stable")][:MAX_REGIONS]


def _outermost(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """`boxes`, largest first, without those that lie mostly inside a larger one."""
    right, bottom = boxes[:, 0] + boxes[:, 2], boxes[:, 1] + boxes[:, 3]
    wide = np.minimum(right[:, None], right) - np.maximum(boxes[:, None, 0], boxes[:, 0])
    high = np.minimum(bottom[:, None], bottom) - np.maximum(boxes[:, None, 1], boxes[:, 1])
    shared = np.maximum(wide, 0) * np.maximum(high, 0) / (boxes[:, 2] * boxes[:, 3])[:, None]
    return boxes[~np.any(np.tril(shared, k=-1) > 0.5, axis=1)]


def _in_a_line(boxes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Line number of each of `boxes`: boxes of similar height, side by side, with small gaps, share a line."""
    left, top, width, height = boxes.T
    taller, lower = np.maximum(height[:, None], height), np.minimum(height[:, None], height)
    middle = top + height / 2
    gap = np.maximum(left[:, None], left) - np.minimum((left + width)[:, None], left + width)
    near = (taller <= 1.5 * lower) & (np.abs(middle[:, None] - middle) <= 0.35 * lower)
    near &= (gap <= 0.9 * taller) & (gap >= -0.3 * lower)
    return connected_components(near, directed=False)[1]


def count_text_letters(grey: Image.Image) -> int:
    """Number of letters in the longest line of letters in `grey`, mode L; 0 below MIN_LETTERS."""
    pixels = np.asarray(shrink(grey, SIDE_PX, Image.Resampling.BOX))
    if min(pixels.shape) < 3:
        return 0
    longest = 0
    for lighter in (pixels, 255 - pixels):
        boxes = _outermost(_letters(lighter))
        if len(boxes) >= MIN_LETTERS:
            longest = max(longest, int(np.bincount(_in_a_line(boxes)).max()))
    return longest if longest >= MIN_LETTERS else 0
