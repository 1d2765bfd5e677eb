"""The trunk, shoulders and sleeves of a top, a dress or outerwear, from its upright mask."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.imaging.garment_kinds import Kind
from pipeline.imaging.outlines import RUNGS, SIDES, Line, Mask, Part, Point, largest_piece, resampled, run_at

MIN_SLEEVE = 0.28  # length of a sleeve from the armhole's middle, relative to the trunk's half-width
MIN_SLEEVE_AREA = 0.04  # relative to the square of the half-width
CUFF = 0.07  # of the sleeve's length: what is so near its end is the cuff
HIGHEST_ARMPIT, DEFAULT_ARMPIT, LOWEST_ARMPIT = 0.15, 0.65, 1.5  # below the collar, relative to the trunk's half-width
BESIDE_TRUNK = (1.05, 1.1, 1.16, 1.24)  # where a gap below the sleeve is looked for, relative to the trunk's half-width
# Sleeves that lie beside the trunk, by widths of the outline at shares of the length:
DRAWN_IN = 0.93  # below gaps or short sleeves the middle is narrower than this share of the chest with its sleeves
ENDS = 0.93  # near the hem the outline is narrower than this share of the middle, if sleeves end above
BELOW_HEM = 1.03  # of the length on the axis: what hangs lower is cuffs
STEP_WITHIN, STEP_REACH, STEP = (0.35, 0.8), 0.03, 0.82  # an outline that narrows so much within so little
GAPS_APART = 0.3  # of the trunk's half-width: gaps of one garment are not further apart in height
BUST = 1.1  # width relative to that of a dress's waist, where its sleeves end
TRUNK_BESIDE_SLEEVES = 0.8  # share of the width that the trunk then has
MAX_FLARE = 0.7  # pixels that a trunk's edge moves outwards from one row to the next
FLARE_BESIDE_SLEEVES = 0.05


@dataclass(frozen=True)
class UpperShape:
    """Named points, the trunk below the armpits, and sleeves by side."""

    points: Mapping[str, Point]
    trunk: Part
    sleeves: Mapping[str, Part]


def upper_shape(mask: Mask, kind: Kind) -> UpperShape:
    """The shape of an upright top, dress or jacket. Raises InputError if nothing of it lies on the middle column."""
    middle = mask.shape[1] // 2
    on_axis = np.flatnonzero(mask[:, middle - 1 : middle + 2].any(axis=1))
    if not len(on_axis):
        raise InputError("the garment lies beside its own axis; choose a picture of one garment on a plain ground")
    collar, hem = int(on_axis[0]), int(on_axis[-1])
    half = _trunk_half_width(mask, collar, hem)
    necks = {side: _neck(mask, side, half) for side in SIDES}
    gaps = {side: _gap_below_sleeve(mask, side, half, collar, hem) for side in SIDES}
    beside_sleeves = _half_width_beside_sleeves(mask, kind, gaps, half, collar, hem)
    if beside_sleeves is not None:
        half = beside_sleeves
        necks = {side: _neck(mask, side, half) for side in SIDES}
        gaps = dict.fromkeys(SIDES)
    armpits = _armpits(mask, half, collar, hem, gaps, beside_sleeves=beside_sleeves is not None)
    points: dict[str, Point] = {"collar": np.array([middle, collar], np.float64)}
    sides: dict[str, Line] = {}
    limbs: dict[str, Part] = {}
    for side in SIDES:
        shoulder = _shoulder(mask, side, armpits[side], necks[side])
        sides[side] = _trunk_side(mask, side, armpits[side], hem, MAX_FLARE if beside_sleeves is None else FLARE_BESIDE_SLEEVES)
        sleeve = _sleeve(mask, side, shoulder, sides[side], half)
        points |= {f"{side}_neck": necks[side], f"{side}_shoulder": shoulder, f"{side}_armpit": armpits[side]}
        points[f"{side}_hem"] = sides[side][-1]
        if sleeve is not None:
            limbs[side] = sleeve
            points[f"{side}_cuff"] = (sleeve.first[-1] + sleeve.second[-1]) / 2
    if len(limbs) == 1:  # a sleeve folded behind the garment: better none than one
        limbs = {}
        points = {name: point for name, point in points.items() if not name.endswith("cuff")}
    trunk = Part(*(resampled(sides[side], RUNGS) for side in SIDES))
    return UpperShape(points, trunk, limbs)


def _trunk_half_width(mask: Mask, collar: int, hem: int) -> float:
    """Half-width at the chest, without sleeves: the narrowest run about the axis, between a third of the length and the hem."""
    length = hem - collar
    middle = mask.shape[1] // 2
    widths = []
    for row in range(collar + int(0.3 * length), collar + int(0.75 * length)):
        run = run_at(mask, row, middle)
        if run is not None and run[0] <= middle <= run[1]:
            widths.append(min(middle - run[0], run[1] - middle))
    return max(float(np.percentile(widths, 15)) if widths else mask.any(axis=0).sum() / 2, 4.0)


def _neck(mask: Mask, side: str, half: float) -> Point:
    """The side of the neck's opening: the highest point of the outline between the axis and the shoulder."""
    middle = mask.shape[1] // 2
    sign = -1 if side == "left" else 1
    columns = middle + sign * np.arange(max(int(0.22 * half), 1), max(int(0.62 * half), 3))
    columns = columns[(columns >= 0) & (columns < mask.shape[1])]
    tops = np.array([np.argmax(mask[:, column]) if mask[:, column].any() else mask.shape[0] for column in columns])
    high = np.flatnonzero(tops <= tops.min() + 0.03 * half)  # a collar is flat on top
    return np.array([columns[high[len(high) // 2]], tops.min()], np.float64)


def _half_width_beside_sleeves(
    mask: Mask, kind: Kind, gaps: Mapping[str, int | None], half: float, collar: int, hem: int
) -> float | None:
    """The trunk's half-width where sleeves lie along it without a gap, a guess by the outline; None where none do.

    Where the outline narrows at a step, sleeves end. Below gaps or short sleeves it draws in; beside long ones it does not, but
    they end above the hem, or their cuffs show below it. A dress, which widens anyway, needs the step, and a jacket no end.
    """
    left, right = gaps["left"], gaps["right"]
    if left is not None and right is not None and abs(left - right) < GAPS_APART * half:
        return None
    length = hem - collar
    widths = {share: int(_row(mask, collar + share * length).sum()) for share in (0.2, 0.3, 0.45, 0.6, 0.75, 0.9)}
    if kind != "dress" and widths[0.45] < DRAWN_IN * max(widths[0.2], widths[0.3]):
        return None
    below_step = _width_below_step(mask, collar, length)
    if below_step is not None:
        return (BUST if kind == "dress" else 1.0) * below_step / 2
    ends_above = widths[0.9] < ENDS * max(widths[share] for share in (0.45, 0.6, 0.75))
    ends_below = bool(_row(mask, collar + BELOW_HEM * length).any())
    hang = kind == "outerwear" or (kind == "top" and (ends_above or ends_below))
    return TRUNK_BESIDE_SLEEVES * widths[0.45] / 2 if hang else None


def _width_below_step(mask: Mask, collar: int, length: int) -> float | None:
    """The outline's width below the steepest step at which it narrows; None without one."""
    shares = np.arange(*STEP_WITHIN, 0.01)
    above, below = (
        np.array([_row(mask, collar + (share + way * STEP_REACH) * length).sum() for share in shares]) for way in (-1, 1)
    )
    steepest = int(np.argmin(below / np.maximum(above, 1)))
    return float(below[steepest]) if below[steepest] < STEP * above[steepest] else None


def _row(mask: Mask, row: float) -> NDArray[np.bool_]:
    """The row (W,) of `mask` nearest to `row`; empty beyond it."""
    return mask[round(row)] if round(row) < len(mask) else np.zeros(mask.shape[1], np.bool_)


def _armpits(
    mask: Mask, half: float, collar: int, hem: int, rows: Mapping[str, int | None], *, beside_sleeves: bool
) -> dict[str, Point]:
    """Where the lower edges of the sleeves meet the trunk: in these rows; where the mask has no gap, mirrored or a guess."""
    middle = mask.shape[1] // 2
    guess = collar + min(DEFAULT_ARMPIT * half, 0.45 * (hem - collar))
    known = [row for row in rows.values() if row is not None]
    armpits = {}
    for side, sign in (("left", -1), ("right", 1)):
        row = rows[side]
        if row is None or (len(known) == 2 and abs(row - np.mean(known)) > 0.3 * half):
            row = max(known) if known else int(guess)
        run = run_at(mask, min(row + max(int(0.04 * half), 2), mask.shape[0] - 1), middle)
        edge = half if run is None else abs((run[0] if side == "left" else run[1] + 1) - middle)
        if beside_sleeves or (not known and edge > 1.25 * half):
            edge = min(edge, half)  # what lies further out is a sleeve
        edge = float(np.clip(edge, 0.8 * half, 1.25 * half))
        armpits[side] = np.array([middle + sign * edge, row], np.float64)
    return armpits


def _gap_below_sleeve(mask: Mask, side: str, half: float, collar: int, hem: int) -> int | None:
    """The row below a sleeve, just beside the trunk; None without a gap there."""
    sign = -1 if side == "left" else 1
    for share in BESIDE_TRUNK:
        column = mask.shape[1] // 2 + sign * int(share * half)
        if not (0 <= column < mask.shape[1] and mask[:, column].any()):
            continue
        first = int(np.argmax(mask[:, column]))
        below = np.flatnonzero(~mask[first:, column])
        end = first + int(below[0]) if len(below) else mask.shape[0]
        if collar + HIGHEST_ARMPIT * half < end < collar + min(LOWEST_ARMPIT * half, 0.7 * (hem - collar)):
            return end
    return None


def _trunk_side(mask: Mask, side: str, armpit: Point, hem: int, max_flare: float) -> Line:
    """The trunk's edge from the armpit down to the hem; where a sleeve touches it, straight on."""
    middle = mask.shape[1] // 2
    sign = -1 if side == "left" else 1
    edge = abs(float(armpit[0]) - middle)
    line = [armpit]
    widest = edge
    for row in range(int(armpit[1]) + 1, hem):
        run = run_at(mask, row, middle)
        if run is None:
            break
        found = abs((run[0] if side == "left" else run[1] + 1) - middle)
        if found < 0.75 * widest and row > armpit[1] + 0.8 * (hem - armpit[1]):
            break  # below the corner of a curved hem
        edge = float(np.clip(found, edge - MAX_FLARE, edge + max_flare))
        widest = max(widest, edge)
        line.append(np.array([middle + sign * edge, row], np.float64))
    return np.array(line)


def _shoulder(mask: Mask, side: str, armpit: Point, neck: Point) -> Point:
    """The tip of the shoulder: on the upper outline, a little inside the armpit."""
    middle = mask.shape[1] // 2
    sign = -1 if side == "left" else 1
    outermost = int(max(0.97 * abs(armpit[0] - middle), abs(neck[0] - middle) + 2))
    for offset in range(outermost, int(abs(neck[0] - middle)), -1):
        column = int(np.clip(middle + sign * offset, 0, mask.shape[1] - 1))
        rows = np.flatnonzero(mask[:, column])
        if len(rows) and rows[0] < neck[1] + 0.75 * (armpit[1] - neck[1]):
            return np.array([column, rows[0]], np.float64)
    return neck + np.array([sign * 2.0, 1.0])


def _sleeve(mask: Mask, side: str, shoulder: Point, trunk_side: Line, half: float) -> Part | None:
    """The sleeve between its outer and its inner edge; None if the garment has none."""
    height, width = mask.shape
    away = -4.0 if side == "left" else width + 4.0
    armpit, hem = trunk_side[0], trunk_side[-1]
    beside = [-1.5 if side == "left" else 1.5, 0.0]
    below = [point + beside for point in trunk_side[1:]]
    above = np.array([shoulder[0], -height])
    border = [above, shoulder, armpit, *below, [hem[0], 2.0 * height], [away, 2.0 * height], [away, -height]]
    outside = np.zeros(mask.shape, np.uint8)
    cv2.fillPoly(outside, [np.round(border).astype(np.int32)], 1)
    piece = largest_piece(mask & (outside > 0))
    if not piece.any():
        return None
    rows, columns = np.nonzero(piece)
    start = (shoulder + armpit) / 2
    reach = float(np.hypot(columns - start[0], rows - start[1]).max())
    touches = float(np.hypot(columns - start[0], rows - start[1]).min()) < 0.3 * half
    if not touches or reach < MIN_SLEEVE * half or piece.sum() < MIN_SLEEVE_AREA * half**2:
        return None
    outlines, _ = cv2.findContours(piece.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return _between_edges(max(outlines, key=cv2.contourArea)[:, 0].astype(np.float64), shoulder, armpit)


def _between_edges(outline: Line, shoulder: Point, armpit: Point) -> Part:
    """A sleeve's two edges from its outline, which passes the shoulder, the cuff and the armpit."""
    outline = np.roll(outline, -int(np.argmin(np.linalg.norm(outline - shoulder, axis=1))), axis=0)
    at_armpit = int(np.argmin(np.linalg.norm(outline - armpit, axis=1)))
    ahead, back = outline[: at_armpit + 1], np.concatenate([outline[at_armpit:], outline[:1]])[::-1]
    start = (shoulder + armpit) / 2
    path = max((ahead, back), key=lambda line: float(np.linalg.norm(line - start, axis=1).sum()))
    distances = np.linalg.norm(path - start, axis=1)
    # The direction at the cuff, of a bent sleeve not that of the whole.
    towards = path[distances > 0.8 * distances.max()].mean(axis=0) - start
    towards /= max(float(np.linalg.norm(towards)), 1e-6)
    along = (path - start) @ towards
    cuff = np.flatnonzero(along > along.max() - max(CUFF * along.max(), 2.0))
    outer, inner = path[: max(cuff[0] + 1, 2)], path[min(cuff[-1], len(path) - 2) :][::-1]
    return Part(
        resampled(np.concatenate([shoulder[None], outer]), RUNGS), resampled(np.concatenate([armpit[None], inner]), RUNGS)
    )
