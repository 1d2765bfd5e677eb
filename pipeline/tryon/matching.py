"""How a garment lies on a person who wears it: the correction of the fit with which try-on looks most like the photograph.

The garment's pixels in the photograph come from GrabCut (Rother et al. 2004), started by the geometric fit; the correction
minimises differences of alpha and colour where the garment is visible, by least squares.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from pipeline.imaging.garment_anchors import GarmentAnchors
from pipeline.imaging.garment_masks import cielab
from pipeline.imaging.outlines import SIDES
from pipeline.tryon.body import Body
from pipeline.tryon.corrections import COUNT, Numbers, corrected
from pipeline.tryon.fitting import PlacedPart, placed_parts
from pipeline.tryon.person import LIGHTNESS_WEIGHT, Mask, Person, Pixels
from pipeline.tryon.worn import pixels_of_parts, shrunk, worn_layer

SIDE_PX = 176  # longer side of the photograph
BLUR_PX = 2.0  # of both, so that differences tell which way to go
STEP = 0.015  # of a correction's numbers, for derivatives
EVALUATIONS = 4
RESTRAINT = 0.15  # weight of a number's square beside the mean square difference
COLOUR_SCALE = 25.0  # CIELAB distance that weighs like a pixel that one of both does not cover
REACH, CORE = 0.3, 0.2  # of the shoulders' distance: how far off the fit the garment is looked for; what is surely its own
ROUNDS = 3  # of GrabCut
LAB_WEIGHTS = np.array([LIGHTNESS_WEIGHT, 1, 1], np.float32)


@dataclass(frozen=True)
class WornGarment:
    """A photograph of a garment worn, small, and what of it the try-on is compared with."""

    lab: Pixels  # (H, W, 3) CIELAB, lightness at LIGHTNESS_WEIGHT
    mask: Pixels  # (H, W) the garment
    weight: Pixels  # (H, W) 0 where something is in front of it
    body: Body
    parts: Sequence[PlacedPart]  # by geometry
    own: Sequence[Pixels]  # (h, w, 4) for each part, premultiplied CIELAB and alpha

    def laid(self, numbers: Numbers) -> Pixels:
        """(H, W, 4) the garment with a correction, premultiplied CIELAB and alpha."""
        canvas = np.zeros((*self.mask.shape, 4), np.float32)
        for own, part in zip(self.own, corrected(self.parts, self.body, numbers), strict=True):
            layer = worn_layer(own, part, self.mask.shape, samples=1)
            canvas = np.dstack([layer.colour, layer.alpha]) + canvas * (1 - layer.alpha[..., None])
        return canvas


def worn_garment(person: Person, garment: NDArray[np.uint8], anchors: GarmentAnchors) -> WornGarment:
    """What the photograph of `person`, who wears `garment` (h, w, 4), shows of it."""
    scale = min(SIDE_PX / max(person.picture.shape[:2]), 1.0)
    body = Body(
        {name: (point + 0.5) * scale - 0.5 for name, point in person.body.points.items()}, person.body.widths.scaled(scale)
    )
    small, parts = shrunk(garment, placed_parts(anchors, body))

    def reduced(pixels: NDArray[np.float32] | NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))

    picture = reduced(person.picture).astype(np.uint8)
    front = reduced(np.maximum(person.head, person.neck))
    arms = np.max([reduced(person.arms[side]) for side in SIDES], axis=0)
    lab = np.asarray(cielab(picture) * LAB_WEIGHTS, np.float32)
    own = [_in_cielab(pixels) for pixels in pixels_of_parts(small, parts)]
    found = WornGarment(lab, np.zeros(lab.shape[:2], np.float32), np.ones(lab.shape[:2], np.float32), body, parts, own)
    cover = found.laid(np.zeros(COUNT))[..., 3]
    mask = visible_garment(picture, cover > 0.5, front > 0.5, arms > 0.5, body.shoulders_px)
    weight = 1 - np.maximum(front, arms * (1 - mask))
    return replace(found, mask=mask.astype(np.float32), weight=weight.astype(np.float32))


def _in_cielab(pixels: Pixels) -> Pixels:
    """Premultiplied RGB and alpha (H, W, 4) as premultiplied CIELAB, weighted, and alpha."""
    alpha = pixels[..., 3:]
    colours = (pixels[..., :3] / np.maximum(alpha, 1e-3)).clip(0, 1) * 255
    return np.asarray(np.dstack([cielab(colours.round().astype(np.uint8)) * LAB_WEIGHTS * alpha, alpha]), np.float32)


def _grown(mask: Mask, by_px: float) -> Mask:
    """A mask dilated, or eroded by a negative number of pixels."""
    size = 2 * max(round(abs(by_px)), 1) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return (cv2.dilate if by_px > 0 else cv2.erode)(mask.astype(np.uint8), disc) > 0


def visible_garment(picture: NDArray[np.uint8], cover: Mask, front: Mask, arms: Mask, span: float) -> Mask:
    """(H, W) where the garment is seen that geometry lays at `cover`; `front` is never it, `arms` only by their colours.

    The person's mask is not asked: where it is made from joints set by hand, it ends where the body does.
    """
    start = np.full(cover.shape, cv2.GC_BGD, np.uint8)
    possible = _grown(cover, REACH * span) & ~front
    start[possible] = cv2.GC_PR_BGD
    start[cover & possible] = cv2.GC_PR_FGD
    start[_grown(cover & possible & ~arms, -CORE * span)] = cv2.GC_FGD
    if not ((start == cv2.GC_FGD).any() and (start == cv2.GC_BGD).any()):
        return cover & possible
    cv2.setRNGSeed(0)
    cv2.grabCut(picture, start, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), ROUNDS, cv2.GC_INIT_WITH_MASK)
    return (start == cv2.GC_FGD) | (start == cv2.GC_PR_FGD)


def differences(worn: WornGarment, numbers: Numbers) -> NDArray[np.float64]:
    """Differences between the try-on with a correction and the photograph, one for each pixel and channel of alpha and colour.

    Their squares add up to the mean over the garment's area.
    """

    def blurred(pixels: Pixels) -> Pixels:
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), BLUR_PX))

    laid, mask = blurred(worn.laid(numbers)), blurred(worn.mask)
    seen = blurred(worn.lab * worn.mask[..., None])
    both = worn.weight * mask * laid[..., 3]
    colour = mask[..., None] * laid[..., :3] - laid[..., 3:] * seen
    light = (colour * worn.weight[..., None]).sum(axis=(0, 1)) / max(float(both.sum()), 1.0)  # of the photograph as a whole
    colour = (colour - both[..., None] * light) / COLOUR_SCALE
    colour /= np.sqrt(1 + (colour**2).sum(axis=-1, keepdims=True))
    every = np.dstack([laid[..., 3] - mask, colour]) * worn.weight[..., None]
    return np.asarray(every.ravel() / np.sqrt(max(float(worn.mask.sum()), 1.0)), np.float64)


def matched(worn: WornGarment) -> Numbers:
    """The correction with which the try-on is most like the photograph."""

    def costs(at: Numbers) -> NDArray[np.float64]:
        return np.concatenate([differences(worn, at), np.sqrt(RESTRAINT) * at])

    def slopes(at: Numbers) -> NDArray[np.float64]:
        here = costs(at)
        return np.stack([(costs(at + STEP * unit) - here) / STEP for unit in np.eye(COUNT)], axis=-1)

    return np.asarray(least_squares(costs, np.zeros(COUNT), jac=slopes, max_nfev=EVALUATIONS).x)
