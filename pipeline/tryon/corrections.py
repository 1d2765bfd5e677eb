"""Smooth displacements of where a garment's parts go, linear in a few numbers; the geometric fit stays as it is with all at 0.

Along and across the torso, a displacement is bilinear in how far down the garment and how far off the axis a point lies; a
sleeve moves with its shoulder. Sleeves and legs, both alike, also become wider, longer or turn outwards towards their ends.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.outlines import RUNGS, Line
from pipeline.tryon.body import Body
from pipeline.tryon.fitting import PlacedPart

TORSO_TERMS = 4  # 1, down, off the axis, and their product
COUNT = 2 * TORSO_TERMS + 3  # numbers of a correction, in units of the distance between the shoulders

Numbers = NDArray[np.float64]  # (COUNT,)


def corrected(parts: Sequence[PlacedPart], body: Body, numbers: Numbers) -> list[PlacedPart]:
    """The parts (fitting.placed_parts) with their targets displaced."""
    low, high = _levels(parts, body)
    moved = []
    for part in parts:
        target, outline = (line + _basis(line, part, body, low, high) @ numbers for line in (part.target, part.target_outline))
        moved.append(replace(part, target=target, target_outline=outline))
    return moved


def _levels(parts: Sequence[PlacedPart], body: Body) -> tuple[float, float]:
    """Levels of the highest and of the lowest point of a garment, without its sleeves."""
    levels = [body.level_of(point) for part in parts if not _is_sleeve(part) for point in part.target]
    return min(levels), max(levels)


def _is_sleeve(part: PlacedPart) -> bool:
    return part.name.endswith("sleeve")


def _basis(points: Line, part: PlacedPart, body: Body, low: float, high: float) -> NDArray[np.float64]:
    """(N, 2, COUNT) derivatives in pixels of the displacements of a part's control points or of its outline's."""
    span = body.shoulders_px
    count = len(part.target_outline) // 2
    held = points
    if _is_sleeve(part):  # as its shoulder
        held = np.broadcast_to((part.target_outline[0] + part.target_outline[-1]) / 2, points.shape)
    offset = held - body.shoulders
    down = np.clip((offset @ body.down / body.torso_px - low) / max(high - low, 1e-6), 0, 1)
    side = offset @ body.across / span
    terms = np.stack([np.ones_like(down), down, side, down * side], axis=-1)[:, None]  # (N, 1, TORSO_TERMS)
    along_torso = [body.across[:, None] * terms, body.down[:, None] * terms]
    if part.name == "trunk":
        return span * np.concatenate([*along_torso, np.zeros((len(points), 2, 3))], axis=-1)
    first, second = part.target_outline[:count], part.target_outline[count:][::-1]
    middles = (first + second) / 2
    share = np.clip((np.arange(count) - (count - RUNGS)) / (RUNGS - 1), 0, 1)  # 0 in the half of a trunk above a leg
    tangents = np.gradient(middles, axis=0)
    tangents /= np.maximum(np.linalg.norm(tangents, axis=1, keepdims=True), 1e-6)
    outwards = np.stack([tangents[:, 1], -tangents[:, 0]], axis=-1) * (-1 if part.name.startswith("left") else 1)
    length = sum(float(np.linalg.norm(step)) for step in np.diff(middles[count - RUNGS :], axis=0)) / span
    rungs = [
        np.stack(
            [(edge - middles) / span * share[:, None], length * share[:, None] * tangents, share[:, None] * outwards], axis=-1
        )
        for edge in (first, middles, second)
    ]
    own = np.concatenate(rungs if len(points) == 3 * count else [rungs[0], rungs[2][::-1]])
    return span * np.concatenate([*along_torso, own], axis=-1)
