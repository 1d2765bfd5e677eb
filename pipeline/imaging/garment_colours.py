"""The colours of a garment in the eleven basic colour terms (Berlin and Kay 1969)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.garment_attributes import SEEN_ATTRIBUTES

COLOURS = SEEN_ATTRIBUTES["colour"].values
SECOND_SHARE = 0.15  # of the garment's pixels, at least
SECOND_DISTANCE = 20.0  # between the means of the two in CIELAB, at least: a fold has another term, too, but is near

DARK, LIGHT = 26, 63  # L* of a colourless black and white, at most and at least
COLOURLESS = 6.5  # chroma: hypot(a*, b*), at most

Lab = NDArray[np.float32]


@dataclass(frozen=True)
class GarmentColours:
    """The colours that most of a garment's pixels have."""

    first: str
    first_share: float
    confidence: float  # how clearly the first leads, in [0, 1]
    second: str | None  # the next one that covers SECOND_SHARE and is SECOND_DISTANCE away


def colour_terms(lab: Lab) -> NDArray[np.intp]:
    """The index in COLOURS of each of `lab` (N, 3), CIELAB.

    The limits were set on the photographs for tuning in benchmarks/attribute_labels.csv. They are amateurs' pictures, taken in
    rooms: white begins at L* 63, and dark blues keep their name down to L* 16.
    """
    lightness, a, b = lab.T
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
    night_blue = (lightness > 16) & (chroma > 8) & (hue > 240) & (hue < 300)
    warm = (hue >= 45) & (hue < 110)
    purple_from, pink_from = np.where(lightness < 40, 307, 293), np.where(lightness < 50, 350, 328)
    rules = [  # the first that holds
        ((lightness < 12) | (lightness < DARK) & (chroma < 8) | (lightness < 22) & (chroma < 13) & ~night_blue, "black"),
        (
            (lightness > LIGHT) & (chroma < COLOURLESS + 1)
            | (lightness > 76) & (chroma < 11)
            | (lightness > 84) & (chroma < 13) & warm,
            "white",
        ),
        (chroma < COLOURLESS, "grey"),
        ((hue >= 208) & (hue < purple_from), "blue"),
        ((hue >= 293) & (hue < pink_from), "purple"),
        ((hue >= 293) | (hue < 45) & (lightness >= 52) & ((chroma < 48) | (hue < 20)), "pink"),
        ((hue < 45) & (chroma >= 22), "red"),
        ((hue >= 45) & (hue < 75) & (chroma >= 45) & (lightness >= 50), "orange"),
        ((hue >= 72) & (hue < 108) & (lightness >= 58) & (chroma >= np.where(hue > 85, 18, 38)), "yellow"),
        (hue < 104, "brown"),
        (np.ones_like(hue, bool), "green"),
    ]
    return np.asarray(np.select([holds for holds, _ in rules], [COLOURS.index(name) for _, name in rules]), np.intp)


def garment_colours(lab: Lab) -> GarmentColours:
    """The colours of the garment with the pixels `lab` (N, 3), CIELAB, N at least 1."""
    terms = colour_terms(lab)
    shares = np.bincount(terms, minlength=len(COLOURS)) / len(lab)
    first, *others = np.argsort(-shares, kind="stable")
    mean = lab[terms == first].mean(axis=0)
    apart = (
        COLOURS[other]
        for other in others
        if shares[other] >= SECOND_SHARE and np.linalg.norm(lab[terms == other].mean(axis=0) - mean) >= SECOND_DISTANCE
    )
    confidence = (shares[first] - shares[others[0]]) / shares[first]
    return GarmentColours(COLOURS[first], float(shares[first]), float(confidence), next(apart, None))
