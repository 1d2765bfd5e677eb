"""Mannequins drawn to measures, in any pose, with their joints, mask and parts known to the pixel."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.outlines import SIDES, Point
from pipeline.tryon.body import ARMPIT, CROTCH, HIP, Body, Widths

HEIGHT_PX, WIDTH_PX = 512, 384
FIGURE_SHARE = 0.92  # of the picture's height
SUPERSAMPLING = 2
# Heights above the floor, relative to the figure's height; lengths likewise.
TOP_OF_NECK, SHOULDER, HIP_JOINT = 0.862, 0.815, 0.52
UPPER_ARM, FOREARM, HAND = 0.178, 0.150, 0.085
THIGH, SHIN = 0.245, 0.235
HEAD_HALF_HEIGHT, HEAD_HALF_WIDTH = 0.068, 0.047
CHEST_DEPTH, WAIST_DEPTH, HIP_DEPTH = 0.72, 0.74, 0.72  # depth of the trunk relative to its width
HIP_JOINTS_IN_HIPS = 0.5  # distance of a hip joint from the axis, in half-widths of the hips
GROIN = ((1.08, 0.8), (1.14, 0.45), (CROTCH, 0.0))  # level, share of the half-width: the trunk ends between the legs
LINEN = (196, 182, 164)
GROUND = (236, 233, 228)
LIGHT = np.array([-0.45, -0.35, 0.82])  # from the upper left, towards the viewer
PARTS = ("ground", "head", "neck", "torso", *(f"{side}_{limb}" for limb in ("arm", "hand", "leg", "foot") for side in SIDES))
PART = {name: index for index, name in enumerate(PARTS)}


@dataclass(frozen=True)
class Measures:
    """Measures of a body in centimetres; chest, waist and hip are girths, the shoulder is a breadth."""

    height_cm: float = 170.0
    shoulder_cm: float = 39.0
    chest_cm: float = 92.0
    waist_cm: float = 76.0
    hip_cm: float = 98.0


@dataclass(frozen=True)
class Pose:
    """Angles in degrees. An arm or leg hangs straight down at 0 and is lifted outwards by positive angles."""

    arms: Mapping[str, tuple[float, float]] = field(default_factory=lambda: dict.fromkeys(SIDES, (14.0, 8.0)))
    """By side: of the upper arm, and of the forearm (negative: bent inwards, in front of the body)."""
    legs: Mapping[str, tuple[float, float]] = field(default_factory=lambda: dict.fromkeys(SIDES, (4.0, 3.0)))
    lean: float = 0.0
    """Of the whole figure, clockwise."""
    yaw: float = 0.0
    """Turn of the trunk away from the viewer."""
    arms_behind: frozenset[str] = frozenset()
    """Sides whose arm is behind the trunk."""


@dataclass(frozen=True)
class Figure:
    """A drawn person."""

    picture: NDArray[np.uint8]  # (H, W, 3)
    parts: NDArray[np.uint8]  # (H, W) index into PARTS
    body: Body


def half_width_of_girth(girth: float, depth: float) -> float:
    """Half-width of an ellipse with this girth and this depth relative to its width (Ramanujan 1914)."""
    return girth / (np.pi * (3 * (1 + depth) - np.sqrt((3 + depth) * (1 + 3 * depth))))


def half_girth_in_widths(depth: float) -> float:
    """Half the girth of an ellipse, relative to its width: how much wider a garment is lying flat than worn."""
    return 1 / (4 * half_width_of_girth(1.0, depth))


def mannequin_body(measures: Measures, pose: Pose, height_px: int = HEIGHT_PX, width_px: int = WIDTH_PX) -> Body:
    """The body of a mannequin that stands in the middle of a picture of this size."""
    tall = FIGURE_SHARE * height_px
    scale = tall / measures.height_cm  # pixels per centimetre
    floor = np.array([width_px / 2, height_px * (1 + FIGURE_SHARE) / 2])
    turned = np.cos(np.radians(pose.yaw))
    chest = half_width_of_girth(measures.chest_cm, CHEST_DEPTH) * scale
    hip = half_width_of_girth(measures.hip_cm, HIP_DEPTH) * scale
    arm = 0.3 * chest
    widths = Widths(
        neck=0.034 * tall,
        shoulder=measures.shoulder_cm / 2 * scale * turned,
        chest=chest * turned,
        waist=half_width_of_girth(measures.waist_cm, WAIST_DEPTH) * scale * turned,
        hip=hip * turned,
        upper_arm=arm,
        wrist=0.56 * arm,
        thigh=0.48 * hip,
        knee=0.295 * hip,
        ankle=0.19 * hip,
    )
    points = {
        "head": floor - [0, (TOP_OF_NECK + HEAD_HALF_HEIGHT) * tall],
        "neck": floor - [0, (SHOULDER + 0.012) * tall],
    }
    for side, sign in (("left", -1), ("right", 1)):
        shoulder = floor + np.array([sign * max(widths.shoulder - 0.62 * arm, 0.6 * widths.shoulder), -SHOULDER * tall])
        hip_joint = floor + np.array([sign * HIP_JOINTS_IN_HIPS * widths.hip, -HIP_JOINT * tall])
        upper, fore = pose.arms[side]
        thigh, shin = pose.legs[side]
        elbow = shoulder + UPPER_ARM * tall * _hanging(upper, sign)
        knee = hip_joint + THIGH * tall * _hanging(thigh, sign)
        points |= {
            f"{side}_shoulder": shoulder,
            f"{side}_elbow": elbow,
            f"{side}_wrist": elbow + FOREARM * tall * _hanging(fore, sign),
            f"{side}_hip": hip_joint,
            f"{side}_knee": knee,
            f"{side}_ankle": knee + SHIN * tall * _hanging(shin, sign),
        }
    return Body({name: _turned(point, floor, pose.lean) for name, point in points.items()}, widths)


def draw_mannequin(
    measures: Measures,
    pose: Pose,
    height_px: int = HEIGHT_PX,
    width_px: int = WIDTH_PX,
    *,
    colours: Mapping[str, tuple[int, int, int]] | None = None,
    ground: tuple[int, int, int] = GROUND,
) -> Figure:
    """The mannequin, shaded as if lit from the upper left; `colours` may clothe parts (PARTS) in colours of their own."""
    body = mannequin_body(measures, pose, height_px, width_px)
    canvas = _Canvas(height_px, width_px, ground, colours or {})
    tall = FIGURE_SHARE * height_px
    for side in SIDES:
        if side in pose.arms_behind:
            _draw_arm(canvas, body, side, tall)
    for side in SIDES:
        line, radii = body.leg(side)
        toe = line[2] + 0.05 * tall * np.array([-0.35 if side == "left" else 0.35, 0.75])
        canvas.tube(f"{side}_foot", np.stack([line[2], toe]), np.array([radii[2], 1.15 * radii[2]]))
        canvas.tube(f"{side}_leg", line, radii)
    head = body.points["head"]
    chin = head + 0.55 * HEAD_HALF_HEIGHT * tall * body.down
    canvas.tube("neck", np.stack([chin, body.points["neck"] + 0.02 * tall * body.down]), np.full(2, body.widths.neck))
    canvas.trunk(body)
    canvas.ellipse("head", head, body, HEAD_HALF_WIDTH * tall, HEAD_HALF_HEIGHT * tall)
    for side in SIDES:
        if side not in pose.arms_behind:
            _draw_arm(canvas, body, side, tall)
    return Figure(*canvas.finished(), body)


def _draw_arm(canvas: "_Canvas", body: Body, side: str, tall: float) -> None:
    line, radii = body.arm(side)
    forward = (line[2] - line[1]) / max(float(np.linalg.norm(line[2] - line[1])), 1e-6)
    canvas.tube(f"{side}_arm", line, radii)
    tip = line[2] + HAND * tall * forward
    canvas.tube(f"{side}_hand", np.stack([line[2], (line[2] + tip) / 2, tip]), radii[2] * np.array([1.0, 1.3, 0.6]))


def _hanging(degrees: float, sign: int) -> Point:
    return np.array([sign * np.sin(np.radians(degrees)), np.cos(np.radians(degrees))])


def _turned(point: Point, centre: Point, degrees: float) -> Point:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return centre + np.array([[cosine, -sine], [sine, cosine]]) @ (point - centre)


class _Canvas:
    """Parts painted one over another, each shaded like a rounded body."""

    def __init__(
        self, height: int, width: int, ground: tuple[int, int, int], colours: Mapping[str, tuple[int, int, int]]
    ) -> None:
        self._size = (width, height)
        y, x = np.mgrid[: height * SUPERSAMPLING, : width * SUPERSAMPLING].astype(np.float32)
        self._pixels = (np.stack([x + 0.5, y + 0.5], axis=-1) / SUPERSAMPLING).astype(np.float32)
        self._colours = colours
        self._picture = np.full((*x.shape, 3), ground, np.float32)
        self._parts = np.zeros(x.shape, np.uint8)

    def _window(self, points: NDArray[np.float64], margin: float) -> tuple[slice, slice]:
        """Rows and columns of the canvas within `margin` of the points."""
        low = np.floor((points.min(axis=0) - margin) * SUPERSAMPLING).astype(int)
        high = np.ceil((points.max(axis=0) + margin) * SUPERSAMPLING).astype(int)
        return slice(max(low[1], 0), max(high[1], 0)), slice(max(low[0], 0), max(high[0], 0))

    def _paint(
        self,
        name: str,
        window: tuple[slice, slice],
        inside: NDArray[np.bool_],
        across: NDArray[np.float32],
        facing: NDArray[np.float32],
    ) -> None:
        """Shade by a normal whose offset `across` in [-1, 1] points along the unit vectors `facing` (…, 2)."""
        sideways = np.clip(across, -1, 1)[..., None] * facing
        normal = np.dstack([sideways, np.sqrt(np.maximum(1 - (sideways**2).sum(-1), 0))])
        shade = 0.55 + 0.5 * np.maximum(normal @ LIGHT.astype(np.float32), 0)
        colour = np.array(self._colours.get(name, LINEN), np.float32)
        self._picture[window][inside] = (colour * shade[..., None])[inside]
        self._parts[window][inside] = PART[name]

    def tube(self, name: str, line: NDArray[np.float64], radii: NDArray[np.float64]) -> None:
        """A bent tube of varying width with round ends."""
        window = self._window(line, float(radii.max()))
        pixels = self._pixels[window]
        nearest = np.full(pixels.shape[:2], np.inf, np.float32)
        facing = np.zeros(pixels.shape, np.float32)
        for start, end, first, last in zip(line[:-1], line[1:], radii[:-1], radii[1:], strict=True):
            along = (end - start).astype(np.float32)
            share = np.clip(((pixels - start.astype(np.float32)) @ along) / max(float(along @ along), 1e-6), 0, 1)
            offset = pixels - start.astype(np.float32) - share[..., None] * along
            distance = np.hypot(offset[..., 0], offset[..., 1])
            relative = distance / (np.float32(first) + share * np.float32(last - first))
            closer = relative < nearest
            nearest[closer] = relative[closer]
            facing[closer] = (offset / np.maximum(distance, 1e-6)[..., None])[closer]
        self._paint(name, window, nearest <= 1, nearest, facing)

    def ellipse(self, name: str, centre: Point, body: Body, half_width: float, half_height: float) -> None:
        """An ellipse upright along the trunk."""
        window = self._window(centre[None], half_height)
        offset = self._pixels[window] - centre.astype(np.float32)
        x = offset @ (body.across / half_width).astype(np.float32)
        y = offset @ (body.down / half_height).astype(np.float32)
        radius = np.hypot(x, y)
        direction = (np.stack([x, y], axis=-1) / np.maximum(radius, 1e-6)[..., None]).astype(np.float32)
        self._paint(name, window, radius <= 1, radius, direction)

    def trunk(self, body: Body) -> None:
        """The trunk from the neck to the crotch, with sloping shoulders."""
        outline = trunk_outline(body)
        window = self._window(outline, 1.0)
        mask = np.zeros(self._parts.shape, np.uint8)
        cv2.fillPoly(mask, [np.round(outline * SUPERSAMPLING * 8).astype(np.int32)], 1, shift=3)
        offset = self._pixels[window] - body.shoulders.astype(np.float32)
        x, level = offset @ body.across.astype(np.float32), offset @ (body.down / body.torso_px).astype(np.float32)
        grid = np.linspace(-0.3, CROTCH, 64)
        half = np.interp(level, grid, [body.half_width(one) for one in grid]).astype(np.float32)
        facing = np.broadcast_to(body.across.astype(np.float32), (*x.shape, 2))
        self._paint("torso", window, mask[window] > 0, 0.9 * x / half, facing)

    def finished(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The picture and its parts at the size asked for."""
        picture = cv2.resize(self._picture, self._size, interpolation=cv2.INTER_AREA)
        parts = self._parts[SUPERSAMPLING // 2 :: SUPERSAMPLING, SUPERSAMPLING // 2 :: SUPERSAMPLING]
        return picture.clip(0, 255).round().astype(np.uint8), np.ascontiguousarray(parts)


def trunk_outline(body: Body) -> NDArray[np.float64]:
    """(N, 2) polygon of the trunk, without arms and legs."""
    levels = np.linspace(ARMPIT, HIP, 24)
    sides = []
    for side, sign in (("left", -1), ("right", 1)):
        neck = body.points["neck"] + sign * body.widths.neck * body.across
        tip = body.shoulder_tip(side)
        slope = [neck - 0.16 * body.torso_px * body.down, neck - 0.06 * body.torso_px * body.down]
        slope += [neck + 0.35 * (tip - neck) - 0.012 * body.torso_px * body.down, tip]
        below = [body.on_axis(level) + sign * body.half_width(level) * body.across for level in levels]
        groin = [body.on_axis(level) + sign * share * body.half_width(level) * body.across for level, share in GROIN]
        sides.append([*slope, *below, *groin])
    return np.array(sides[0] + sides[1][::-1])
