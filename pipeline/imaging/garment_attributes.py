"""What a garment looks like, in words: its colours and its pattern. Each answer comes with a confidence in [0, 1]."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.garment_colours import GarmentColours, garment_colours
from pipeline.imaging.garment_masks import cielab

EDGE_PX = 3  # of the mask, where garment and ground mix
LEAST_PIXELS = 64

Pixels = NDArray[np.uint8]
PatternOf = Callable[[Pixels, Pixels], tuple[str, float]]  # garment_patterns.PatternClassifier


@dataclass(frozen=True)
class GarmentAttributes:
    """A garment's colours and pattern, in words."""

    colour: str  # of COLOURS, the one most of it has
    colour_share: float  # of its pixels
    colour_confidence: float
    second_colour: str | None  # of COLOURS; None if it has one colour
    pattern: str  # of PATTERNS
    pattern_confidence: float


def colours_seen(picture: Pixels, whole: Pixels) -> GarmentColours | None:
    """The colours of the garment under the mask `whole` (H, W, 0 or 1) of an RGB `picture` (H, W, 3); None if too small."""
    inner = cv2.erode(whole, np.ones((2 * EDGE_PX + 1,) * 2, np.uint8), borderValue=1) > 0
    chosen = inner if inner.sum() >= LEAST_PIXELS else whole > 0
    return garment_colours(cielab(picture)[chosen]) if chosen.sum() >= LEAST_PIXELS else None


def garment_attributes(picture: Pixels, mask: Pixels, pattern_of: PatternOf) -> GarmentAttributes | None:
    """The attributes of the garment under `mask` (H', W', 0 or 1) of an RGB `picture` (H, W, 3); None if it is too small."""
    whole = np.asarray(cv2.resize(mask, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
    colours = colours_seen(picture, whole)
    if colours is None:
        return None
    return GarmentAttributes(
        colours.first, colours.first_share, colours.confidence, colours.second, *pattern_of(picture, whole)
    )
