"""A person in a picture, taken apart: who is in front of a garment, what is clothed, what is skin."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.garment_masks import cielab
from pipeline.imaging.outlines import SIDES
from pipeline.tryon.body import Body
from pipeline.tryon.mannequins import PART, Figure
from pipeline.tryon.regions import above_level, arm_mask, trunk_mask

Pixels = NDArray[np.float32]
Mask = NDArray[np.bool_]

SKIN_DISTANCE = 17.0  # CIELAB, lightness at a third of its weight
HAIR_DISTANCE = 16.0
LIGHTNESS_WEIGHT = 0.35
DEFAULT_SKIN = (0.78, 0.6, 0.5)
# Relative to the distance of the shoulders.
HEAD_RADIUS, CHIN, NECK_RADIUS, LONGEST_HAIR = 0.52, 0.24, 0.36, 1.25
LEAST_HAIR_PX = 20
EDGE_PX = 0.8  # softening of masks


@dataclass(frozen=True)
class Person:
    """A picture of a person and its regions, all (H, W)."""

    picture: NDArray[np.uint8]  # (H, W, 3)
    body: Body
    alpha: Pixels  # of the whole person
    head: Pixels  # face and hair: in front of a garment
    neck: Pixels  # in front of a garment only in its opening
    arms: Mapping[str, Pixels]  # with hands, by side
    clothed: Mask  # what the clothes in the picture cover
    skin: tuple[float, float, float]  # RGB in [0, 1]
    arms_behind: frozenset[str] = frozenset()  # sides whose arm is behind the trunk


def soft(mask: Mask, sigma: float = EDGE_PX) -> Pixels:
    """A mask with softened edges, in [0, 1]."""
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma))


def person_of_figure(figure: Figure, arms_behind: frozenset[str] = frozenset(), clothed: Mask | None = None) -> Person:
    """A drawn figure as a person; its parts are known to the pixel."""
    parts = figure.parts
    head, neck = parts == PART["head"], parts == PART["neck"]
    arms = {side: soft((parts == PART[f"{side}_arm"]) | (parts == PART[f"{side}_hand"])) for side in SIDES}
    bare = figure.picture[parts > 0] if clothed is None else figure.picture[head | neck]
    skin = tuple(float(one) for one in np.median(bare, axis=0) / 255)
    nothing = np.zeros(parts.shape, np.bool_) if clothed is None else clothed
    return Person(figure.picture, figure.body, soft(parts > 0), soft(head), soft(neck), arms, nothing, skin, arms_behind)  # type: ignore[arg-type]


def person_of_photograph(picture: NDArray[np.uint8], body: Body, alpha: Pixels) -> Person:
    """A photographed person, by the body's joints, the person's alpha and colours of skin and hair."""
    shape = picture.shape[:2]
    inside = alpha > 0.5
    lab = cielab(picture) * np.array([LIGHTNESS_WEIGHT, 1, 1], np.float32)
    face = _disc(shape, body.points["head"], 0.2 * body.shoulders_px) & inside
    skin_colour = np.median(lab[face], axis=0) if face.any() else lab.mean(axis=(0, 1))
    rgb = np.median(picture[face], axis=0) / 255 if face.any() else np.array(DEFAULT_SKIN)
    skin = (np.linalg.norm(lab - skin_colour, axis=-1) < SKIN_DISTANCE) & inside
    head, neck = _head_and_neck(lab, body, inside, skin)
    arms = {}
    for side in SIDES:
        arm = arm_mask(shape, body, side, 1.35) & inside & ~head & ~neck
        # Before the trunk, only what has the colour of skin or is within the arm's own width is the arm.
        arms[side] = soft(arm & (skin | arm_mask(shape, body, side) | ~trunk_mask(shape, body)), 1.2)
    clothed = inside & ~head & ~neck & ~_opened(skin)
    return Person(
        picture, body, alpha, soft(head, 1.0), soft(neck, 1.0), arms, clothed, (float(rgb[0]), float(rgb[1]), float(rgb[2]))
    )


def _disc(shape: tuple[int, int], centre: NDArray[np.float64], radius: float) -> Mask:
    rows, columns = np.indices(shape)
    return np.asarray(np.hypot(columns - centre[0], rows - centre[1]) < radius)


def _opened(mask: Mask) -> Mask:
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0


def _head_and_neck(lab: Pixels, body: Body, inside: Mask, skin: Mask) -> tuple[Mask, Mask]:
    """Face and hair, with the hair that falls on the shoulders; and the skin of the neck."""
    shape, span = inside.shape, body.shoulders_px
    chin = body.level_of(body.points["head"] + CHIN * span * body.down)
    head = inside & _disc(shape, body.points["head"], HEAD_RADIUS * span) & above_level(shape, body, chin)
    neck = inside & _opened(skin) & ~head & above_level(shape, body, 0.12)
    neck &= _disc(shape, body.points["neck"] - 0.1 * span * body.down, NECK_RADIUS * span)
    hair_place = head & ~skin & above_level(shape, body, body.level_of(body.points["head"]) - 0.12)
    if hair_place.sum() < LEAST_HAIR_PX:
        return head, neck
    hair = np.linalg.norm(lab - np.median(lab[hair_place], axis=0), axis=-1) < HAIR_DISTANCE
    near = _disc(shape, body.points["head"], LONGEST_HAIR * span) & above_level(shape, body, 0.55)
    _, labels = cv2.connectedComponents((_opened(hair & inside & ~skin & near) | head).astype(np.uint8))
    of_head = np.unique(labels[head])
    return np.isin(labels, of_head[of_head > 0]), neck
