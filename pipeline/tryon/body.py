"""Where a body is in a picture: joints, half-widths, and the outline that a garment hangs on.

Points are (x, y) in pixels; left and right are the viewer's. Widths are half-widths in pixels, as seen from the front.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from pipeline.imaging.outlines import SIDES, Line, Point

ANCHORS = tuple(f"{side}_{joint}" for joint in ("shoulder", "wrist", "hip", "ankle") for side in SIDES)
JOINTS = (
    "head",
    "neck",
    *(f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in SIDES),
)
# Levels on the torso's axis: 0 at the shoulder joints, 1 at the hip joints.
ARMPIT, CHEST, WAIST, HIP, CROTCH = 0.24, 0.32, 0.68, 1.02, 1.17
TORSO_IN_SHOULDERS = 1.5  # length of the torso between joints, where the hips are not in the picture


@dataclass(frozen=True)
class Widths:
    """Half-widths in pixels."""

    neck: float
    shoulder: float  # from the axis to the tip of the shoulder
    chest: float
    waist: float
    hip: float
    upper_arm: float
    wrist: float
    thigh: float
    knee: float
    ankle: float

    def scaled(self, factor: float) -> "Widths":
        """All of them times `factor`."""
        return Widths(**{name: value * factor for name, value in vars(self).items()})


# In units of the distance between the shoulder joints, of an average adult (mannequins.Measures' defaults).
AVERAGE = Widths(0.16, 0.585, 0.49, 0.41, 0.53, 0.135, 0.075, 0.255, 0.155, 0.1)


@dataclass(frozen=True)
class Body:
    """Joints by name (JOINTS), and widths."""

    points: Mapping[str, Point]
    widths: Widths

    @property
    def shoulders(self) -> Point:
        """The middle between the shoulder joints."""
        return (self.points["left_shoulder"] + self.points["right_shoulder"]) / 2

    @property
    def shoulders_px(self) -> float:
        """Distance between the shoulder joints."""
        return float(np.linalg.norm(self.points["right_shoulder"] - self.points["left_shoulder"]))

    @property
    def hips(self) -> Point:
        """The middle between the hip joints."""
        return (self.points["left_hip"] + self.points["right_hip"]) / 2

    @property
    def torso_px(self) -> float:
        """Length of the torso from the shoulder joints to the hip joints."""
        return max(float(np.linalg.norm(self.hips - self.shoulders)), 1.0)

    @property
    def down(self) -> Point:
        """Unit vector along the torso."""
        return (self.hips - self.shoulders) / self.torso_px

    @property
    def across(self) -> Point:
        """Unit vector across the torso, to the viewer's right."""
        return np.array([self.down[1], -self.down[0]])

    def on_axis(self, level: float) -> Point:
        """The point of the torso's axis at `level`."""
        return self.shoulders + level * self.torso_px * self.down

    def level_of(self, point: Point) -> float:
        """The level of a point, by its projection on the axis."""
        return float((point - self.shoulders) @ self.down) / self.torso_px

    @cached_property
    def _half_width(self) -> PchipInterpolator:
        w = self.widths
        levels = [-0.3, ARMPIT - 0.04, CHEST, WAIST, HIP, CROTCH]
        return PchipInterpolator(levels, [w.chest, w.chest, w.chest, w.waist, w.hip, w.hip * 0.98])

    def half_width(self, level: float) -> float:
        """Half-width of the torso at `level`, without the arms."""
        return float(self._half_width(np.clip(level, -0.3, CROTCH)))

    def outline(self, level: float) -> tuple[float, float]:
        """Offsets (left, right) from the axis to the outermost of torso and legs at `level`; the left one is negative."""
        if level <= CROTCH:
            half = self.half_width(level)
            return -half, half
        offsets: list[float] = []
        for side in SIDES:
            middle, radius = self.leg_at_level(side, level)
            offset = float((middle - self.shoulders) @ self.across)
            offsets += [offset - radius, offset + radius]
        return min(offsets), max(offsets)

    def leg_at_level(self, side: str, level: float) -> tuple[Point, float]:
        """Centre and half-width of a leg at a level of the torso's axis."""
        line, radii = self.leg(side)
        levels = np.array([self.level_of(point) for point in line])
        order = np.argsort(levels)
        middle = np.array([np.interp(level, levels[order], line[order, axis]) for axis in (0, 1)])
        return middle, float(np.interp(level, levels[order], radii[order]))

    def arm(self, side: str) -> tuple[Line, NDArray[np.float64]]:
        """(3, 2) shoulder, elbow, wrist, and the half-widths there."""
        line = np.stack([self.points[f"{side}_{joint}"] for joint in ("shoulder", "elbow", "wrist")])
        w = self.widths
        return line, np.array([w.upper_arm, (w.upper_arm + w.wrist) / 2, w.wrist])

    def leg(self, side: str) -> tuple[Line, NDArray[np.float64]]:
        """(3, 2) hip, knee, ankle, and the half-widths there."""
        line = np.stack([self.points[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle")])
        w = self.widths
        return line, np.array([w.thigh, w.knee, w.ankle])

    def shoulder_tip(self, side: str) -> Point:
        """Where the shoulder ends and the arm begins, on the outline."""
        sign = -1 if side == "left" else 1
        joint = self.points[f"{side}_shoulder"]
        half = abs(float((joint - self.shoulders) @ self.across))
        outward = max(self.widths.shoulder - half, 0.3 * self.widths.upper_arm)
        return joint + sign * outward * 0.75 * self.across - 0.9 * self.widths.upper_arm * self.down

    def armpit(self, side: str) -> Point:
        """Where the arm leaves the torso, on the torso's outline."""
        sign = -1 if side == "left" else 1
        return self.on_axis(ARMPIT) + sign * self.half_width(ARMPIT) * self.across

    def moved(self, changes: Mapping[str, Point]) -> "Body":
        """The body with some joints elsewhere."""
        return replace(self, points={**self.points, **changes})


def body_of(anchors: Mapping[str, Point], widths: Widths | None = None) -> Body:
    """The body with these joints; those that are missing are put where a straight, average body has them.

    The shoulders are needed. Raises KeyError without them.
    """
    points = {name: np.asarray(point, np.float64) for name, point in anchors.items() if name in JOINTS}
    left, right = points["left_shoulder"], points["right_shoulder"]
    span = max(float(np.linalg.norm(right - left)), 1.0)
    across = (right - left) / span
    down = np.array([-across[1], across[0]])
    middle = (left + right) / 2
    points.setdefault("neck", middle - 0.12 * span * down)
    points.setdefault("head", middle - 0.75 * span * down)
    for side, sign in (("left", -1), ("right", 1)):
        shoulder = points[f"{side}_shoulder"]
        points.setdefault(f"{side}_hip", middle + TORSO_IN_SHOULDERS * span * down + sign * 0.29 * span * across)
        points.setdefault(f"{side}_wrist", shoulder + 1.65 * span * down + sign * 0.3 * span * across)
        points.setdefault(f"{side}_elbow", shoulder + 0.54 * (points[f"{side}_wrist"] - shoulder))
        hip = points[f"{side}_hip"]
        points.setdefault(f"{side}_ankle", hip + 2.4 * span * down)
        points.setdefault(f"{side}_knee", hip + 0.5 * (points[f"{side}_ankle"] - hip))
    return Body(points, widths or AVERAGE.scaled(span))
