"""A garment's pixels on a person's picture: each part through its own warp, as a layer with alpha."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.outlines import Line
from pipeline.tryon.fitting import PlacedPart
from pipeline.tryon.warp import PartWarp, part_warp

SEAM_PX = 2.0  # by how much neighbouring parts overlap, in the garment's pixels
SAMPLES = 2  # along each side of a pixel; a garment with finer detail than that is shrunk before it is warped
FRINGE = 0.3  # alpha below this is the old ground's fringe

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """A part of a garment in the person's picture."""

    name: str
    colour: Pixels  # (H, W, 3) in [0, 1], multiplied by alpha
    alpha: Pixels  # (H, W) in [0, 1]
    warp: PartWarp


def part_shares(alpha: Pixels, outlines: Sequence[Line]) -> list[Pixels]:
    """(H, W) for each part, 1 where the pixel belongs to it; each pixel of the garment goes to the nearest of the outlines.

    The first part, the trunk, leaves to others what is inside their outlines. Shares overlap a little along seams.
    """
    if len(outlines) == 1:
        return [np.ones_like(alpha)]
    distances = []
    for outline in outlines:
        inside = np.zeros(alpha.shape, np.uint8)
        cv2.fillPoly(inside, [np.round(outline).astype(np.int32)], 1)
        outwards = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
        distances.append(outwards - np.minimum(cv2.distanceTransform(inside, cv2.DIST_L2, 3), 1))
    nearest = np.argmin(np.stack(distances[::-1]), axis=0)  # ties to the limbs
    shares = []
    for place in range(len(outlines)):
        own = (nearest == len(outlines) - 1 - place).astype(np.float32)
        shares.append(np.clip(2 * cv2.GaussianBlur(own, (0, 0), SEAM_PX), 0, 1))
    return shares


def alpha_without_fringe(garment: NDArray[np.uint8]) -> Pixels:
    """(H, W) the alpha of a garment (H, W, 4) with its faintest and its last shares cut off."""
    share = garment[..., 3].astype(np.float32) / 255
    return np.asarray(np.clip((share - FRINGE) / (1 - 2 * FRINGE), 0, 1), np.float32)


def worn_layers(garment: NDArray[np.uint8], parts: Sequence[PlacedPart], shape: tuple[int, int]) -> list[Layer]:
    """The parts of `garment` (h, w, 4), straight alpha, in a picture of `shape` (height, width), in the order of `parts`."""
    garment, parts = shrunk(garment, parts)
    own = pixels_of_parts(garment, parts)
    return [worn_layer(pixels, part, shape) for pixels, part in zip(own, parts, strict=True)]


def pixels_of_parts(garment: NDArray[np.uint8], parts: Sequence[PlacedPart]) -> list[Pixels]:
    """(h, w, 4) for each part, its own pixels of the garment: colour in [0, 1] multiplied by alpha, and alpha."""
    alpha = alpha_without_fringe(garment)
    premultiplied = garment[..., :3].astype(np.float32) / 255 * alpha[..., None]
    shares = part_shares(alpha, [part.source_outline for part in parts])
    return [np.dstack([premultiplied * share[..., None], alpha * share]) for share in shares]


def worn_layer(own: Pixels, part: PlacedPart, shape: tuple[int, int], samples: int = SAMPLES) -> Layer:
    """A part through its warp; `own` (h, w, 4) are its pixels, of which any premultiplied three are laid like colours."""
    warp = part_warp(part.source, part.target, part.source_outline, part.target_outline)
    warped: Pixels = np.asarray(cv2.remap(own, *warp.maps(samples), cv2.INTER_LINEAR, borderValue=0), np.float32)
    if samples > 1:
        warped = np.asarray(cv2.resize(warped, None, fx=1 / samples, fy=1 / samples, interpolation=cv2.INTER_AREA), np.float32)
    warped[~_near_target(part.target_outline, warp, warped.shape[:2])] = 0
    colour, covered = np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32)
    _paste(colour, warped[..., :3], warp)
    _paste(covered, warped[..., 3], warp)
    return Layer(part.name, colour, covered, warp)


def shrunk(garment: NDArray[np.uint8], parts: Sequence[PlacedPart]) -> tuple[NDArray[np.uint8], Sequence[PlacedPart]]:
    """The garment at no more than SAMPLES times the resolution at which `parts` show it, and the parts with its points."""
    extents = [float(np.linalg.norm(np.ptp(line, axis=0))) for line in (parts[0].source_outline, parts[0].target_outline)]
    factor = SAMPLES * extents[1] / max(extents[0], 1e-6)
    if factor >= 1:
        return garment, parts
    premultiplied = garment.astype(np.float32)
    premultiplied[..., :3] *= premultiplied[..., 3:] / 255
    small: Pixels = np.asarray(cv2.resize(premultiplied, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.float32)
    small[..., :3] /= np.maximum(small[..., 3:] / 255, 1e-3)
    moved = [
        PlacedPart(one.name, one.source * factor, one.target, one.source_outline * factor, one.target_outline) for one in parts
    ]
    return small.clip(0, 255).round().astype(np.uint8), moved


def _near_target(outline: Line, warp: PartWarp, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixels of a warp's rectangle are inside the target's outline or so near that the garment's edge may be there."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round(outline - [warp.left, warp.top]).astype(np.int32)], 1)
    reach = max(int(0.05 * np.ptp(outline, axis=0).max()), 3)
    return cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))) > 0


def _paste(canvas: Pixels, piece: Pixels, warp: PartWarp) -> None:
    top, left = max(warp.top, 0), max(warp.left, 0)
    bottom, right = min(warp.top + piece.shape[0], canvas.shape[0]), min(warp.left + piece.shape[1], canvas.shape[1])
    if bottom > top and right > left:
        canvas[top:bottom, left:right] = piece[top - warp.top : bottom - warp.top, left - warp.left : right - warp.left]
