"""Regions of a person's picture by the body's geometry: limbs, trunk, head."""

import itertools

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.outlines import SIDES, Line
from pipeline.tryon.body import ARMPIT, CROTCH, HIP, Body

SUBPIXEL_BITS = 4


def tube_mask(shape: tuple[int, int], line: Line, radii: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(H, W) a bent tube of varying width with round ends."""
    mask = np.zeros(shape, np.uint8)
    unit = 1 << SUBPIXEL_BITS
    for start, end, first, last in zip(line[:-1], line[1:], radii[:-1], radii[1:], strict=True):
        along = (end - start) / max(float(np.linalg.norm(end - start)), 1e-6)
        across = np.array([-along[1], along[0]])
        corners = [start + first * across, end + last * across, end - last * across, start - first * across]
        cv2.fillConvexPoly(mask, np.round(np.array(corners) * unit).astype(np.int32), 1, shift=SUBPIXEL_BITS)
        for centre, radius in ((start, first), (end, last)):
            middle = tuple(round(float(one) * unit) for one in centre)
            cv2.circle(mask, middle, round(float(radius) * unit), 1, cv2.FILLED, shift=SUBPIXEL_BITS)
    return mask > 0


def distance_along(line: Line, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far along a polyline the point nearest to each of `points` (H, W, 2) lies, in pixels."""
    nearest, along = np.full(points.shape[:2], np.inf), np.zeros(points.shape[:2])
    before = 0.0
    for start, end in itertools.pairwise(line):
        length = max(float(np.linalg.norm(end - start)), 1e-6)
        share = np.maximum((points - start) @ (end - start) / length**2, 0)
        distance = np.linalg.norm(points - (start + np.minimum(share, 1)[..., None] * (end - start)), axis=-1)
        closer = distance < nearest
        nearest[closer], along[closer] = distance[closer], before + (share * length)[closer]  # beyond the end it goes on
        before += length
    return along


def arm_mask(shape: tuple[int, int], body: Body, side: str, looseness: float = 1.0) -> NDArray[np.bool_]:
    """(H, W) an arm with its hand, `looseness` times as wide as the bare one."""
    line, radii = body.arm(side)
    forward = line[2] - line[1]
    hand = line[2] + 0.6 * forward
    return tube_mask(shape, np.concatenate([line, hand[None]]), np.append(radii, 1.5 * radii[2]) * looseness)


def leg_mask(shape: tuple[int, int], body: Body, side: str, looseness: float = 1.0) -> NDArray[np.bool_]:
    """(H, W) a leg without its foot."""
    line, radii = body.leg(side)
    return tube_mask(shape, line, radii * looseness)


def trunk_mask(shape: tuple[int, int], body: Body, looseness: float = 1.0) -> NDArray[np.bool_]:
    """(H, W) the trunk from the shoulders to the crotch."""
    levels = np.linspace(ARMPIT, CROTCH, 12)
    sides = []
    for side, sign in zip(SIDES, (-1, 1), strict=True):
        neck = body.points["neck"] + sign * body.widths.neck * body.across - 0.06 * body.torso_px * body.down
        edge = [body.on_axis(level) + sign * looseness * body.half_width(level) * body.across for level in levels]
        sides.append([neck, body.shoulder_tip(side), *edge])
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round(np.array(sides[0] + sides[1][::-1])).astype(np.int32)], 1)
    return mask > 0


def body_mask(shape: tuple[int, int], body: Body, looseness: float = 1.0) -> NDArray[np.bool_]:
    """(H, W) all of the body but the head, hands included."""
    mask = trunk_mask(shape, body, looseness)
    for side in SIDES:
        mask |= arm_mask(shape, body, side, looseness) | leg_mask(shape, body, side, looseness)
    return mask


def above_level(shape: tuple[int, int], body: Body, level: float = HIP) -> NDArray[np.bool_]:
    """(H, W) what is above a level of the torso's axis."""
    rows, columns = np.indices(shape)
    offset = np.stack([columns, rows], axis=-1) - body.shoulders
    return np.asarray(offset @ body.down < level * body.torso_px)
