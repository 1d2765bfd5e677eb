"""Drawn people in clothes and with hair, and drawn garments, for tests of try-on."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.tryon.mannequins import PART, Figure, Measures, Pose, draw_mannequin
from pipeline.tryon.person import Person, person_of_figure

SKIN, BLUE, HAIR = (224, 172, 140), (50, 80, 170), (60, 40, 30)
PARTS_OF = {
    "long sleeves": ("torso", "left_arm", "right_arm"),
    "trousers": ("left_leg", "right_leg"),
    "nothing": (),
}


def drawn_figure(pose: Pose, clothes: str = "nothing", measures: Measures | None = None) -> Figure:
    """A figure with skin, and with blue clothes on some parts."""
    parts = (
        "head",
        "neck",
        "torso",
        *(f"{side}_{limb}" for limb in ("arm", "hand", "leg", "foot") for side in ("left", "right")),
    )
    colours = dict.fromkeys(parts, SKIN) | dict.fromkeys(PARTS_OF[clothes], BLUE)
    return draw_mannequin(measures or Measures(), pose, colours=colours)


def drawn_person(pose: Pose, clothes: str = "nothing") -> Person:
    """A drawn figure, whose blue clothes are known."""
    figure = drawn_figure(pose, clothes)
    clothed = np.isin(figure.parts, [PART[part] for part in PARTS_OF[clothes]])
    return person_of_figure(figure, pose.arms_behind, clothed)


def with_long_hair(figure: Figure) -> NDArray[np.uint8]:
    """The figure's picture with hair around the face that falls over one shoulder."""
    picture = figure.picture.copy()
    span = figure.body.shoulders_px
    x, y = figure.body.points["head"]
    cap = np.array(
        [
            [x - 0.36 * span, y - 0.1 * span],
            [x, y - 0.52 * span],
            [x + 0.36 * span, y - 0.1 * span],
            [x + 0.2 * span, y - 0.2 * span],
            [x - 0.2 * span, y - 0.2 * span],
        ]
    )
    lock = np.array(
        [
            [x - 0.36 * span, y - 0.15 * span],
            [x - 0.2 * span, y - 0.2 * span],
            [x - 0.22 * span, y + 1.0 * span],
            [x - 0.42 * span, y + 1.0 * span],
        ]
    )
    for shape in (cap, lock):
        cv2.fillPoly(picture, [shape.round().astype(np.int32)], HAIR)
    return picture


def drawn_garment(kind: str, colour: tuple[int, int, int] = (190, 40, 50)) -> NDArray[np.uint8]:
    """A garment of one colour (300, 300, 4) with short sleeves, straight or flared, or with two legs."""
    outlines = {
        "top": [
            (115, 40),
            (150, 52),
            (185, 40),
            (225, 58),
            (268, 118),
            (232, 136),
            (214, 108),
            (212, 258),
            (88, 258),
            (86, 108),
            (68, 136),
            (32, 118),
            (75, 58),
        ],
        "dress": [(120, 20), (150, 32), (180, 20), (208, 30), (206, 110), (250, 285), (50, 285), (94, 110), (92, 30)],
        "skirt": [(100, 60), (200, 60), (245, 250), (55, 250)],
        "trousers": [(95, 15), (205, 15), (222, 285), (165, 285), (150, 110), (135, 285), (78, 285)],
        "shorts": [(85, 70), (215, 70), (235, 225), (160, 228), (150, 165), (140, 228), (65, 225)],
    }
    outlines["outerwear"] = outlines["top"]
    garment = np.zeros((300, 300, 4), np.uint8)
    cv2.fillPoly(garment, [np.array(outlines[kind], np.int32)], (*colour, 255))
    return garment
