"""Measures of garments in pictures, (N,) float32 each, for comparisons within one category."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.inference.transparency import Ground, on_ground
from pipeline.storage.arrays import has_alpha

BACKDROP_TOLERANCE = 24  # grey levels
SEEN_ON: Ground = "white"  # pictures with alpha, where their colours are measured or compared
OPAQUE = 128  # alpha from which a pixel belongs to the garment
MIN_SIDE_PX = 4  # of garments whose outline is measured
GREY_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601

MEASURES = {
    "brightness": "Brightness",
    "contrast": "Light and dark",
    "texture": "Fine texture",
    "size": "Size in the frame",
    "width": "Width",
    "length": "Length",
    "hem": "Wide hem",
    "sleeve": "Sleeve length",
    "neckline": "Open neckline",
    "asymmetry": "Asymmetry",
    "saturation": "Strength of colour",
    "warmth": "Warm colour",
}
COLOUR_MEASURES = ("saturation", "warmth")


def grey(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Luma (N, H, W) in [0, 255] of pictures (N, H, W, C)."""
    if pictures.shape[-1] == 1:
        return pictures[..., 0].astype(np.float32)
    return pictures.astype(np.float32) @ GREY_WEIGHTS


def backdrops(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Colours (N, C) of the backdrops: medians along the borders of pictures (N, H, W, C)."""
    edges = (pictures[:, 0], pictures[:, -1], pictures[:, :, 0], pictures[:, :, -1])
    return np.median(np.concatenate(edges, axis=1), axis=1).astype(np.float32)


def garment_masks(pictures: NDArray[np.uint8], tolerance: float = BACKDROP_TOLERANCE) -> NDArray[np.bool_]:
    """Masks (N, H, W) of the garments: by alpha, or else pixels that differ from the backdrop, holes filled."""
    if has_alpha(pictures.shape[-1]):
        return pictures[..., -1] >= OPAQUE
    difference = np.abs(pictures.astype(np.float32) - backdrops(pictures)[:, None, None]).max(axis=-1)
    found = difference > tolerance
    return np.stack([ndimage.binary_fill_holes(mask) for mask in found]) if len(found) else found


def _mean_where(values: NDArray[np.float32], masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    return (values * masks).sum(axis=(1, 2)) / np.maximum(masks.sum(axis=(1, 2)), 1)


def _spread_where(values: NDArray[np.float32], masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    middle = _mean_where(values, masks)[:, None, None]
    return np.sqrt(_mean_where((values - middle) ** 2, masks))


def _torso_half_width(mask: NDArray[np.bool_]) -> float:
    """Half the width in pixels of the connected part around the middle column, in the lower half."""
    height, width = mask.shape
    rows = mask[height // 2 : height * 9 // 10]
    middle = width // 2
    left, right = rows[:, :middle][:, ::-1], rows[:, middle:]
    runs = [np.logical_and.accumulate(side, axis=1).sum(axis=1) for side in (left, right)]
    return float(np.median(np.minimum(*runs)))


def _sleeve_share(mask: NDArray[np.bool_]) -> float:
    """Share of the garment's rows with pixels on both sides of the torso."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) < MIN_SIDE_PX or len(columns) < MIN_SIDE_PX:
        return 0.0
    cropped = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    middle = cropped.shape[1] // 2
    beyond = int(_torso_half_width(cropped)) + 1
    left, right = cropped[:, : max(middle - beyond, 0)], cropped[:, middle + beyond :]
    return float((left.any(axis=1) & right.any(axis=1)).mean())


def _outline(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Width and length relative to the frame, hem relative to the waist, depth of the neckline relative to the length."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) < MIN_SIDE_PX or len(columns) < MIN_SIDE_PX:
        return 0.0, 0.0, 0.0, 0.0
    top, length = rows[0], len(rows)
    widths = mask.sum(axis=1)[rows].astype(np.float64)
    waist, hem = widths[length // 3 : 2 * length // 3].mean(), widths[-max(length // 6, 1) :].mean()
    centre = slice(columns.mean().astype(int) - 1, columns.mean().astype(int) + 2)
    covered = np.flatnonzero(mask[:, centre].all(axis=1))
    depth = (covered[0] - top) / length if len(covered) else 1.0
    return len(columns) / mask.shape[1], length / mask.shape[0], hem / max(waist, 1.0), depth


def measure(pictures: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """All MEASURES of pictures (N, H, W, C); those of colour only for colour pictures."""
    masks, pictures = garment_masks(pictures), on_ground(pictures, SEEN_ON)
    luma = grey(pictures)
    fine = luma - ndimage.uniform_filter(luma, size=(0, 3, 3))
    mirrored = luma[:, :, ::-1]
    outlines = np.array([_outline(mask) for mask in masks], np.float32).reshape(-1, 4)
    found = {
        "brightness": _mean_where(luma, masks),
        "contrast": _spread_where(luma, masks),
        "texture": _mean_where(np.abs(fine), masks),
        "size": masks.mean(axis=(1, 2)),
        "width": outlines[:, 0],
        "length": outlines[:, 1],
        "hem": outlines[:, 2],
        "neckline": outlines[:, 3],
        "sleeve": np.array([_sleeve_share(mask) for mask in masks]),
        "asymmetry": np.abs(luma - mirrored).mean(axis=(1, 2)),
    }
    if pictures.shape[-1] == 3:
        colour = pictures.astype(np.float32)
        found["saturation"] = _mean_where(colour.max(axis=-1) - colour.min(axis=-1), masks)
        found["warmth"] = _mean_where(colour[..., 0] - colour[..., 2], masks)
    return {name: values.astype(np.float32) for name, values in found.items()}
