"""Where the parts of a garment are, from the outline of its mask: trunk, sleeves or legs, each between two lines.

A garment lies flat or hangs, about upright, seen from the front. Points are (x, y) in its pixels; left and right the viewer's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.imaging.garment_kinds import LEGGED, UPPER, Kind
from pipeline.imaging.garment_masks import cielab
from pipeline.imaging.outlines import (
    RUNGS,
    Line,
    Mask,
    Part,
    Point,
    between_corners,
    corners_of,
    edges_at,
    largest_piece,
    resampled,
    row_extent,
    symmetry_axis,
    upright,
)
from pipeline.imaging.upper_garments import upper_shape

MIN_AREA = 0.01  # of the picture
HIGH_COLLAR = 1.1  # height above the shoulders, relative to half the opening, from which a neck is closed
NO_LEGS = "the legs of these trousers are not to be told apart; choose a picture with both legs visible"
DEFAULT_NECKLINE, LEAST_CONTRAST = 0.5, 7.0  # depth relative to half the opening; CIELAB


@dataclass(frozen=True)
class GarmentAnchors:
    """A garment's parts, and named points that a person may correct."""

    kind: Kind
    points: Mapping[str, Point]  # neck, shoulder, armpit, cuff, waist, crotch, hem, as far as the kind has them
    trunk: Part  # of trousers and shorts: from the waist to the crotch
    limbs: Mapping[str, Part]  # sleeves or legs by side
    neckline: float  # depth of the front's neckline below the neck's sides, relative to half the opening


@dataclass(frozen=True)
class StraightMask:
    """The largest piece of a mask, turned so that its axis of symmetry is the middle column."""

    mask: Mask
    turn: NDArray[np.float64]  # (2, 3), from the picture's pixels


def straightened(mask: Mask) -> StraightMask:
    """The garment under `mask` (H, W), upright. Raises InputError if there is none."""
    mask = largest_piece(mask)
    if mask.sum() < MIN_AREA * mask.size:
        raise InputError("the garment's mask is empty or too small; choose a picture of one garment on a plain ground")
    return StraightMask(*upright(mask, *symmetry_axis(mask)))


def find_anchors(garment: NDArray[np.uint8], kind: Kind) -> GarmentAnchors:
    """The anchors of a garment (H, W, 4), RGB and straight alpha. Raises InputError if there is no garment to see."""
    straight = straightened(garment[..., 3] > 127)
    back = _turned_back(anchors_of(straight.mask, kind), straight.turn)
    return replace(back, neckline=neckline_depth(garment, back)) if kind in UPPER else back


def anchors_of(mask: Mask, kind: Kind) -> GarmentAnchors:
    """The anchors of an upright mask, its neckline 0.

    Raises InputError if trousers' legs cannot be told apart, or if nothing of an upper garment lies on the middle column.
    """
    return _legged(mask, kind) if kind in LEGGED else _skirt(mask) if kind == "skirt" else _upper(mask, kind)


def neckline_depth(garment: NDArray[np.uint8], anchors: GarmentAnchors) -> float:
    """How far the front's neckline lies below the neck's sides, relative to half the opening: where the colours change most.

    0 for a collar or a hood, behind which no back is to be seen.
    """
    left, right = anchors.points["left_neck"], anchors.points["right_neck"]
    shoulders = (anchors.points["left_shoulder"] + anchors.points["right_shoulder"]) / 2
    middle, half = (left + right) / 2, max(float(np.linalg.norm(right - left)) / 2, 1.0)
    across = (right - left) / (2 * half)
    down = np.array([-across[1], across[0]])
    if (shoulders - middle) @ down > HIGH_COLLAR * half:
        return 0.0
    lab = np.asarray(
        cv2.GaussianBlur(cielab(np.ascontiguousarray(garment[..., :3])), (0, 0), max(0.03 * half, 0.5)), np.float32
    )
    collar = float((anchors.points["collar"] - middle) @ down) / half
    angles = np.radians(np.linspace(25, 155, 27))
    best = (LEAST_CONTRAST, 0.0 if anchors.kind == "outerwear" else DEFAULT_NECKLINE)
    for depth in np.arange(max(collar, 0.0) + 0.15, 1.6, 0.05):
        above, below = (
            _sampled(lab, middle + half * (np.outer(np.cos(angles), across) + (depth + step) * np.outer(np.sin(angles), down)))
            for step in (-0.09, 0.09)
        )
        contrast = float(np.median(np.linalg.norm(above - below, axis=-1)))
        best = max(best, (contrast, float(depth)))
    return best[1]


def _sampled(picture: NDArray[np.float32], points: Line) -> NDArray[np.float32]:
    x, y = points.astype(np.float32).T
    return np.asarray(cv2.remap(picture, x[None], y[None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))[0]


def _turned_back(found: GarmentAnchors, turn: NDArray[np.float64]) -> GarmentAnchors:
    back = cv2.invertAffineTransform(turn)

    def point(line: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(line @ back[:, :2].T + back[:, 2])

    return GarmentAnchors(
        found.kind,
        {name: point(one) for name, one in found.points.items()},
        Part(point(found.trunk.first), point(found.trunk.second)),
        {side: Part(point(part.first), point(part.second)) for side, part in found.limbs.items()},
        found.neckline,
    )


def _upper(mask: Mask, kind: Kind) -> GarmentAnchors:
    shape = upper_shape(mask, kind)
    return GarmentAnchors(kind, shape.points, shape.trunk, shape.sleeves, 0.0)


def _skirt(mask: Mask) -> GarmentAnchors:
    corners = corners_of(mask)
    trunk = between_corners(
        mask, (corners["left_top"], corners["left_bottom"]), (corners["right_top"], corners["right_bottom"])
    )
    points = {
        "left_waist": corners["left_top"],
        "right_waist": corners["right_top"],
        "left_hem": corners["left_bottom"],
        "right_hem": corners["right_bottom"],
    }
    return GarmentAnchors("skirt", points, trunk, {}, 0.0)


def _crotch(mask: Mask) -> Point:
    """Where the gap between the legs ends; where the legs touch, a guess from the size."""
    top, bottom = row_extent(mask)
    middle = mask.shape[1] // 2
    reach = max(int(0.14 * mask.any(axis=0).sum()), 1)
    columns = np.arange(middle - reach, middle + reach + 1)
    ends = np.array([np.flatnonzero(mask[:, column])[-1] if mask[:, column].any() else bottom for column in columns])
    place = int(np.argmin(ends))
    length = bottom - top
    if bottom - ends[place] > 0.03 * length and ends[place] - top > 0.15 * length:
        level = np.flatnonzero(ends <= ends[place] + 1)
        return np.array([columns[level].mean(), ends[place] + 1], np.float64)
    waist = corners_of(mask)
    width = float(waist["right_top"][0] - waist["left_top"][0])
    return np.array([middle, top + min(0.75 * width, 0.85 * length)], np.float64)


def _legged(mask: Mask, kind: Kind) -> GarmentAnchors:
    crotch = _crotch(mask)
    top, bottom = row_extent(mask)
    while crotch[1] > top + 0.4 * (bottom - top) and min(half.mean() for half in _halves(mask, crotch).values()) < 0.004:
        crotch[1] -= 0.04 * (bottom - top)  # the trousers lie askew
    upper = mask.copy()
    upper[int(crotch[1]) + 1 :] = False
    corners = corners_of(upper)
    across = np.flatnonzero(mask[int(crotch[1]) - 1])
    if not len(across):
        raise InputError(NO_LEGS)
    ends = [np.array([column, crotch[1]], np.float64) for column in (across[0], across[-1] + 1)]
    trunk = between_corners(upper, (corners["left_top"], ends[0]), (corners["right_top"], ends[1]))
    points = {"left_waist": corners["left_top"], "right_waist": corners["right_top"], "crotch": crotch}
    limbs = {}
    for side, half in _halves(mask, crotch).items():
        if not half.any():
            raise InputError(NO_LEGS)
        outer = trunk.first[-1] if side == "left" else trunk.second[-1]
        limbs[side] = _leg(half, side, outer, crotch)
        points[f"{side}_hem"] = (limbs[side].first[-1] + limbs[side].second[-1]) / 2
    return GarmentAnchors(kind, points, trunk, limbs, 0.0)


def _halves(mask: Mask, crotch: Point) -> dict[str, Mask]:
    """The legs below the crotch, by side."""
    below = mask.copy()
    below[: int(crotch[1])] = False
    left = np.arange(mask.shape[1]) < crotch[0]
    return {"left": largest_piece(below & left), "right": largest_piece(below & ~left)}


def _leg(mask: Mask, side: str, outer: Point, crotch: Point) -> Part:
    """A leg between its left and its right edge, from the level of the crotch to its hem."""
    corners = corners_of(mask)
    start = (outer, crotch) if side == "left" else (crotch, outer)
    edges = []
    for place, (top, corner) in enumerate(zip(start, ("left_bottom", "right_bottom"), strict=True)):
        bottom = corners[corner]
        rows = np.linspace(top[1], bottom[1], 30)[1:-1].round().astype(int)
        columns = np.flatnonzero(mask.any(axis=0))
        found = edges_at(mask, rows, int(columns[0] if place == 0 else columns[-1]))
        line = found.first if place == 0 else found.second
        if not len(line):
            raise InputError(NO_LEGS)
        edges.append(resampled(np.concatenate([top[None], line, bottom[None]]), RUNGS))
    return Part(edges[0], edges[1])
