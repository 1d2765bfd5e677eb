"""Outlines of masks: the axis of symmetry, runs and corners, and parts between two edges."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

COARSE_PX, FINE_PX = 64, 160  # heights at which the axis is searched
RUNGS = 9  # lines across a part, first and last included
SIDES = ("left", "right")  # the viewer's

Point = NDArray[np.float64]  # (2,), x and y in pixels
Line = NDArray[np.float64]  # (N, 2)
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Part:
    """A part of a garment between two lines of equal length, (N, 2) each, from the top to the hem or the cuff."""

    first: Line  # of a trunk or a leg: the left edge; of a sleeve: the upper or outer one
    second: Line


def largest_piece(mask: Mask) -> Mask:
    """The largest connected piece, its holes filled."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return np.zeros_like(mask)
    filled = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(filled, [max(outlines, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    return filled > 0


def symmetry_axis(mask: Mask) -> tuple[float, Point]:
    """Tilt in degrees, within 20, and a point of the axis about which the mask mirrors onto itself best."""
    rows, columns = np.nonzero(mask)
    centre = np.array([columns.mean(), rows.mean()])
    tilt, offset = _best_axis(mask, centre, COARSE_PX, np.arange(-20, 21, 5.0), 0.0, np.arange(-0.1, 0.11, 0.025))
    tilt, offset = _best_axis(mask, centre, FINE_PX, tilt + np.arange(-4, 4.1, 1.0), offset, np.arange(-0.02, 0.021, 0.005))
    angle = np.radians(tilt)
    return tilt, centre + offset * mask.shape[0] * np.array([np.cos(angle), np.sin(angle)])


def _best_axis(
    mask: Mask,
    centre: Point,
    height_px: int,
    tilts: NDArray[np.float64],
    offset: float,
    offsets: NDArray[np.float64],
) -> tuple[float, float]:
    """Tilt, and offset from the centre relative to the mask's height, at which mask and mirror image overlap most."""
    scale = height_px / mask.shape[0]
    small = cv2.resize(mask.astype(np.float32), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    side = 2 * int(np.hypot(*small.shape) / 2) + 1  # odd: the middle is a pixel's
    weight = float(small.sum())
    best = (-1.0, 0.0, 0.0)
    for tilt in tilts:
        for shift in offset + offsets:
            turn = cv2.getRotationMatrix2D((float(centre[0] * scale), float(centre[1] * scale)), float(tilt), 1.0)
            turn[:, 2] += side // 2 - centre * scale - [shift * height_px, 0.0]
            upright = cv2.warpAffine(small, turn, (side, side))
            overlap = float(np.minimum(upright, upright[:, ::-1]).sum()) / weight - 0.002 * abs(tilt)
            best = max(best, (overlap, float(tilt), float(shift)))
    return best[1], best[2]


def upright(mask: Mask, tilt: float, middle: Point) -> tuple[Mask, NDArray[np.float64]]:
    """The mask turned so that its axis is the middle column, and the (2, 3) turn that did it."""
    side = int(np.ceil(2 * max(np.linalg.norm(corner - middle) for corner in _corners(mask)))) + 4
    turn: NDArray[np.float64] = np.asarray(cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), tilt, 1.0), np.float64)
    turn[:, 2] += side / 2 - middle
    return cv2.warpAffine(mask.astype(np.uint8), turn, (side, side), flags=cv2.INTER_NEAREST) > 0, turn


def _corners(mask: Mask) -> NDArray[np.float64]:
    height, width = mask.shape
    return np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)


def resampled(line: Line, count: int) -> Line:
    """`count` points at equal distances along a polyline."""
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    along = np.concatenate([[0], np.cumsum(steps)])
    wanted = np.linspace(0, along[-1], count)
    return np.stack([np.interp(wanted, along, line[:, axis]) for axis in (0, 1)], axis=-1)


def run_at(mask: Mask, row: int, column: int) -> tuple[int, int] | None:
    """First and last column of the row's run that holds `column` or is nearest to it; None in an empty row or below all."""
    found = np.flatnonzero(mask[row]) if row < len(mask) else np.empty(0, np.intp)
    if not len(found):
        return None
    runs = np.split(found, np.flatnonzero(np.diff(found) > 1) + 1)
    run = min(runs, key=lambda one: max(one[0] - column, column - one[-1], 0))
    return int(run[0]), int(run[-1])


def edges_at(mask: Mask, rows: NDArray[np.int_], column: int) -> Part:
    """Left and right edge of the run around `column`, in each of `rows`."""
    left, right = [], []
    for row in rows:
        run = run_at(mask, int(row), column)
        if run is not None:
            left.append([run[0], row])
            right.append([run[1] + 1, row])
    return Part(np.array(left, np.float64).reshape(-1, 2), np.array(right, np.float64).reshape(-1, 2))


def row_extent(mask: Mask) -> tuple[int, int]:
    rows = np.flatnonzero(mask.any(axis=1))
    return int(rows[0]), int(rows[-1])


def corners_of(mask: Mask) -> dict[str, Point]:
    """The four corners of a piece, where it reaches farthest along the diagonals; hooks and straps do not count."""
    reach = max(int(0.06 * mask.any(axis=0).sum()), 1)
    solid = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((reach, reach), np.uint8)) > 0
    rows, columns = np.nonzero(solid if solid.any() else mask)
    places = {
        "left_top": columns + 1.2 * rows,
        "right_top": -columns + 1.2 * rows,
        "left_bottom": columns - 1.2 * rows,
        "right_bottom": -columns - 1.2 * rows,
    }
    nearest = {name: int(np.argmin(cost)) for name, cost in places.items()}
    return {
        name: np.array([columns[place] + ("right" in name), rows[place] + ("bottom" in name)], np.float64)
        for name, place in nearest.items()
    }


def between_corners(mask: Mask, left: tuple[Point, Point], right: tuple[Point, Point]) -> Part:
    """The part between two edges of the mask, each from a corner at the top to one at the bottom."""
    middle = mask.shape[1] // 2
    edges = []
    for place, (top, bottom) in enumerate((left, right)):
        rows = np.linspace(top[1], bottom[1], 24)[1:-1].round().astype(int)
        found = edges_at(mask, rows, middle)
        line = found.first if place == 0 else found.second
        edges.append(resampled(np.concatenate([top[None], line, bottom[None]]), RUNGS))
    return Part(edges[0], edges[1])
