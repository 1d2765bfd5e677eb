"""Photographs whose garment is known to the pixel: cut-outs pasted on the grounds of other photographs, with a shadow."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pipeline.imaging.garment_masks import (
    Pixels,
    cielab,
    grab_cut,
    ground_distance,
    in_otsu_units,
    separability,
    shrunk,
    tidied,
)

SHIFT_PX = 6
HELD_OUT_TENTHS = 3


@dataclass(frozen=True)
class CutOut:
    """A picture and the pixels of its garment, both (H, W, …)."""

    picture: Pixels
    mask: Pixels


def photographs(folder: Path, *, held_out: bool) -> list[Path]:
    """Three tenths of the folder's photographs, chosen by name, or the other seven."""
    return [
        path for path in sorted(folder.rglob("*.jpg")) if (zlib.crc32(path.name.encode()) % 10 < HELD_OUT_TENTHS) == held_out
    ]


def read(path: Path, side_px: int) -> Pixels:
    """(H, W, 3) RGB with `side_px` as its longer side."""
    picture = np.asarray(Image.open(path).convert("RGB"))
    scale = side_px / max(picture.shape[:2])
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def rectangle_grab_cut(picture: Pixels) -> Pixels:
    """The mask by plain GrabCut from a centred rectangle, as OpenCV's tutorial does it, tidied as ours."""
    small = shrunk(picture)
    height, width = small.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    rectangle = (int(width * 0.08), int(height * 0.08), int(width * 0.84), int(height * 0.84))
    cv2.setRNGSeed(0)
    cv2.grabCut(small, mask, rectangle, np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_RECT)
    return tidied((mask & 1).astype(np.uint8))


def colour_grab_cut(picture: Pixels) -> Pixels:
    """The mask by the border's colours alone, with a weak prior for the middle: no network."""
    lab = cielab(shrunk(picture))
    height, width = lab.shape[:2]
    y, x = np.mgrid[:height, :width]
    from_middle = ((x + 0.5) / width * 2 - 1) ** 2 + ((y + 0.5) / height * 2 - 1) ** 2
    distance = in_otsu_units((ground_distance(lab) * np.exp(-0.6 * from_middle)).astype(np.float32))
    start = np.where(distance > 0.75, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    start[(distance > 1.4) & (from_middle < 0.6)] = cv2.GC_FGD
    start[:2] = start[-2:] = start[:, :2] = start[:, -2:] = cv2.GC_BGD
    return tidied(grab_cut(lab, start))


def agreement(picture: Pixels) -> tuple[Pixels, float]:
    """A mask without a network and its confidence: two starts of GrabCut agree, and colours separate."""
    by_colour, by_rectangle = colour_grab_cut(picture), rectangle_grab_cut(picture)
    return by_colour, (iou(by_colour, by_rectangle) + separability(by_colour, cielab(shrunk(picture)))) / 2


def iou(mask: Pixels, truth: Pixels) -> float:
    """Intersection over union, in [0, 1]; the mask is enlarged to the truth's shape."""
    enlarged = cv2.resize(mask.astype(np.float32), truth.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
    return float((enlarged & (truth > 0)).sum() / max((enlarged | (truth > 0)).sum(), 1))


def ground_of(cut: CutOut) -> Pixels | None:
    """The largest rectangle of the picture without garment; None if it is narrow."""
    cells = 32
    height, width = cut.mask.shape
    taken = (
        cv2.resize(
            cv2.dilate(cut.mask, np.ones((13, 13), np.uint8)).astype(np.float32), (cells, cells), interpolation=cv2.INTER_AREA
        )
        > 0
    )
    best = (0, (0, 0, 0, 0))
    free_above = np.zeros(cells, int)
    for bottom in range(cells):
        free_above = np.where(taken[bottom], 0, free_above + 1)
        for left in range(cells):
            for right in range(left, cells):
                high = int(free_above[left : right + 1].min())
                if high == 0:
                    break
                if min(high, right - left + 1) >= cells // 6:
                    best = max(best, (high * (right - left + 1), (bottom - high + 1, bottom + 1, left, right + 1)))
    area, (top, bottom, left, right) = best
    if area == 0:
        return None
    return cut.picture[top * height // cells : bottom * height // cells, left * width // cells : right * width // cells]


def pasted(cut: CutOut, ground: Pixels, rng: np.random.Generator) -> CutOut:
    """The garment on another ground, with a shadow, noise and JPEG's traces; the mask is exact.

    Two pixels of the garment's edge are left behind, since they hold the old ground. A third of the grounds gets nearly the
    garment's lightness: those are the hard ones.
    """
    height, width = cut.mask.shape
    scale = rng.uniform(1, 1.6)
    ground = np.asarray(cv2.resize(ground, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC))
    missing = [(0, max(0, height - ground.shape[0])), (0, max(0, width - ground.shape[1])), (0, 0)]
    behind = np.pad(ground, missing, mode="symmetric")[:height, :width].astype(np.float32)
    if rng.random() < 1 / 3:
        behind *= (cut.picture[cut.mask > 0].mean() / max(behind.mean(), 1)) ** rng.uniform(0.3, 0.9)
    truth = cv2.erode(cut.mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    alpha = cv2.GaussianBlur(truth.astype(np.float32), (0, 0), 0.8)
    shift = np.array([[1, 0, rng.integers(-SHIFT_PX, SHIFT_PX + 1)], [0, 1, rng.integers(1, SHIFT_PX + 2)]], np.float32)
    shadow = cv2.GaussianBlur(cv2.warpAffine(alpha, shift, (width, height)), (0, 0), rng.uniform(1.5, 5)) * rng.uniform(
        0.15, 0.5
    )
    composite = alpha[..., None] * cut.picture + (1 - alpha[..., None]) * behind.clip(0, 255) * (1 - shadow[..., None])
    noisy = (composite + rng.normal(0, 2, composite.shape)).clip(0, 255).astype(np.uint8)
    _, jpeg = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 88])  # which channel is red does not matter here
    return CutOut(np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8), np.asarray(truth, np.uint8))


def composites(cuts: Sequence[CutOut], grounds: Sequence[Pixels], count: int, seed: int) -> list[CutOut]:
    """`count` composites: each garment in turn on a ground drawn at random."""
    rng = np.random.default_rng(seed)
    return [pasted(cuts[index % len(cuts)], grounds[int(rng.integers(len(grounds)))], rng) for index in range(count)]
