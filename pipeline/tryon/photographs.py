"""The person in a photograph: mask and joints by MediaPipe's networks, or mask by joints that a person has set by hand."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError
from pipeline.imaging.cut_outs import alpha_of
from pipeline.imaging.faces import faces_of
from pipeline.imaging.garment_kinds import LEGGED, Kind
from pipeline.imaging.outlines import SIDES, Point
from pipeline.tryon.body import ANCHORS, HIP, WAIST, Body, Widths, body_of
from pipeline.tryon.person import Person, Pixels, person_of_photograph
from pipeline.tryon.person_models import POSE, SEGMENTATION, checked_model
from pipeline.tryon.regions import body_mask, trunk_mask

NETWORK_PX = 256
LANDMARKS = {  # MediaPipe's numbers, of the person's own left and right
    "shoulder": (11, 12),
    "elbow": (13, 14),
    "wrist": (15, 16),
    "hip": (23, 24),
    "knee": (25, 26),
    "ankle": (27, 28),
}
NOSE, EARS = 0, (7, 8)
HIP_CENTRE, RIM = 33, 34  # two more: the middle of the hips, and a point of the circle about them that holds the body
ROUNDS = 2  # the region of the first comes from the mask or the face, those of later ones from the landmarks
FACE_TO_HEAD, HEADS_TO_HIPS, HEADS_IN_REGION = 1.3, 3.6, 9.0  # of the cascade's box; in heads
REGION_MARGIN = 1.25
LEAST_PRESENCE, LEAST_VISIBILITY = 0.8, 0.4  # a cat has 0.62, an astronaut 1.00
LEAST_PERSON = 0.02  # of the picture
SECOND_PERSON, SECOND_FACE = 0.35, 0.55  # relative to the first: area, height
BEHIND = 0.12  # depth behind the hips, relative to the network's picture, from which a wrist is behind the trunk
WIDTH_LIMITS = (0.85, 1.3)  # of measured half-widths, relative to an average body's
LEAST_TRUNK_PX, LEAST_TORSO = 4.0, 0.2  # of a body by hand; relative to the distance between the shoulders
CLOTHES = 0.96  # a body's half-width relative to that of its clothes

NO_PERSON = (
    "no person is to be seen in this photograph; choose one that shows a person from the front, or set the anchors by hand"
)
TWO_PEOPLE = "there is more than one person in this photograph; crop it to the one who is to wear the garment"
NO_SHOULDERS = "the shoulders are not both in this photograph; choose one that shows the person from the head to the hips"
NO_LEGS = "the hips are not in this photograph, so that {kind} cannot be tried on; choose one that shows the legs"


Region = tuple[NDArray[np.float64], float]  # centre and side of a square in pixels


@dataclass(frozen=True)
class FoundPose:
    """Joints found in a photograph, and which of them are in view."""

    points: Mapping[str, Point]
    visible: frozenset[str]
    arms_behind: frozenset[str]


class PersonFinder:
    """MediaPipe's two networks, read by OpenCV. Not thread-safe."""

    def __init__(self, folder: Path) -> None:
        """Raises InputError if the models are missing or other files."""
        contents = [np.frombuffer(checked_model(folder, model), np.uint8) for model in (SEGMENTATION, POSE)]
        self._segmentation, self._pose = (cv2.dnn.readNetFromTFLite(content) for content in contents)

    def __call__(self, picture: NDArray[np.uint8]) -> Person:
        """The person in a picture (H, W, 3). Raises InputError: no person, several, or shoulders out of the picture."""
        share = self._person_share(picture)
        inside = only_person(share > 0.5, picture)
        pose = self._pose_in(picture, inside)
        alpha = alpha_of(np.where(inside, share, 0), picture) * cv2.dilate(inside.astype(np.uint8), np.ones((9, 9), np.uint8))
        body = body_of(pose.points)
        body = replace(body, widths=measured_widths(body, alpha > 0.5))
        return replace(person_of_photograph(picture, body, alpha.astype(np.float32)), arms_behind=pose.arms_behind)

    def _person_share(self, picture: NDArray[np.uint8]) -> Pixels:
        self._segmentation.setInput(_blob(cv2.resize(picture, (NETWORK_PX, NETWORK_PX), interpolation=cv2.INTER_AREA)))
        share = self._segmentation.forward()[0, 0]
        return np.asarray(cv2.resize(share, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR))

    def _pose_in(self, picture: NDArray[np.uint8], inside: NDArray[np.bool_]) -> FoundPose:
        found = [self._landmarks(picture, region) for region in first_regions(picture, inside)]
        presence, table = max(found, key=lambda one: one[0])
        if presence < LEAST_PRESENCE:
            raise InputError(NO_PERSON)
        seen = 1 / (1 + np.exp(-table[:33, 3])) > LEAST_VISIBILITY
        return pose_of_landmarks(table[:33, :2], table[:33, 2], seen, picture.shape[1::-1])

    def _landmarks(self, picture: NDArray[np.uint8], region: Region) -> tuple[float, NDArray[np.float64]]:
        """How sure the network is that the region shows a person, and 39 landmarks: x, y in the picture, depth, visibility."""
        for _ in range(ROUNDS):
            centre, side = region
            step = side / NETWORK_PX
            back = np.array([[step, 0, centre[0] - side / 2], [0, step, centre[1] - side / 2]])
            crop = cv2.warpAffine(picture, back, (NETWORK_PX, NETWORK_PX), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
            self._pose.setInput(_blob(crop))
            landmarks, presence = self._pose.forward(["Identity", "Identity_1"])
            table = landmarks.reshape(-1, 5).astype(np.float64)
            table[:, :2] = table[:, :2] * step + centre - side / 2
            table[:, 2] /= NETWORK_PX
            radius = float(np.linalg.norm(table[RIM, :2] - table[HIP_CENTRE, :2]))
            region = table[HIP_CENTRE, :2], max(2 * REGION_MARGIN * radius, 32.0)
        return float(presence.ravel()[0]), table


def first_regions(picture: NDArray[np.uint8], inside: NDArray[np.bool_]) -> list[Region]:
    """Squares that may hold the whole body: around the mask, and from the face down, where the picture cuts the body off."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    middle = (columns[0] + columns[-1]) / 2
    high, wide = rows[-1] - rows[0], columns[-1] - columns[0]
    regions = [(np.array([middle, (rows[0] + rows[-1]) / 2]), REGION_MARGIN * float(max(high, wide)))]
    for left, top, right, bottom in faces_of(Image.fromarray(picture).convert("L"))[:1]:
        head_px = FACE_TO_HEAD * (bottom - top) * picture.shape[0]
        centre = np.array([(left + right) / 2 * picture.shape[1], top * picture.shape[0] + HEADS_TO_HIPS * head_px])
        regions.append((centre, HEADS_IN_REGION * head_px))
    if rows[-1] >= inside.shape[0] - 2:
        regions.append((np.array([middle, rows[0] + 0.9 * high]), 2.2 * float(high)))
    return regions


def _blob(picture: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(picture.astype(np.float32).transpose(2, 0, 1)[None] / 255)


def only_person(inside: NDArray[np.bool_], picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The mask of the one person. Raises InputError if there is none, or more than one."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
    areas = np.sort(stats[1:, cv2.CC_STAT_AREA])[::-1] if count > 1 else np.zeros(1)
    if areas[0] < LEAST_PERSON * inside.size:
        raise InputError(NO_PERSON)
    faces = faces_of(Image.fromarray(picture).convert("L"))
    heights = sorted((bottom - top for _, top, _, bottom in faces), reverse=True)
    if (len(areas) > 1 and areas[1] > SECOND_PERSON * areas[0]) or (len(heights) > 1 and heights[1] > SECOND_FACE * heights[0]):
        raise InputError(TWO_PEOPLE)
    return np.asarray(labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))


def pose_of_landmarks(
    places: NDArray[np.float64], depths: NDArray[np.float64], seen: NDArray[np.bool_], size: tuple[int, int]
) -> FoundPose:
    """Joints by the viewer's sides from MediaPipe's 33 landmarks (33, 2). Raises InputError without both shoulders.

    `depths` are relative to the hips and grow away from the viewer; `size` is the picture's (width, height).
    """
    own_left, own_right = LANDMARKS["shoulder"]
    in_picture = np.all((places >= -0.03 * max(size)) & (places <= np.array(size) * 1.03), axis=1)
    if not (in_picture[own_left] and in_picture[own_right]):
        raise InputError(NO_SHOULDERS)
    right_first = places[own_right, 0] < places[own_left, 0]  # seen from the front
    points: dict[str, Point] = {}
    visible, behind = set(), set()
    for joint, (left, right) in LANDMARKS.items():
        for side, number in zip(SIDES, (right, left) if right_first else (left, right), strict=True):
            points[f"{side}_{joint}"] = places[number]
            if seen[number] and in_picture[number]:
                visible.add(f"{side}_{joint}")
            if joint == "wrist" and depths[number] > BEHIND:
                behind.add(side)
    shoulders = (points["left_shoulder"] + points["right_shoulder"]) / 2
    head = places[[NOSE, *EARS]].mean(axis=0)
    points["head"] = head + 0.1 * (head - shoulders)
    points["neck"] = shoulders + 0.22 * (head - shoulders)
    trunk = trunk_mask((int(size[1]), int(size[0])), body_of(points))
    inside = {side for side in behind if _is_inside(trunk, points[f"{side}_wrist"])}
    return FoundPose(points, frozenset(visible), frozenset(inside))


def _is_inside(mask: NDArray[np.bool_], point: Point) -> bool:
    column, row = np.round(point).astype(int)
    return bool(0 <= row < mask.shape[0] and 0 <= column < mask.shape[1] and mask[row, column])


def measured_widths(body: Body, inside: NDArray[np.bool_]) -> Widths:
    """The body's widths, waist and hips measured on the mask where the arms are apart from the trunk."""
    changes = {}
    for name, level in (("waist", WAIST), ("hip", HIP)):
        average = getattr(body.widths, name)
        halves = []
        for sign in (-1, 1):
            steps = np.arange(0, 1.8 * average)
            line = np.round(body.on_axis(level) + sign * steps[:, None] * body.across).astype(int)
            within = ((line >= 0) & (line < np.array(inside.shape[::-1]))).all(axis=1)
            covered = inside[line[within, 1], line[within, 0]]
            ends = np.flatnonzero(~covered)
            halves.append(float(ends[0]) if len(ends) else np.inf)  # not measured where the picture ends before the mask
        half = CLOTHES * min(halves)
        if half < WIDTH_LIMITS[1] * 1.1 * average:
            changes[name] = float(np.clip(half, WIDTH_LIMITS[0] * average, WIDTH_LIMITS[1] * average))
    return replace(body.widths, **changes)


def person_by_hand(picture: NDArray[np.uint8], anchors: Mapping[str, Point]) -> Person:
    """The person whose eight anchors (body.ANCHORS), or more joints, were set by hand; the mask by GrabCut from the body.

    Left and right are the viewer's; where the shoulders show that they are the wearer's own, they are exchanged.
    Raises InputError if an anchor is missing, or shoulders and hips show no trunk.
    """
    missing = [name for name in ANCHORS if name not in anchors]
    if missing:
        raise InputError(
            f"the anchor {missing[0].replace('_', ' ')} is not set; set all of {', '.join(ANCHORS)}".replace("_", " ")
        )
    if anchors["left_shoulder"][0] > anchors["right_shoulder"][0]:
        anchors = {_of_other_side(name): point for name, point in anchors.items()}
    body = body_of(anchors)
    if body.shoulders_px < LEAST_TRUNK_PX:
        raise InputError("the shoulders lie at one point; set each on its side of the person")
    if body.torso_px < max(LEAST_TRUNK_PX, LEAST_TORSO * body.shoulders_px):
        raise InputError("the hips lie at the shoulders; set them where the legs begin")
    return person_of_photograph(picture, body, alpha_by_body(picture, body))


def _of_other_side(joint: str) -> str:
    side, _, name = joint.partition("_")
    return f"{SIDES[1 - SIDES.index(side)]}_{name}" if side in SIDES else joint


def alpha_by_body(picture: NDArray[np.uint8], body: Body) -> Pixels:
    """(H, W) the person's alpha: GrabCut (Rother et al. 2004) from the body's own shape."""
    scale = min(1.0, 256 / max(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    shape = small.shape[:2]
    shrunk = Body({name: point * scale for name, point in body.points.items()}, body.widths.scaled(scale))
    span = shrunk.shoulders_px
    rows, columns = np.indices(shape)
    head = np.hypot(columns - shrunk.points["head"][0], rows - shrunk.points["head"][1])
    start = np.full(shape, cv2.GC_BGD, np.uint8)
    start[body_mask(shape, shrunk, 1.9) | (head < 0.65 * span)] = cv2.GC_PR_BGD
    start[body_mask(shape, shrunk, 1.15) | (head < 0.4 * span)] = cv2.GC_PR_FGD
    start[body_mask(shape, shrunk, 0.55) | (head < 0.2 * span)] = cv2.GC_FGD
    if not ((start == cv2.GC_FGD).any() and (start == cv2.GC_BGD).any()):
        return np.asarray(body_mask(picture.shape[:2], body, 1.1), np.float32)
    cv2.setRNGSeed(0)
    cv2.grabCut(small, start, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    return alpha_of((start & 1).astype(np.uint8), picture)


def refuse_without_legs(person: Person, kind: Kind) -> None:
    """Raise InputError if the garment belongs on hips and legs that are not in the picture."""
    height = person.picture.shape[0]
    if kind in ("skirt", *LEGGED) and min(person.body.points[f"{side}_hip"][1] for side in SIDES) > 0.97 * height:
        raise InputError(NO_LEGS.format(kind=kind))
