"""A drawn wardrobe: small pictures of garments, one folder per category, the same for the same seed."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

Points = list[tuple[float, float]]
OVERSIZE = 4  # drawn larger and shrunk, for smooth edges


def _shirt(wide: float, long: float) -> list[Points]:
    left, right, low = 0.5 - 0.18 * wide, 0.5 + 0.18 * wide, 0.25 + 0.5 * long
    body = [(left, 0.2), (right, 0.2), (right, low), (left, low)]
    sleeves = [[(side, 0.2), (0.5 + 2.4 * (side - 0.5), 0.3 + 0.3 * long), (side, 0.36)] for side in (left, right)]
    return [body, *sleeves]


def _trousers(wide: float, long: float) -> list[Points]:
    low = 0.4 + 0.5 * long
    outer, inner = 0.2 * wide, 0.04
    waist = [(0.5 - outer, 0.12), (0.5 + outer, 0.12), (0.5 + outer, 0.34), (0.5 - outer, 0.34)]
    leg = [(outer, 0.3), (0.0, 0.3), (inner, low), (0.9 * outer, low)]
    return [waist, *([(0.5 + side * x, y) for x, y in leg] for side in (-1, 1))]


def _dress(wide: float, long: float) -> list[Points]:
    low = 0.45 + 0.45 * long
    return [[(0.42, 0.1), (0.58, 0.1), (0.56, 0.4), (0.5 + 0.35 * wide, low), (0.5 - 0.35 * wide, low), (0.44, 0.4)]]


def _hat(wide: float, long: float) -> list[Points]:
    brim, crown, top = 0.42 * wide, 0.22 * wide, 0.55 - 0.3 * long
    return [
        [(0.5 - brim, 0.6), (0.5 + brim, 0.6), (0.5 + brim, 0.68), (0.5 - brim, 0.68)],
        [(0.5 - crown, 0.62), (0.5 - 0.8 * crown, top), (0.5 + 0.8 * crown, top), (0.5 + crown, 0.62)],
    ]


def _shoe(wide: float, long: float) -> list[Points]:
    back, toe, top = 0.5 - 0.35 * wide, 0.5 + 0.4 * wide, 0.55 - 0.25 * long
    return [[(back, top), (back + 0.25, top), (back + 0.35, 0.55), (toe, 0.62), (toe, 0.74), (back, 0.74)]]


SILHOUETTES: list[Callable[[float, float], list[Points]]] = [_shirt, _trousers, _dress, _hat, _shoe]


def saved_as(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of `image` in the format `kind`."""
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def small_garment(seed: int = 0, side_px: int = 64) -> Image.Image:
    """The garment of `seed`, in RGB."""
    return draw_garment(seed, np.random.default_rng(seed), side_px)


def draw_garment(silhouette: int, random: np.random.Generator, side_px: int) -> Image.Image:
    """One RGB picture, side_px square: a silhouette of random proportions, colours and stripes, somewhere near the middle."""
    side = side_px * OVERSIZE
    wide, long = random.uniform(0.6, 1.25, size=2)
    shift_x, shift_y = random.uniform(-0.08, 0.08, size=2)
    levels = ((170, 256), (0, 150), (0, 256))
    paper, cloth, stripe = (tuple(int(level) for level in random.integers(*span, size=3)) for span in levels)
    mask = Image.new("L", (side, side), 0)
    for polygon in SILHOUETTES[silhouette % len(SILHOUETTES)](wide, long):
        ImageDraw.Draw(mask).polygon([((x + shift_x) * side, (y + shift_y) * side) for x, y in polygon], fill=255)
    fabric = Image.new("RGB", (side, side), cloth)
    every = int(random.integers(side // 10, side // 3))
    for start in range(0, side, every):
        across = (0, start, side, start + every // 3) if random.random() < 0.5 else (start, 0, start + every // 3, side)
        ImageDraw.Draw(fabric).rectangle(across, fill=stripe)
    picture = Image.composite(fabric, Image.new("RGB", (side, side), paper), mask)
    picture = picture.resize((side_px, side_px), Image.Resampling.BOX)
    grain = random.normal(0, 4, size=(side_px, side_px, 1))
    return Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))


def draw_wardrobe(folder: Path, categories: Sequence[str], per_category: int, seed: int, side_px: int = 48) -> None:
    """Draw `per_category` PNG files into a sub-folder of `folder` for each of `categories`."""
    for silhouette, category in enumerate(categories):
        (folder / category).mkdir(parents=True, exist_ok=True)
        for number in range(per_category):
            random = np.random.default_rng([seed, silhouette, number])
            draw_garment(silhouette, random, side_px).save(folder / category / f"{number:03d}.png")
