"""Colours and patterns of drawn garments."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.imaging.garment_attributes import MEASURES, SeenGarment, attribute_columns
from pipeline.imaging.garment_colours import COLOURS, colour_terms
from pipeline.imaging.garment_masks import cielab
from pipeline.imaging.garment_patterns import SIDE_PX, PatternClassifier, framed_garment
from pipeline.storage.garment_attributes import SEEN_ATTRIBUTES
from pipeline.storage.tables import GARMENT_ATTRIBUTES

Grid = NDArray[np.intp]
MASK = np.zeros((200, 160), np.uint8)
MASK[20:180, 30:130] = 1
RGB = {
    "black": (15, 15, 18),
    "white": (240, 240, 238),
    "grey": (128, 128, 130),
    "red": (190, 20, 35),
    "orange": (240, 130, 20),
    "yellow": (245, 215, 40),
    "green": (40, 120, 60),
    "blue": (30, 60, 150),
    "purple": (110, 40, 140),
    "pink": (245, 150, 180),
    "brown": (100, 62, 35),
}
PATTERNS: dict[str, tuple[str, Callable[[Grid, Grid], NDArray[np.bool_]]]] = {
    "plain": ("plain", lambda y, x: (y + x) < 0),
    "across": ("striped", lambda y, x: (y // 8 + 0 * x) % 2 == 0),
    "along": ("striped", lambda y, x: (x // 6 + 0 * y) % 2 == 0),
    "diagonal": ("striped", lambda y, x: ((x + y) // 8) % 2 == 0),
    "chess": ("checked", lambda y, x: ((x // 8) + (y // 8)) % 2 == 0),
    "tartan": ("checked", lambda y, x: (x % 20 < 5) | (y % 20 < 5)),
    "blotches": ("printed", lambda y, x: cv2.GaussianBlur(np.random.default_rng(1).normal(size=(y + x).shape), (0, 0), 4) > 0),
}


def drawn(first: str, second: str, pattern: str) -> NDArray[np.uint8]:
    """A garment in two colours on white, with soft folds and noise."""
    y, x = np.mgrid[:200, :160]
    marks = PATTERNS[pattern][1](y, x)
    picture = np.full((200, 160, 3), 250.0)
    picture[MASK > 0] = np.where(marks[..., None], RGB[second], RGB[first])[MASK > 0]
    picture += (8 * np.sin(y / 30) * MASK)[..., None] + np.random.default_rng(0).normal(0, 2, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def pattern_of() -> PatternClassifier:
    return PatternClassifier()


def plain(_picture: NDArray[np.uint8], _mask: NDArray[np.uint8]) -> tuple[str, float]:
    return "plain", 1.0


def columns(first: str, second: str, pattern: str) -> dict[str, Any]:
    return attribute_columns(SeenGarment(drawn(first, second, pattern), MASK, "dress", plain))


@pytest.mark.parametrize("colour", COLOURS)
def test_a_plain_garment_has_its_colour_and_no_second(colour: str) -> None:
    found = columns(colour, colour, "plain")
    assert (found["garment_colour"], found["garment_second_colour"]) == (colour, None)
    assert found["garment_colour_share"] > 0.9


def test_stripes_have_two_colours() -> None:
    found = columns("red", "black", "across")
    assert {found["garment_colour"], found["garment_second_colour"]} == {"red", "black"}


@pytest.mark.parametrize(
    ("rgb", "colour"),
    [((38, 44, 60), "blue"), ((158, 158, 158), "white"), ((120, 106, 92), "brown"), ((124, 118, 120), "grey")],
    ids=["dark denim", "a white shirt in the shade", "beige in the shade", "grey under a warm lamp"],
)
def test_colours_of_photographs_taken_in_rooms(rgb: tuple[int, int, int], colour: str) -> None:
    (term,) = colour_terms(cielab(np.array([[rgb]], np.uint8))[0])
    assert COLOURS[term] == colour


# No dots: the classifier was fitted to photographs, and takes drawn ones for a print.
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_is_recognised(pattern: str, pattern_of: PatternClassifier) -> None:
    found, confidence = pattern_of(drawn("red", "black", pattern), MASK)
    assert found == PATTERNS[pattern][0]
    assert confidence > 1 / 5


def test_what_is_outside_the_mask_changes_no_pattern(pattern_of: PatternClassifier) -> None:
    picture = drawn("blue", "yellow", "across")
    other = np.where(MASK[..., None] > 0, picture, np.uint8(0))
    assert pattern_of(picture, MASK) == pattern_of(other, MASK)


def test_a_garment_is_framed_in_the_middle_on_its_mean_colour() -> None:
    square, share = framed_garment(drawn("red", "red", "plain"), MASK)
    assert square.shape == (SIDE_PX, SIDE_PX, 3)
    assert share[:, SIDE_PX // 2].min() > 0.99  # 160 high and 100 wide
    assert share[SIDE_PX // 2, :20].max() < 0.01
    assert np.abs(square - square[SIDE_PX // 2, SIDE_PX // 2]).max() < 25


def test_a_mask_of_hardly_any_pixels_says_nothing() -> None:
    nothing = np.zeros((200, 160), np.uint8)
    assert attribute_columns(SeenGarment(drawn("red", "red", "plain"), nothing, "dress", plain)) == {}


def test_every_attribute_has_its_measure_and_its_columns() -> None:
    assert set(MEASURES) == set(SEEN_ATTRIBUTES)
    assert set(columns("red", "black", "across")) == {field.name for field in GARMENT_ATTRIBUTES}
