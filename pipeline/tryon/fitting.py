"""Where each part of a garment goes on a body: control points of the warp, by the kind of garment and the fit.

A garment that lies flat shows half its girth; worn, it shows the width of an ellipse of that girth. So a flat width is divided
by `half_girth_in_widths` of the body's cross-section, and is never less than the body itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from pipeline.imaging.garment_anchors import GarmentAnchors, Part
from pipeline.imaging.garment_kinds import LEGGED
from pipeline.imaging.outlines import SIDES, Line, Point
from pipeline.tryon.body import ARMPIT, CROTCH, Body
from pipeline.tryon.mannequins import CHEST_DEPTH, HIP_DEPTH, half_girth_in_widths

Fit = Literal["tight", "regular", "loose"]
FITS: tuple[Fit, ...] = get_args(Fit)
EASE: dict[Fit, float] = {"tight": 0.0, "regular": 0.08, "loose": 0.2}  # of the girth
OUTERWEAR_EASE = 0.08  # more, over other garments
TRUNK_WRAP = half_girth_in_widths(CHEST_DEPTH)
HIP_WRAP = half_girth_in_widths(HIP_DEPTH)
LIMB_WRAP = half_girth_in_widths(1.0)  # a round arm or leg: π / 2
HANGING_WRAP = 1.25  # a skirt's hem, which no body fills
SKIN_EASE = 0.03  # what even a tight garment adds to the body's width
MAX_SLEEVE, MAX_LEG = 2.3, 1.9  # half-width of a sleeve or a leg, relative to the arm's or leg's
SKIRT_WAIST, HIGHEST_WAIST, LOWEST_WAIST = 0.74, 0.62, 0.92  # levels
LONGEST_TOP = CROTCH + 0.15  # level of the hem
LONG = 0.8  # of the arm or the leg: a longer sleeve or leg ends at the wrist or the ankle


@dataclass(frozen=True)
class PlacedPart:
    """Control points (N, 2) of a part in the garment's picture and in the person's, and the part's outline in both."""

    name: str
    source: Line
    target: Line
    source_outline: Line
    target_outline: Line


def placed_parts(garment: GarmentAnchors, body: Body, fit: Fit = "regular") -> list[PlacedPart]:
    """The parts of a garment on a body: the trunk first, then limbs by side."""
    ease = EASE[fit] + (OUTERWEAR_EASE if garment.kind == "outerwear" else 0.0)
    if garment.kind in LEGGED:
        return _legged(garment, body, ease)
    if garment.kind == "skirt":
        return [_skirt(garment, body, ease)]
    return _upper(garment, body, ease)


def _width(part: Part, place: int) -> float:
    return float(np.linalg.norm(part.second[place] - part.first[place]))


def _middles(part: Part) -> Line:
    return (part.first + part.second) / 2


def _length(line: Line) -> float:
    return float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())


def _limb_length(garment: GarmentAnchors) -> float:
    """Length of a sleeve or leg, the mean of both sides."""
    return float(np.mean([_length(_middles(limb)) for limb in garment.limbs.values()]))


def _distances(line: Line) -> Line:
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])


def _outline(part: Part) -> Line:
    return np.concatenate([part.first, part.second[::-1]])


def _with_middles(part: Part) -> Line:
    return np.concatenate([part.first, _middles(part), part.second])


def _hung(
    part: Part, body: Body, scale: float, level_of: Callable[[float], float], ease: float, wrap: float, most: float = np.inf
) -> Part:
    """The rungs of a trunk or skirt on the body's axis; `level_of` gives the level of a distance below the first rung."""
    first, second = [], []
    for place, distance in enumerate(_distances(_middles(part))):
        level = level_of(float(distance))
        left, right = body.outline(level)
        hanging = np.clip((level - 1.0) / 0.6, 0, 1)
        wrapped = wrap + hanging * (min(wrap, HANGING_WRAP) - wrap)
        drape = scale * _width(part, place) / 2 / wrapped
        least = 1 + SKIN_EASE + 0.3 * ease
        middle, half = (left + right) / 2, (right - left) / 2
        half = float(np.clip(drape, least * half, max(most, least) * half))
        origin = body.shoulders + level * body.torso_px * body.down
        first.append(origin + (middle - half) * body.across)
        second.append(origin + (middle + half) * body.across)
    return Part(np.array(first), np.array(second))


def _skirt(garment: GarmentAnchors, body: Body, ease: float) -> PlacedPart:
    part = garment.trunk
    at_waist = 2 * body.half_width(SKIRT_WAIST) * HIP_WRAP * (1 + 0.4 * ease) / _width(part, 0)
    at_hips = 2 * body.widths.hip * HIP_WRAP * (1 + ease) / max(_width(part, place) for place in (2, 3))
    scale = float(np.clip(at_waist, 0.85 * at_hips, 1.1 * at_hips))
    hung = _hung(part, body, scale, lambda distance: SKIRT_WAIST + scale * distance / body.torso_px, ease, HIP_WRAP)
    return PlacedPart("trunk", _with_middles(part), _with_middles(hung), _outline(part), _outline(hung))


def _legged(garment: GarmentAnchors, body: Body, ease: float) -> list[PlacedPart]:
    part = garment.trunk
    scale = 2 * body.widths.hip * HIP_WRAP * (1 + ease) / _width(part, 6)
    crotch_level = CROTCH + 0.03 + 0.1 * ease
    rise = _length(_middles(part))
    waist = float(np.clip(crotch_level - scale * rise / body.torso_px, HIGHEST_WAIST, LOWEST_WAIST))
    hung = _hung(part, body, scale, lambda distance: waist + (crotch_level - waist) * distance / rise, ease, HIP_WRAP, 1.12)
    crotch = body.on_axis(crotch_level)
    parts = []
    for side in SIDES:
        leg = garment.limbs[side]
        line, radii = _leg_below(body, side, crotch_level)
        outer = hung.first[-1] if side == "left" else hung.second[-1]
        start = (outer, crotch) if side == "left" else (crotch, outer)
        length = _fitting_length(scale * _limb_length(garment), _length(line), 1.03)
        placed = _along(leg, line, radii, start, scale, length, 1 + SKIN_EASE + 0.4 * ease, MAX_LEG, -1)
        # Half of the trunk goes with each leg, so that both share the points of the middle.
        upper, upper_target = (_half_trunk(one, side) for one in (part, hung))
        source, target = (
            Part(np.concatenate([above.first[:-1], below.first]), np.concatenate([above.second[:-1], below.second]))
            for above, below in ((upper, leg), (upper_target, placed))
        )
        parts.append(
            PlacedPart(f"{side}_leg", _with_middles(source), _with_middles(target), _outline(source), _outline(target))
        )
    return parts


def _half_trunk(part: Part, side: str) -> Part:
    return Part(part.first, _middles(part)) if side == "left" else Part(_middles(part), part.second)


def _leg_below(body: Body, side: str, level: float) -> tuple[Line, Line]:
    """The leg's line from a level of the torso's axis, and its half-widths."""
    start, radius = body.leg_at_level(side, level)
    line, radii = body.leg(side)
    return np.concatenate([start[None], line[1:]]), np.concatenate([[radius], radii[1:]])


def _fitting_length(wanted: float, limb: float, longest: float) -> float:
    return float(np.clip(wanted, 0.97 * limb, longest * limb)) if wanted > LONG * limb else wanted


def _along(
    part: Part,
    line: Line,
    radii: Line,
    start: tuple[Point, Point],
    scale: float,
    length: float,
    least: float,
    most: float,
    sign: int,
) -> Part:
    """The rungs of a sleeve or leg across a bent limb; the first rung is `start`, between the part's first and second edge.

    `sign` is -1 if the first edge is on the viewer's left of a limb that hangs down.
    """
    distances = _distances(line)
    wanted = _distances(_middles(part))
    wanted = wanted / max(wanted[-1], 1e-6) * length
    beyond = line[-1] + (line[-1] - line[-2]) / max(float(np.linalg.norm(line[-1] - line[-2])), 1e-6) * length
    longer = np.concatenate([line, beyond[None]])
    longer_distances = _distances(longer)

    def at(distance: float) -> Point:
        return np.array([np.interp(distance, longer_distances, longer[:, axis]) for axis in (0, 1)])

    first, second = [start[0]], [start[1]]
    smoothing = 1.2 * float(radii.mean())
    for place, distance in enumerate(wanted[1:], start=1):
        along = at(distance + smoothing) - at(max(distance - smoothing, 0))
        along /= max(float(np.linalg.norm(along)), 1e-6)
        towards_first = np.array([-along[1], along[0]]) if sign < 0 else np.array([along[1], -along[0]])
        radius = float(np.interp(distance, distances, radii))
        half = float(np.clip(scale * _width(part, place) / 2 / LIMB_WRAP, least * radius, most * radius))
        centre = (at(max(distance - 0.5 * smoothing, 0)) + at(distance) + at(distance + 0.5 * smoothing)) / 3
        rung = centre + half * towards_first, centre - half * towards_first
        share = max(1 - distance / max(0.9 * float(np.linalg.norm(start[0] - start[1])), 1e-6), 0)
        moved = [point + share * ((start[which] - _mean(start)) - (point - centre)) for which, point in enumerate(rung)]
        first.append(moved[0])
        second.append(moved[1])
    return Part(np.array(first), np.array(second))


def _mean(pair: tuple[Point, Point]) -> Point:
    return (pair[0] + pair[1]) / 2


def _upper(garment: GarmentAnchors, body: Body, ease: float) -> list[PlacedPart]:
    points, part = garment.points, garment.trunk
    flat = float(np.linalg.norm(points["right_armpit"] - points["left_armpit"]))
    scale = 2 * body.half_width(ARMPIT) * TRUNK_WRAP * (1 + ease) / flat
    armpit_level = ARMPIT + 0.03 + 0.15 * ease
    lengthwise = scale
    if garment.kind == "top":  # one that hangs in folds is narrower than its girth, and so would become too long
        lengthwise = min(scale, (LONGEST_TOP - armpit_level) * body.torso_px / _length(_middles(part)))
    hung = _hung(part, body, scale, lambda distance: armpit_level + lengthwise * distance / body.torso_px, ease, TRUNK_WRAP)
    targets = _shoulder_targets(garment, body, scale, ease)
    names = list(targets)
    source = np.concatenate([np.array([points[name] for name in names]), _with_middles(part)])
    target = np.concatenate([np.array([targets[name] for name in names]), _with_middles(hung)])
    left = ["left_neck", "left_shoulder"]
    right = ["right_shoulder", "right_neck"]
    outlines = []
    for places, trunk in ((points, part), (targets, hung)):
        upper = np.array([places[name] for name in ("collar", *left)])
        outlines.append(np.concatenate([upper, trunk.first, trunk.second[::-1], np.array([places[name] for name in right])]))
    parts = [PlacedPart("trunk", source, target, outlines[0], outlines[1])]
    for side, sign in (("left", -1), ("right", 1)):
        if side not in garment.limbs:
            continue
        sleeve = garment.limbs[side]
        line, radii = body.arm(side)
        armpit = hung.first[0] if side == "left" else hung.second[0]
        start = (targets[f"{side}_shoulder"], _underarm(body, side, armpit))
        from_armhole = np.concatenate([_mean(start)[None], line[1:]])
        length = _fitting_length(lengthwise * _limb_length(garment), _length(from_armhole), 1.03)
        placed = _along(sleeve, from_armhole, radii, start, scale, length, 1.1 + 0.5 * ease, MAX_SLEEVE, sign)
        parts.append(
            PlacedPart(f"{side}_sleeve", _with_middles(sleeve), _with_middles(placed), _outline(sleeve), _outline(placed))
        )
    return parts


def _underarm(body: Body, side: str, armpit: Point) -> Point:
    """Where a sleeve begins below: at the armpit of a lifted arm, in front of the trunk where the arm hangs."""
    line, radii = body.arm(side)
    along = (line[1] - line[0]) / max(float(np.linalg.norm(line[1] - line[0])), 1e-6)
    outward = body.across * (-1 if side == "left" else 1)
    lifted = np.degrees(np.arctan2(along @ outward, along @ body.down))
    share = float(np.clip((lifted - 15) / 45, 0, 1))
    beside = line[0] + 0.4 * radii[0] * along - 1.25 * radii[0] * (outward - (outward @ along) * along)
    return share * armpit + (1 - share) * beside


def _shoulder_targets(garment: GarmentAnchors, body: Body, scale: float, ease: float) -> dict[str, Point]:
    """Where collar, neck and shoulders of a garment go."""
    points, targets = garment.points, {}
    opening = scale * float(np.linalg.norm(points["right_neck"] - points["left_neck"])) / 2
    for side, sign in (("left", -1), ("right", 1)):
        tip = body.shoulder_tip(side) + sign * 0.3 * ease * body.widths.upper_arm * body.across
        base = body.points["neck"] + sign * 1.05 * body.widths.neck * body.across - 0.1 * body.torso_px * body.down
        reach = max(float(np.linalg.norm(tip - base)), 1.0)
        share = float(np.clip((opening - body.widths.neck) / reach, 0.06, 0.7))
        targets[f"{side}_neck"] = base + share * (tip - base)
        targets[f"{side}_shoulder"] = tip
    middle = _mean((targets["left_neck"], targets["right_neck"]))
    drop = float(points["collar"][1] - _mean((points["left_neck"], points["right_neck"]))[1])
    return {"collar": middle + scale * drop * body.down, **targets}
