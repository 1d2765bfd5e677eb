"""What a garment looks like: its colours in the eleven basic colour terms (Berlin and Kay 1969), and its pattern.

Pure functions of a picture and the mask of its garment. Each answer comes with a confidence in [0, 1].
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.garment_masks import cielab

COLOURS = ("black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
PATTERNS = ("plain", "striped", "checked", "dotted", "printed")
SECOND_COLOUR = 0.15  # of the garment's pixels, at least
EDGE_PX = 3  # of the mask, where garment and ground mix
LEAST_PIXELS = 64

# Typical L*, a*, b* of each term; a pixel takes the name of the nearest. Lightness counts half: folds and light change it.
PROTOTYPES = {
    "black": [(8, 0, 0), (16, 2, -4), (20, 0, 0)],
    "white": [(97, 0, 0), (91, 0, 3), (93, -2, 8), (88, 0, -3)],
    "grey": [(35, 0, 0), (50, 0, 0), (65, 0, 0), (78, 0, 0), (45, -1, -5)],
    "red": [(42, 62, 42), (33, 50, 30), (50, 70, 50), (28, 42, 22)],
    "orange": [(65, 42, 62), (60, 52, 60), (72, 28, 62)],
    "yellow": [(88, -4, 70), (80, 4, 68), (92, -8, 40), (74, 8, 60)],
    "green": [(48, -42, 32), (35, -24, 20), (70, -36, 40), (42, -10, 22), (60, -20, 8), (78, -28, 20)],
    "blue": [(38, 18, -52), (24, 12, -32), (60, -6, -36), (75, -8, -22), (20, 5, -20), (48, -4, -26), (62, -26, -12)],
    "purple": [(38, 42, -38), (28, 26, -24), (58, 32, -32), (50, 20, -24), (35, 38, -8)],
    "pink": [(76, 28, 4), (82, 18, 6), (62, 56, -2), (70, 42, -6), (86, 12, 4), (56, 62, 4)],
    "brown": [(34, 16, 24), (26, 12, 14), (46, 18, 30), (56, 14, 28), (70, 8, 26), (80, 4, 18)],
}
LIGHTNESS_WEIGHT = 0.5

PLAIN_CONTRAST = 3.0  # standard deviation of CIELAB after shading is removed
SHADING_PX = 9.0  # what changes more slowly than this is light and folds
DIRECTIONS = 12  # of 15 degrees each
STRIPED, CHECKED, DOTTED = 0.42, 0.46, 0.35

Lab = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class GarmentAttributes:
    """A garment's colours and pattern, in words."""

    colour: str  # of COLOURS, the one most of it has
    colour_share: float  # of its pixels
    colour_confidence: float
    second_colour: str | None  # None if no other covers SECOND_COLOUR of it
    pattern: str  # of PATTERNS
    pattern_confidence: float


def colour_terms(lab: Lab) -> NDArray[np.intp]:
    """The index in COLOURS of each of `lab` (N, 3), CIELAB."""
    points = np.array([point for colour in COLOURS for point in PROTOTYPES[colour]], np.float32)
    owners = np.array([number for number, colour in enumerate(COLOURS) for _ in PROTOTYPES[colour]])
    weight = np.array([LIGHTNESS_WEIGHT, 1, 1], np.float32)
    distance = (((lab[:, None] - points) * weight) ** 2).sum(axis=-1)
    return np.asarray(owners[distance.argmin(axis=1)])


def colour_shares(lab: Lab, mask: Mask) -> NDArray[np.float64]:
    """The share of the pixels under `mask` in each of COLOURS."""
    terms = colour_terms(lab[mask])
    return np.bincount(terms, minlength=len(COLOURS)) / max(1, len(terms))


def _without_shading(lab: Lab, mask: Mask) -> Lab:
    """`lab` less its local mean over the garment; 0 outside `mask`."""
    weight = mask.astype(np.float32)
    near = cv2.GaussianBlur(weight, (0, 0), SHADING_PX)
    mean = cv2.GaussianBlur(lab * weight[..., None], (0, 0), SHADING_PX) / np.maximum(near, 1e-3)[..., None]
    return np.asarray((lab - mean) * weight[..., None], np.float32)


def _directions(texture: NDArray[np.float32], mask: Mask) -> NDArray[np.float64]:
    """The shares of the texture's gradients in DIRECTIONS directions over half a turn, weighted by their strength."""
    smooth = cv2.GaussianBlur(texture, (0, 0), 1.0)
    across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    strength = np.where(mask, across**2 + down**2, 0)
    angle = np.mod(np.arctan2(down, across), np.pi)
    bins = np.mod(np.round(angle / np.pi * DIRECTIONS), DIRECTIONS).astype(int)
    return np.bincount(bins.ravel(), strength.ravel(), DIRECTIONS) / max(float(strength.sum()), 1e-6)


def _blob_share(texture: NDArray[np.float32], mask: Mask) -> float:
    """How much of what stands out of the ground, light or dark, is in small round pieces of similar size, in [0, 1]."""
    best = 0.0
    spread = float(texture[mask].std())
    for sign in (1, -1):
        standing = ((sign * texture > spread) & mask).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(standing, connectivity=4)
        areas = stats[1:, cv2.CC_STAT_AREA].astype(np.float64)
        sides = stats[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].astype(np.float64)
        large = areas >= 4
        if count < 8 or large.sum() < 6:
            continue
        box = sides.max(axis=1)
        round_ = (areas / box**2 > 0.5) & (sides.min(axis=1) / box > 0.6)
        typical = np.median(areas[large])
        alike = large & round_ & (areas > typical / 2.5) & (areas < typical * 2.5)
        if alike.sum() >= 6:
            best = max(best, float(areas[alike].sum() / areas.sum()))
    return best


def pattern_of(lab: Lab, mask: Mask) -> tuple[str, float]:
    """One of PATTERNS and its confidence, from the texture that is left when slow shading is taken away."""
    detail = _without_shading(lab, mask)
    contrast = float(np.sqrt((detail[mask] ** 2).sum(axis=-1).mean()))
    if contrast < PLAIN_CONTRAST:
        return "plain", 1 - contrast / (2 * PLAIN_CONTRAST)
    channel = int(detail[mask].std(axis=0).argmax())
    texture = np.ascontiguousarray(detail[..., channel])
    shares = _directions(texture, mask)
    wide = shares + 0.5 * (np.roll(shares, 1) + np.roll(shares, -1))
    first = int(wide.argmax())
    along, across = float(wide[first]), float(wide[(first + DIRECTIONS // 2) % DIRECTIONS])
    blobs = _blob_share(texture, mask)
    strong = min(1.0, contrast / (4 * PLAIN_CONTRAST))
    if blobs > DOTTED and along < STRIPED:
        return "dotted", min(1.0, blobs) * strong
    if along > STRIPED and along > 2.5 * across:
        return "striped", min(1.0, along) * strong
    if along + across > CHECKED and across > 0.15:
        return "checked", min(1.0, along + across) * strong
    return ("plain", 0.5) if contrast < 2 * PLAIN_CONTRAST else ("printed", strong)


def garment_attributes(picture: NDArray[np.uint8], mask: NDArray[np.uint8]) -> GarmentAttributes | None:
    """The attributes of the garment under `mask` (H', W', 0 or 1) of an RGB `picture` (H, W, 3); None if it is too small."""
    height, width = picture.shape[:2]
    whole = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
    inner = cv2.erode(whole, np.ones((2 * EDGE_PX + 1,) * 2, np.uint8), borderValue=1) > 0
    chosen = inner if inner.sum() >= LEAST_PIXELS else whole > 0
    if chosen.sum() < LEAST_PIXELS:
        return None
    lab = cielab(picture)
    shares = colour_shares(lab, chosen)
    first, second = np.argsort(-shares, kind="stable")[:2]
    pattern, confidence = pattern_of(lab, chosen)
    return GarmentAttributes(
        COLOURS[first],
        float(shares[first]),
        float((shares[first] - shares[second]) / max(shares[first], 1e-9)),
        COLOURS[second] if shares[second] >= SECOND_COLOUR else None,
        pattern,
        confidence,
    )
