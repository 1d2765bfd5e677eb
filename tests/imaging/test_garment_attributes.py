"""Colours and patterns of drawn garments."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.imaging.garment_attributes import COLOURS, garment_attributes

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
    "dots": ("dotted", lambda y, x: (x % 16 - 8) ** 2 + (y % 16 - 8) ** 2 < 12),
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


@pytest.mark.parametrize("colour", COLOURS)
def test_a_plain_garment_has_its_colour_and_no_second(colour: str) -> None:
    found = garment_attributes(drawn(colour, colour, "plain"), MASK)
    assert found is not None
    assert (found.colour, found.second_colour, found.pattern) == (colour, None, "plain")
    assert found.colour_share > 0.9


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_is_recognised(pattern: str) -> None:
    found = garment_attributes(drawn("blue", "yellow", pattern), MASK)
    assert found is not None
    assert found.pattern == PATTERNS[pattern][0]


def test_stripes_have_two_colours() -> None:
    found = garment_attributes(drawn("red", "black", "across"), MASK)
    assert found is not None
    assert {found.colour, found.second_colour} == {"red", "black"}


def test_a_mask_of_hardly_any_pixels_says_nothing() -> None:
    assert garment_attributes(drawn("red", "red", "plain"), np.zeros((200, 160), np.uint8)) is None
