"""Sleeve, length and fit of drawn outlines."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.imaging.garment_kinds import Kind, kind_of_category
from pipeline.imaging.outline_attributes import Answer, Outline, fit, length, sleeve

Mask = NDArray[np.uint8]


def drawn(*polygons: list[tuple[int, int]], side_px: int = 128) -> Mask:
    """Polygons in 128ths of the picture, and their mirror images."""
    mask = np.zeros((512, 512), np.uint8)
    for polygon in polygons:
        for points in (polygon, [(128 - x, y) for x, y in polygon]):
            cv2.fillPoly(mask, [4 * np.array(points, np.int32)], 1)
    return np.asarray(cv2.resize(mask, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8)


def skirt(hem: int, bottom: int) -> Mask:
    """A skirt with a waist of 24."""
    return drawn([(52, 10), (64, 10), (64, bottom), (64 - hem // 2, bottom)])


def trousers(hem: int, bottom: int, foot: int) -> Mask:
    """Trousers with a waist of 36, their crotch at 44, each leg `hem` wide at the foot."""
    return drawn([(46, 10), (64, 10), (64, 44)], [(46, 10), (64, 44), (foot + hem, bottom), (foot, bottom), (44, 40)])


def top(*sleeve_points: tuple[int, int]) -> Mask:
    trunk = [(58, 16), (64, 20), (64, 112), (42, 112), (42, 40), (44, 22)]
    return drawn(trunk, list(sleeve_points)) if sleeve_points else drawn(trunk)


def value(answer: Answer | None) -> str | None:
    return answer.value if answer else None


@pytest.mark.parametrize(("bottom", "expected"), [(36, "short"), (72, "medium"), (120, "long")])
def test_a_skirt_is_as_long_as_its_outline_relative_to_the_waist(bottom: int, expected: str) -> None:
    assert value(length(Outline(skirt(36, bottom), "skirt"))) == expected


@pytest.mark.parametrize(("hem", "expected"), [(26, "narrow"), (38, "regular"), (60, "wide")])
def test_a_skirt_is_as_wide_as_its_hem(hem: int, expected: str) -> None:
    assert value(fit(Outline(skirt(hem, 72), "skirt"))) == expected


@pytest.mark.parametrize(("bottom", "expected"), [(50, "short"), (66, "medium"), (118, "long")])
def test_trousers_are_as_long_as_their_legs(bottom: int, expected: str) -> None:
    assert value(length(Outline(trousers(16, bottom, 40), "trousers"))) == expected


@pytest.mark.parametrize(("hem", "expected"), [(8, "narrow"), (18, "regular"), (30, "wide")])
def test_trousers_are_as_wide_as_their_legs(hem: int, expected: str) -> None:
    assert value(fit(Outline(trousers(hem, 118, 50 - hem), "trousers"))) == expected


@pytest.mark.parametrize(
    ("sleeves", "expected"),
    [
        ([], "none"),
        ([(44, 22), (42, 46), (26, 52), (24, 40)], "short"),
        ([(44, 22), (42, 46), (22, 108), (12, 104)], "long"),
    ],
)
def test_sleeves_are_seen_by_the_profile(sleeves: list[tuple[int, int]], expected: str) -> None:
    assert value(sleeve(Outline(top(*sleeves), "top"))) == expected


def test_a_strip_too_low_for_the_profile_has_no_sleeves() -> None:
    mask = np.zeros((300, 300), np.uint8)
    mask[145:152, 10:290] = 1
    assert sleeve(Outline(mask, "top")) is None


def test_a_ratio_at_a_limit_has_no_confidence_and_one_far_from_it_all() -> None:
    near, far = (length(Outline(skirt(36, bottom), "skirt")) for bottom in (10 + round(1.72 * 24), 20))
    assert near is not None
    assert near.confidence < 0.4
    assert far == Answer("short", 1.0)


def test_a_garment_that_the_picture_cuts_off_has_no_length_but_a_fit() -> None:
    outline = Outline(skirt(36, 128), "skirt")
    assert length(outline) is None
    assert fit(outline) is not None


@pytest.mark.parametrize(
    ("kind", "known"), [("top", {"sleeve"}), ("outerwear", {"sleeve"}), ("skirt", {"length", "fit"}), (None, set())]
)
def test_each_kind_has_the_attributes_that_its_outline_shows(kind: Kind | None, known: set[str]) -> None:
    outline = Outline(skirt(36, 80), kind)
    answers = {"length": length(outline), "sleeve": sleeve(outline), "fit": fit(outline)}
    assert {name for name, answer in answers.items() if answer} == known


def test_an_empty_mask_says_nothing() -> None:
    outline = Outline(np.zeros((128, 96), np.uint8), "dress")
    assert (length(outline), sleeve(outline), fit(outline)) == (None, None, None)


def test_a_small_picture_of_the_same_garment_has_the_same_values() -> None:
    small = cv2.resize(skirt(60, 110), (64, 64), interpolation=cv2.INTER_AREA)
    outline = Outline(np.asarray(small, np.uint8), "skirt")
    assert (value(length(outline)), value(fit(outline))) == ("long", "wide")


@pytest.mark.parametrize(
    ("category", "kind"),
    [
        ("T-shirt/top", "top"),
        ("t-shirt", "top"),
        ("longsleeve", "top"),
        ("Dresses", "dress"),
        ("shirt dress", "dress"),
        ("outwear", "outerwear"),
        ("pants", "trousers"),
        ("Shorts", "shorts"),
        ("skirts", "skirt"),
        ("hat", None),
        ("", None),
        (None, None),
        (float("nan"), None),
    ],
)
def test_the_kind_follows_from_the_category(category: object, kind: str | None) -> None:
    assert kind_of_category(category) == kind
