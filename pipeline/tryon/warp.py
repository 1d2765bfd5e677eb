"""Thin-plate splines from a person's picture back to a garment's, as stiff as it takes not to fold.

Bookstein, Principal Warps, 1989; with the smoothing of Wahba 1990: minimises squared misses plus `stiffness` times the bending.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.outlines import Line

STIFFNESSES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # tried in turn; after the last, a similarity, which cannot fold
CELL_PX = 4.0  # of the grid on which a spline is evaluated and checked
LEAST_JACOBIAN = 0.02  # relative to the similarity's


@dataclass(frozen=True)
class Spline:
    """A map of the plane: `affine` (3, 2) of (1, x, y), plus `weights` (N, 2) times r² log r² of the distance to `centres`."""

    centres: Line  # (N, 2), relative to `origin` and in units of `size`
    weights: Line
    affine: Line
    origin: Line
    size: float

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """The images (…, 2) of points (…, 2)."""
        flat = (points.reshape(-1, 2) - self.origin) / self.size
        squared = ((flat[:, None] - self.centres) ** 2).sum(-1)
        mapped = self.affine[0] + flat @ self.affine[1:] + _kernel(squared) @ self.weights
        return np.asarray(mapped.reshape(points.shape))


def _kernel(squared: NDArray[np.float64]) -> NDArray[np.float64]:
    return squared * np.log(np.maximum(squared, 1e-12))


def thin_plate_spline(source: Line, target: Line, stiffness: float) -> Spline:
    """The spline from points `source` (N, 2) near to `target` (N, 2)."""
    origin, size = source.mean(axis=0), max(float(np.ptp(source, axis=0).max()), 1.0)
    centres = (source - origin) / size
    count = len(centres)
    kernel = _kernel(((centres[:, None] - centres) ** 2).sum(-1)) + stiffness * np.eye(count)
    ones = np.column_stack([np.ones(count), centres])
    system = np.block([[kernel, ones], [ones.T, np.zeros((3, 3))]])
    solved = np.linalg.lstsq(system, np.concatenate([target, np.zeros((3, 2))]), rcond=None)[0]
    return Spline(centres, solved[:count], solved[count:], origin, size)


def similarity(source: Line, target: Line) -> Spline:
    """The turn, scale and shift from `source` nearest to `target` by least squares (Umeyama 1991), as a spline."""
    origin, size = source.mean(axis=0), max(float(np.ptp(source, axis=0).max()), 1.0)
    centred, wanted = (source - origin) / size, target - target.mean(axis=0)
    norm = max(float((centred**2).sum()), 1e-12)
    cosine = float((centred * wanted).sum()) / norm
    sine = float((centred[:, 0] * wanted[:, 1] - centred[:, 1] * wanted[:, 0]).sum()) / norm
    turn = np.array([[cosine, sine], [-sine, cosine]])
    return Spline(centred[:1], np.zeros((1, 2)), np.concatenate([target.mean(axis=0)[None], turn]), origin, size)


def jacobians(mapped: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signed areas (H - 1, W - 1, 2) of the two triangles into which each cell of a mapped grid (H, W, 2) is cut."""
    right, down = np.diff(mapped, axis=1), np.diff(mapped, axis=0)
    upper = right[:-1, :, 0] * down[:, :-1, 1] - right[:-1, :, 1] * down[:, :-1, 0]
    lower = right[1:, :, 0] * down[:, 1:, 1] - right[1:, :, 1] * down[:, 1:, 0]
    return np.stack([upper, lower], axis=-1)


@dataclass(frozen=True)
class PartWarp:
    """A part's map from the person's pixels to the garment's, on a grid over the part's place in the picture."""

    left: int
    top: int
    grid: NDArray[np.float64]  # (h, w, 2) garment pixels at every CELL_PX
    stiffness: float  # infinite for the similarity
    inside: NDArray[np.bool_]  # (h - 1, w - 1) cells that show the part

    @property
    def least_jacobian(self) -> float:
        """The smallest signed area of a triangle that shows the part, in garment pixels; positive if nothing folds."""
        areas = jacobians(self.grid)[self.inside]
        return float(areas.min()) if len(areas) else 1.0

    def maps(self, samples: int = 1) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """x and y in the garment at `samples` × `samples` places of each pixel of the grid's rectangle, for cv2.remap."""
        height, width = (np.array(self.grid.shape[:2]) - 1) * int(CELL_PX) * samples
        y, x = (np.mgrid[:height, :width].astype(np.float32) + 0.5) / samples - 0.5
        cells = self.grid.astype(np.float32)
        return tuple(  # type: ignore[return-value]
            cv2.remap(
                np.ascontiguousarray(cells[..., axis]),
                x / CELL_PX,
                y / CELL_PX,
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for axis in (0, 1)
        )


def part_warp(source: Line, target: Line, source_outline: Line, target_outline: Line) -> PartWarp:
    """The least stiff warp that takes `target` points to `source` points without folding."""
    margin = 0.04 * float(np.ptp(target_outline, axis=0).max()) + 2 * CELL_PX
    low = np.floor(target_outline.min(axis=0) - margin).astype(int)
    counts = np.ceil((target_outline.max(axis=0) + margin - low) / CELL_PX).astype(int) + 1
    x, y = np.meshgrid(low[0] + CELL_PX * np.arange(counts[0]), low[1] + CELL_PX * np.arange(counts[1]))
    places = np.stack([x, y], axis=-1)
    base = similarity(target, source)
    least = LEAST_JACOBIAN * abs(float(np.linalg.det(base.affine[1:]))) / base.size**2 * CELL_PX**2
    near = _near(places, target_outline, margin)
    for stiffness in (*STIFFNESSES, np.inf):
        spline = base if np.isinf(stiffness) else thin_plate_spline(target, source, stiffness)
        grid = spline(places)
        inside = _near(grid, source_outline, 0.0) & near
        cells = inside[1:, 1:] | inside[:-1, 1:] | inside[1:, :-1] | inside[:-1, :-1]
        warp = PartWarp(int(low[0]), int(low[1]), grid, float(stiffness), cells)
        if warp.least_jacobian > least:
            return warp
    return warp


def _near(points: NDArray[np.float64], outline: Line, margin: float) -> NDArray[np.bool_]:
    """Which points (H, W, 2) are inside the polygon or within `margin` of it."""
    low = outline.min(axis=0) - margin - 4
    size = np.ceil(outline.max(axis=0) + margin + 4 - low).astype(int)
    shrunk = 400 / max(float(size.max()), 400.0)
    mask = np.zeros((int(size[1] * shrunk) + 1, int(size[0] * shrunk) + 1), np.uint8)
    cv2.fillPoly(mask, [np.round((outline - low) * shrunk).astype(np.int32)], 1)
    reach = round(margin * shrunk)
    if reach:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        mask = np.asarray(cv2.dilate(mask, disc), np.uint8)
    places = np.round((points - low) * shrunk)
    inside = ((places >= 0) & (places < np.array(mask.shape[::-1]))).all(axis=-1)
    clipped = np.clip(places, 0, np.array(mask.shape[::-1]) - 1).astype(int)
    return np.asarray(inside & (mask[clipped[..., 1], clipped[..., 0]] > 0))
