"""A garment worn: the old clothes painted over, the garment's parts and the person's in order of depth, and light."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.garment_anchors import GarmentAnchors, find_anchors
from pipeline.imaging.garment_kinds import LEGGED, UPPER, Kind
from pipeline.imaging.outlines import SIDES
from pipeline.tryon.body import CROTCH, Body
from pipeline.tryon.fitting import Fit, PlacedPart
from pipeline.tryon.learned_warp import LearnedWarp
from pipeline.tryon.light import light_of, luminance, shadow_of
from pipeline.tryon.person import Mask, Person, Pixels, soft
from pipeline.tryon.regions import above_level, arm_mask, body_mask, distance_along, leg_mask, trunk_mask
from pipeline.tryon.worn import Layer, worn_layers

SKIN_SHADE = 0.4  # how much of the old clothes' light painted skin keeps
BESIDE = 0.2  # of the shoulders' distance: old clothes up to so far beside the body are painted over
MOST_BESIDE = 0.35  # of the old clothes


@dataclass(frozen=True)
class TryOn:
    """The picture and how it came about."""

    picture: NDArray[np.uint8]  # (H, W, 3)
    cover: Pixels  # (H, W) alpha of the garment before the person's parts in front of it
    parts: Sequence[PlacedPart]
    layers: Sequence[Layer]


def try_on(
    person: Person,
    garment: NDArray[np.uint8],
    kind: Kind,
    *,
    fit: Fit = "regular",
    anchors: GarmentAnchors | None = None,
    parts: Sequence[PlacedPart] | None = None,
    warp: LearnedWarp | None = None,
) -> TryOn:
    """`garment` (h, w, 4), straight alpha, on `person`. Raises InputError if the garment has no mask.

    `anchors` are found in the garment's alpha unless given; `parts` follow from them, the fit and a learned warp unless given.
    """
    if anchors is None:
        anchors = find_anchors(garment, kind)
    if parts is None:
        parts = (warp or LearnedWarp({})).placed_parts(anchors, person.body, fit)
    shape = (person.picture.shape[0], person.picture.shape[1])
    layers = worn_layers(garment, parts, shape)
    size = person.body.shoulders_px
    cover = np.asarray(1 - np.prod([1 - layer.alpha for layer in layers], axis=0), np.float32)
    base = without_old_clothes(person, cover, kind)
    light = _light(person, cover, size)
    canvas = base.copy()
    in_front = {side: person.arms[side] for side in SIDES if side not in person.arms_behind}
    opening = _neck_opening(anchors, parts, shape, kind)
    shown = {layer.name: layer for layer in layers}
    for name, layer in shown.items():  # sleeves on arms behind the trunk come first
        if name.endswith("sleeve") and name.split("_")[0] in person.arms_behind:
            canvas = _laid(canvas, layer, light, person.alpha, size)
    for name, layer in shown.items():
        if not name.endswith("sleeve"):
            canvas = _laid(canvas, layer, light, person.alpha, size, 1 - opening)
    for side, arm in in_front.items():
        bare = arm * (1 - _under_garment(person.body, side, parts, shape) * cover) if kind in UPPER else arm
        canvas = canvas * (1 - bare[..., None]) + base * bare[..., None]
    for side in in_front:
        if f"{side}_sleeve" in shown:
            canvas = _laid(canvas, shown[f"{side}_sleeve"], light, person.alpha, size)
    neck = person.neck * (1 - cover * (1 - opening)) if kind in UPPER else person.neck
    front = np.maximum(person.head, neck)[..., None]
    canvas = canvas * (1 - front) + base * front
    return TryOn((np.clip(canvas, 0, 1) * 255).round().astype(np.uint8), cover, parts, layers)


def _laid(canvas: Pixels, layer: Layer, light: Pixels, person: Pixels, size: float, keep: Pixels | float = 1.0) -> Pixels:
    """The canvas with a layer over it and its shadow on the person."""
    alpha = layer.alpha * keep
    colour = layer.colour * (keep[..., None] if isinstance(keep, np.ndarray) else keep)
    shadow = 1 - person * (1 - shadow_of(alpha, size))
    return np.asarray(canvas * shadow[..., None] * (1 - alpha[..., None]) + colour * light[..., None], np.float32)


def _light(person: Person, cover: Pixels, size: float) -> Pixels:
    inside = (person.alpha > 0.9) & (cover > 0.2)
    for arm in person.arms.values():
        inside &= arm < 0.5
    return light_of(person.picture, inside, size)


def _under_garment(body: Body, side: str, parts: Sequence[PlacedPart], shape: tuple[int, int]) -> Pixels:
    """(H, W) the part of an arm that a sleeve, or the armhole of a garment without sleeves, covers."""
    line, _ = body.arm(side)
    reach = 0.9 * body.widths.upper_arm
    for part in parts:
        if part.name == f"{side}_sleeve":
            last = len(part.target_outline) // 2
            cuff = (part.target_outline[last - 1] + part.target_outline[last]) / 2
            reach = float(distance_along(line, cuff[None, None])[0, 0])
    rows, columns = np.indices(shape)
    return soft(distance_along(line, np.stack([columns, rows], axis=-1)) < reach)


def _neck_opening(anchors: GarmentAnchors, parts: Sequence[PlacedPart], shape: tuple[int, int], kind: Kind) -> Pixels:
    """(H, W) where the neck shows in front of the garment's back."""
    if kind not in UPPER or anchors.neckline <= 0:
        return np.zeros(shape, np.float32)
    outline = parts[0].target_outline
    left, right = outline[1], outline[-1]
    middle, half = (left + right) / 2, float(np.linalg.norm(right - left)) / 2
    across = (right - left) / max(2 * half, 1e-6)
    down = np.array([-across[1], across[0]])
    angles = np.linspace(0, np.pi, 24)
    depth = anchors.neckline * half
    arc = [middle + 0.94 * half * np.cos(one) * across + depth * np.sin(one) * down for one in angles]
    above = [left - 3 * half * down, right - 3 * half * down]
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round(np.array([*arc, *above]) * 8).astype(np.int32)], 1, shift=3)
    return soft(mask > 0)


def old_clothes(person: Person, kind: Kind) -> Mask:
    """(H, W) which clothes in the picture the new garment takes the place of."""
    shape = (person.picture.shape[0], person.picture.shape[1])
    upper = above_level(shape, person.body, CROTCH - 0.1)
    arms = np.zeros(shape, np.bool_)
    for side in SIDES:
        arms |= arm_mask(shape, person.body, side, 1.5)
    if kind in ("top", "outerwear"):
        return person.clothed & (upper | arms)
    if kind == "dress":
        return person.clothed
    return person.clothed & ~above_level(shape, person.body, 0.8) & ~(arms & upper)


def without_old_clothes(person: Person, cover: Pixels, kind: Kind) -> Pixels:
    """The picture (H, W, 3) in [0, 1] with skin where the new garment leaves limbs bare, and the ground beside them."""
    picture: Pixels = (person.picture / np.float32(255)).astype(np.float32)
    old = old_clothes(person, kind) & (cover < 0.98)
    if not old.any():
        return picture
    shape = (person.picture.shape[0], person.picture.shape[1])
    limbs = np.zeros(shape, np.bool_)
    for side in SIDES:
        limbs |= arm_mask(shape, person.body, side, 1.05)
        if kind not in ("top", "outerwear"):
            limbs |= leg_mask(shape, person.body, side, 1.05)
    bare = (
        limbs if kind in ("skirt", *LEGGED) else limbs | trunk_mask(shape, person.body) & above_level(shape, person.body, 0.6)
    )
    whole = body_mask(shape, person.body, 1.05)
    beside = old & ~whole
    if kind in ("top", "outerwear"):
        beside &= above_level(shape, person.body, 0.95) | limbs
    beside &= (
        cv2.dilate(whole.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=max(int(BESIDE * person.body.shoulders_px), 1))
        > 0
    )
    if beside.sum() > MOST_BESIDE * old.sum():  # far wider than the body: what would be behind it is anyone's guess
        return picture
    result = picture
    if beside.any():
        spread = cv2.dilate(beside.astype(np.uint8), np.ones((5, 5), np.uint8))
        spread[(person.alpha > 0.5) & ~beside] = 0
        ground = cv2.inpaint(person.picture, spread | ((person.alpha > 0.3) & ~whole).astype(np.uint8), 5, cv2.INPAINT_TELEA)
        share = soft(spread > 0)[..., None]
        result = np.asarray(result * (1 - share) + ground / np.float32(255) * share, np.float32)
    painted = old & bare
    if painted.any():
        grey = cv2.GaussianBlur(luminance(person.picture), (0, 0), 2.0)
        shade = 1 + SKIN_SHADE * (np.clip(grey / max(float(np.median(grey[painted])), 0.08), 0.6, 1.4) - 1)
        share = soft(painted)[..., None]
        result = result * (1 - share) + np.array(person.skin, np.float32) * shade[..., None] * share
    return np.asarray(result, np.float32)
