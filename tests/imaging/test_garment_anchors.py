"""Anchors of garments whose outlines are drawn, and of photographs."""

from contextlib import suppress

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.imaging.garment_anchors import anchors_of, find_anchors, straightened
from pipeline.imaging.garment_kinds import KINDS, Kind
from pipeline.imaging.outlines import largest_piece, symmetry_axis
from tests.support.drawn_people import drawn_garment


def test_a_top_has_its_neck_armpits_cuffs_and_hem_where_they_were_drawn() -> None:
    anchors = find_anchors(drawn_garment("top"), "top")
    drawn = {
        "left_neck": (115, 40),
        "right_neck": (185, 40),
        "left_armpit": (86, 108),
        "right_armpit": (214, 108),
        "left_cuff": (50, 127),
        "right_cuff": (250, 127),
        "left_hem": (88, 258),
        "right_hem": (212, 258),
    }
    for name, place in drawn.items():
        assert np.linalg.norm(anchors.points[name] - place) < 14, name
    assert set(anchors.limbs) == {"left", "right"}


def test_a_dress_without_sleeves_has_none() -> None:
    anchors = find_anchors(drawn_garment("dress"), "dress")
    assert anchors.limbs == {}
    assert anchors.trunk.first[-1] == pytest.approx([50, 285], abs=12)


SHOULDERS = [(85, 55), (120, 40), (180, 40), (215, 55)]
HANGING_SLEEVES = {  # along the trunk without a gap
    "that end above the hem": [*SHOULDERS, (240, 215), (206, 222), (204, 262), (96, 262), (94, 222), (60, 215)],
    "with cuffs below it": [*SHOULDERS, (242, 275), (212, 278), (206, 255), (94, 255), (88, 278), (58, 275)],
}


@pytest.mark.parametrize("outline", HANGING_SLEEVES.values(), ids=HANGING_SLEEVES)
@pytest.mark.parametrize("kind", ["top", "outerwear"])
def test_sleeves_that_hang_along_the_trunk_are_found(kind: Kind, outline: list[tuple[int, int]]) -> None:
    anchors = find_anchors(_filled(outline), kind)
    assert set(anchors.limbs) == {"left", "right"}
    assert anchors.points["left_cuff"][1] > 200
    left, right = (np.mean(edge[len(edge) // 2 :, 0]) for edge in (anchors.trunk.first, anchors.trunk.second))
    assert left == pytest.approx(90, abs=14)
    assert right == pytest.approx(210, abs=14)


def test_a_vest_has_no_sleeves() -> None:
    outline = [(125, 40), (175, 40), (200, 95), (206, 110), (208, 262), (92, 262), (94, 110), (100, 95)]
    assert find_anchors(_filled(outline), "top").limbs == {}


def test_a_dress_narrows_where_its_hanging_sleeves_end() -> None:
    sleeved = [(120, 20), (180, 20), (215, 35), (238, 170), (202, 175), (215, 285), (85, 285), (98, 175), (62, 170), (85, 35)]
    anchors = find_anchors(_filled(sleeved), "dress")
    assert set(anchors.limbs) == {"left", "right"}
    assert anchors.points["right_cuff"][1] == pytest.approx(168, abs=10)


def test_a_skirt_lies_between_its_corners() -> None:
    points = find_anchors(drawn_garment("skirt"), "skirt").points
    for name, place in {
        "left_waist": (100, 60),
        "right_waist": (200, 60),
        "left_hem": (55, 250),
        "right_hem": (245, 250),
    }.items():
        assert points[name] == pytest.approx(place, abs=6)


@pytest.mark.parametrize(("kind", "crotch"), [("trousers", (150, 110)), ("shorts", (150, 165))])
def test_legs_begin_at_the_crotch(kind: str, crotch: tuple[int, int]) -> None:
    anchors = find_anchors(drawn_garment(kind), kind)  # type: ignore[arg-type]
    assert anchors.points["crotch"] == pytest.approx(crotch, abs=6)
    assert anchors.limbs["left"].first[-1][0] < anchors.limbs["right"].first[-1][0]


def test_a_tilted_garment_is_straightened_and_its_anchors_are_turned_back() -> None:
    straight = drawn_garment("skirt")
    turn = cv2.getRotationMatrix2D((150, 150), 9, 1.0)
    tilted = np.asarray(cv2.warpAffine(straight, turn, (300, 300)), np.uint8)
    tilt, _ = symmetry_axis(largest_piece(tilted[..., 3] > 127))
    assert tilt == pytest.approx(-9, abs=1.5)
    points, turned = find_anchors(straight, "skirt").points, find_anchors(tilted, "skirt").points
    for name, point in points.items():
        assert turned[name] == pytest.approx(turn[:, :2] @ point + turn[:, 2], abs=9)


def test_an_empty_garment_is_refused() -> None:
    with pytest.raises(InputError, match="mask is empty"):
        find_anchors(np.zeros((50, 50, 4), np.uint8), "top")


def _filled(outline: list[tuple[int, int]]) -> NDArray[np.uint8]:
    garment = np.zeros((300, 300, 4), np.uint8)
    cv2.fillPoly(garment, [np.array(outline, np.int32)], (190, 40, 50, 255))
    return garment


@pytest.mark.parametrize("seed", [11, 69, 89, 1833])  # of 3000, those with a row, a leg or an axis that holds nothing
def test_any_shape_has_anchors_or_is_refused_in_words(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = np.zeros((96, 72), np.uint8)
    for _ in range(rng.integers(1, 4)):
        cv2.fillPoly(drawn, [rng.integers(0, [72, 96], (rng.integers(3, 9), 2)).astype(np.int32)], 1)
    for mask in (largest_piece(drawn > 0), straightened(drawn > 0).mask):
        for kind in KINDS:
            with suppress(InputError):
                anchors = anchors_of(mask, kind)
                assert np.isfinite(list(anchors.points.values())).all()
