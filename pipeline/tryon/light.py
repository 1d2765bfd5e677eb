"""Folds and light of a photograph, as factors for a garment laid on it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.garment_masks import cielab

Pixels = NDArray[np.float32]

GREY = np.array([0.299, 0.587, 0.114], np.float32)
LIGHT_STRENGTH, FOLD_STRENGTH = 0.75, 0.6
DARKEST, BRIGHTEST = 0.55, 1.3
CALM = 0.14  # spread of the folds' factors up to which they are folds; above it the old garment has a print
SHADOW = 0.28
ALIKE = 24.0  # CIELAB, lightness at half its weight
DARK = 0.12  # luminance below which an old garment hides its folds


def luminance(picture: NDArray[np.uint8]) -> Pixels:
    """(H, W) in [0, 1]."""
    return np.asarray(picture.astype(np.float32) @ GREY / 255)


def blurred_inside(values: Pixels, mask: Pixels, sigma: float) -> Pixels:
    """Gaussian blur of what is inside the mask only."""
    weight = cv2.GaussianBlur(mask, (0, 0), sigma)
    return np.asarray(cv2.GaussianBlur(values * mask, (0, 0), sigma) / np.maximum(weight, 1e-4))


def light_of(picture: NDArray[np.uint8], inside: NDArray[np.bool_], size_px: float) -> Pixels:
    """(H, W) factors around 1 by which the light on the pixels `inside` differs from their median.

    Slow changes are light; quick ones are folds, unless they are so strong that they must be a print. Pixels of another
    colour than most do not count, and where there are many of them there is no telling light from print: all factors go to 1.
    `size_px` is the distance of the shoulders.
    """
    if inside.sum() < 32:
        return np.ones(inside.shape, np.float32)
    lab = cielab(picture) * np.array([0.5, 1, 1], np.float32)
    alike = inside & (np.linalg.norm(lab - np.median(lab[inside], axis=0), axis=-1) < ALIKE)
    trust = float(np.clip((alike.sum() / inside.sum() - 0.4) / 0.4, 0, 1))
    if trust == 0:
        return np.ones(inside.shape, np.float32)
    inside = alike
    mask = inside.astype(np.float32)
    grey = luminance(picture)
    slow = blurred_inside(grey, mask, 0.09 * size_px)
    quick = blurred_inside(grey, mask, max(0.008 * size_px, 0.6))
    middle = max(float(np.median(slow[inside])), DARK)
    light = 1 + LIGHT_STRENGTH * (slow / middle - 1)
    folds = quick / np.maximum(slow, DARK) - 1
    spread = float(folds[inside].std())
    strength = FOLD_STRENGTH * min(1.0, (CALM / max(spread, 1e-6)) ** 2)
    # Outside, the nearest light inside goes on.
    faded = cv2.GaussianBlur(mask, (0, 0), 0.02 * size_px)
    factors = light * (1 + strength * folds * np.minimum(faded, 1))
    reach = np.minimum(cv2.GaussianBlur(mask, (0, 0), 0.09 * size_px) * 4, 1)
    return np.asarray(np.clip(1 + reach * trust * (factors - 1), DARKEST, BRIGHTEST), np.float32)


def shadow_of(alpha: Pixels, size_px: float) -> Pixels:
    """(H, W) factors by which something with this alpha darkens what lies behind it, below and beside its edge."""
    shift = np.array([[1, 0, 0.012 * size_px], [0, 1, 0.035 * size_px]], np.float32)
    cast = cv2.warpAffine(alpha, shift, alpha.shape[::-1])
    return np.asarray(1 - SHADOW * cv2.GaussianBlur(cast, (0, 0), max(0.025 * size_px, 0.8)), np.float32)
