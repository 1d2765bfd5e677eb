"""Which pixels of a photograph are its garment: GrabCut (Rother et al. 2004) from a clothing map and colours.

Colours fail where the garment has the background's, such as a beige coat on a beige bed. The clothing map (garment_cutter.py)
is coarse, with cells of 8 pixels. So both vote on the pixels that GrabCut starts from, and GrabCut finds the edge.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

MASK_SIDE_PX = 128  # longer side of a mask

LIGHTNESS_AND_CHROMA = np.array([0.6, 1.2, 1.2], np.float32)  # weights of L*, a*, b*: shadows change lightness
BORDER_PX = 4
BORDER_COLOURS = 6
RARE_COLOUR = 0.04  # of the border's pixels: less may be a sleeve that touches it
MAP_WEIGHT, COLOUR_WEIGHT = 0.7, 1.3  # of the log-odds by the network, of the distance to the ground's colours
SURE = 2.5  # in those units
ITERATIONS = 2
UNUSED_RECTANGLE = (0, 0, 1, 1)  # GrabCut starts from a mask here
SMALL_PIECE = 0.12  # of the largest piece
SMALL_HOLE = 0.02  # of the picture

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class GarmentMask:
    """A mask and how far to trust it; shares are in [0, 1]."""

    pixels: Pixels  # (H, W) of 0 and 1, the picture's shape at MASK_SIDE_PX
    coverage: float  # share of the picture
    border_share: float  # share of the picture's outline that the garment touches
    pieces: int
    raggedness: float  # perimeter over that of a disc of the same area: 1 is the smoothest
    confidence: float  # mean of: do colours separate garment and ground, does the network see the same garment


def find_mask(picture: Pixels, log_odds: NDArray[np.float32]) -> GarmentMask:
    """The mask of a shrunk picture (H, W, 3), RGB, from the natural log-odds (H, W) that a pixel is clothing."""
    lab = cielab(picture)
    votes = MAP_WEIGHT * log_odds + COLOUR_WEIGHT * (in_otsu_units(ground_distance(lab)) - 1)
    return described(tidied(grab_cut(lab, trimap(votes, log_odds > 0))), lab, log_odds)


def shrunk(picture: Pixels) -> Pixels:
    """The picture with MASK_SIDE_PX as its longer side; a smaller one is enlarged."""
    height, width = picture.shape[:2]
    scale = MASK_SIDE_PX / max(height, width)
    size = (max(round(width * scale), 16), max(round(height * scale), 16))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC))


def cielab(picture: Pixels) -> NDArray[np.float32]:
    """(H, W, 3) L* in [0, 100], a*, b*."""
    return np.asarray(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))


def border_colours(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """(k, 3) the colours of the picture's border, by k-means; rare ones are left out."""
    frame = np.ones(lab.shape[:2], bool)
    frame[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = False
    border = lab[frame]
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_MAX_ITER + cv2.TERM_CRITERIA_EPS, 20, 0.5)
    _, nearest, centres = cv2.kmeans(border, BORDER_COLOURS, None, criteria, 2, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
    shares = np.bincount(nearest.ravel(), minlength=BORDER_COLOURS) / len(border)
    return np.asarray(centres[shares >= RARE_COLOUR])


def ground_distance(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) distance of each pixel to the nearest colour of the border, smoothed."""
    offsets = (lab[:, :, None] - border_colours(lab)) * LIGHTNESS_AND_CHROMA
    return np.asarray(cv2.GaussianBlur(np.sqrt((offsets**2).sum(-1)).min(-1), (0, 0), 1.2))


def in_otsu_units(distance: NDArray[np.float32]) -> NDArray[np.float32]:
    """The distances, relative to Otsu's threshold between near and far."""
    top = max(float(distance.max()), 1e-3)
    threshold, _ = cv2.threshold((distance / top * 255).astype(np.uint8), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return np.asarray(distance / max(threshold / 255 * top, 1e-3), np.float32)


def trimap(votes: NDArray[np.float32], seen: NDArray[np.bool_]) -> Pixels:
    """(H, W) what GrabCut starts from. Votes above 0 are for the garment; only what the network has `seen` is sure."""
    start = np.where(votes > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    start[(votes > SURE) & seen] = cv2.GC_FGD
    start[votes < -SURE] = cv2.GC_BGD
    start[[0, -1]] = cv2.GC_BGD
    start[:, [0, -1]] = cv2.GC_BGD
    return start


def grab_cut(lab: NDArray[np.float32], start: Pixels) -> Pixels:
    """(H, W) of 0 and 1. The colours are stretched to the picture's own range: dull pictures are cut better so."""
    if not (start & 1).any():  # neither sure nor probable garment
        return np.zeros_like(start)
    low, high = np.percentile(lab.reshape(-1, 3), [1, 99], axis=0)
    stretched = ((lab - low) / np.maximum(high - low, [20, 15, 15]) * 255).clip(0, 255).astype(np.uint8)
    cut = start.copy()
    cv2.setRNGSeed(0)
    cv2.grabCut(stretched, cut, UNUSED_RECTANGLE, np.zeros((1, 65)), np.zeros((1, 65)), ITERATIONS, cv2.GC_INIT_WITH_MASK)
    return (cut & 1).astype(np.uint8)


def tidied(mask: Pixels) -> Pixels:
    """The mask without hairs, crumbs and pinholes."""
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)))
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count > 1:
        areas = boxes[:, cv2.CC_STAT_AREA] * (np.arange(count) > 0)  # label 0 is the ground
        mask = (areas >= max(SMALL_PIECE * areas.max(), 1))[labels].astype(np.uint8)
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4)
    height, width = mask.shape
    for label, (left, top, wide, high, area) in enumerate(boxes):
        inside = left > 0 and top > 0 and left + wide < width and top + high < height
        if label and inside and area < SMALL_HOLE * mask.size:
            mask[labels == label] = 1
    return mask


def described(mask: Pixels, lab: NDArray[np.float32], log_odds: NDArray[np.float32]) -> GarmentMask:
    """The mask with its numbers."""
    area = int(mask.sum())
    if area == 0:
        return GarmentMask(mask, 0.0, 0.0, 0, 1.0, 0.0)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    perimeter = sum(cv2.arcLength(outline, True) for outline in outlines)
    inner = mask[1:-1, 1:-1]  # GrabCut was given the outermost line as ground
    outline = np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]])
    seen = 1 / (1 + np.exp(-log_odds))
    overlap = float((seen * mask).sum() / np.maximum(seen, mask).sum())
    return GarmentMask(
        pixels=mask,
        coverage=area / mask.size,
        border_share=float(outline.mean()),
        pieces=len(outlines),
        raggedness=float(perimeter / (2 * np.sqrt(np.pi * area))),
        confidence=(overlap + separability(mask, lab)) / 2,
    )


def separability(mask: Pixels, lab: NDArray[np.float32]) -> float:
    """1 - the Bhattacharyya coefficient of the colours inside and outside: 1 if no colour is on both sides."""
    bins = ((lab - [0, -60, -60]) / [12.6, 15.1, 15.1]).clip(0, 7).astype(np.int64) @ [64, 8, 1]
    inside = np.bincount(bins[mask == 1], minlength=512) / max(int((mask == 1).sum()), 1)
    outside = np.bincount(bins[mask == 0], minlength=512) / max(int((mask == 0).sum()), 1)
    return float(1 - np.sqrt(inside * outside).sum())


def packed(mask: Pixels) -> bytes:
    """The mask as a PNG of one bit a pixel: under 2 KB."""
    done, encoded = cv2.imencode(".png", mask * 255, [cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert done
    return encoded.tobytes()


def unpacked(png: bytes) -> Pixels:
    """The mask (H, W) of 0 and 1 from what `packed` made."""
    return (np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)) > 127).astype(np.uint8)
