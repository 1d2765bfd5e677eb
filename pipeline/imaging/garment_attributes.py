"""What a garment looks like, in words: an entry of MEASURES for each of the attributes in storage/garment_attributes.py."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.garment_colours import GarmentColours, garment_colours
from pipeline.imaging.garment_kinds import Kind
from pipeline.imaging.garment_masks import cielab
from pipeline.imaging.outline_attributes import OUTLINE_MEASURES, Answer, Outline

EDGE_PX = 3  # of the mask, where garment and ground mix
LEAST_PIXELS = 64

Pixels = NDArray[np.uint8]
PatternOf = Callable[[Pixels, Pixels], tuple[str, float]]  # garment_patterns.PatternClassifier


@dataclass(frozen=True)
class SeenGarment:
    """A garment in its picture."""

    picture: Pixels  # (H, W, 3), RGB
    mask: Pixels  # (H', W') of 0 and 1
    kind: Kind | None  # None if its category says none
    pattern_of: PatternOf

    @cached_property
    def whole(self) -> Pixels:
        """The mask at the picture's size."""
        return np.asarray(cv2.resize(self.mask, self.picture.shape[1::-1], interpolation=cv2.INTER_NEAREST), np.uint8)

    @cached_property
    def colours(self) -> GarmentColours | None:
        """Its colours; None if it is too small."""
        return colours_seen(self.picture, self.whole)

    @cached_property
    def outline(self) -> Outline:
        """Its outline."""
        return Outline(self.mask, self.kind)


def colours_seen(picture: Pixels, whole: Pixels) -> GarmentColours | None:
    """The colours of the garment under the mask `whole` (H, W, 0 or 1) of an RGB `picture` (H, W, 3); None if too small."""
    inner = cv2.erode(whole, np.ones((2 * EDGE_PX + 1,) * 2, np.uint8), borderValue=1) > 0
    chosen = inner if inner.sum() >= LEAST_PIXELS else whole > 0
    return garment_colours(cielab(picture)[chosen]) if chosen.sum() >= LEAST_PIXELS else None


def colour(garment: SeenGarment) -> Answer | None:
    """The colour that most of it has."""
    return Answer(garment.colours.first, garment.colours.confidence) if garment.colours else None


def pattern(garment: SeenGarment) -> Answer | None:
    """Its pattern."""
    return Answer(*garment.pattern_of(garment.picture, garment.whole))


def _of_outline(measure: Callable[[Outline], Answer | None]) -> Callable[[SeenGarment], Answer | None]:
    return lambda garment: measure(garment.outline)


MEASURES: dict[str, Callable[[SeenGarment], Answer | None]] = {
    "colour": colour,
    "pattern": pattern,
    **{name: _of_outline(measure) for name, measure in OUTLINE_MEASURES.items()},
}


def measured(garment: SeenGarment, names: Collection[str] = tuple(MEASURES)) -> dict[str, Answer]:
    """Those of the attributes `names` that can be measured; none if the garment is too small."""
    if garment.colours is None:
        return {}
    answers = {name: MEASURES[name](garment) for name in names}
    return {name: answer for name, answer in answers.items() if answer is not None}


def outline_columns(mask: Pixels, kind: Kind | None) -> dict[str, object]:
    """The columns of tables.GARMENT_ATTRIBUTES that follow from the outline, None where one is not measurable."""
    outline = Outline(mask, kind)
    return _columns({name: measure(outline) for name, measure in OUTLINE_MEASURES.items()})


def attribute_columns(garment: SeenGarment) -> dict[str, object]:
    """The columns of tables.GARMENT_ATTRIBUTES, None where one is not measurable; no column if the garment is too small."""
    colours, found = garment.colours, measured(garment)
    if colours is None:
        return {}
    further = {"garment_colour_share": colours.first_share, "garment_second_colour": colours.second}
    return _columns({name: found.get(name) for name in MEASURES}) | further


def _columns(answers: dict[str, Answer | None]) -> dict[str, object]:
    columns: dict[str, object] = {}
    for name, answer in answers.items():
        columns[f"garment_{name}"] = answer and answer.value
        columns[f"garment_{name}_confidence"] = answer and answer.confidence
    return columns
