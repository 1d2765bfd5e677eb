"""Pictures embedded in the page: strips of tiles as data URIs, with alternative text."""

import base64
import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipeline.imaging.contact_sheets import contact_sheet
from pipeline.storage.arrays import has_alpha

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
WEBP_SIDE_PX = 16_383  # the format's limit
PIXELATED_BELOW_PX = 96  # smaller tiles are enlarged with sharp pixels


@dataclass(frozen=True)
class Picture:
    """An <img>: source, size, and alternative text."""

    uri: str
    width_px: int
    height_px: int
    alt: str
    pixelated: bool


def data_uri(image: NDArray[np.uint8], *, lossless: bool) -> str:
    """`image` (H, W, 2 or 4, the last channel alpha) as PNG if `lossless`, else as WebP."""
    buffer = io.BytesIO()
    picture = Image.fromarray(image, MODES[image.shape[-1]])
    if lossless:
        picture.save(buffer, "PNG", optimize=True)
    else:
        picture.save(buffer, "WEBP", quality=88, method=4)
    kind = "png" if lossless else "webp"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def shrink(images: NDArray[np.uint8], max_side_px: int) -> NDArray[np.uint8]:
    """`images` (N, H, W, C) reduced by area averaging so that no side exceeds `max_side_px`."""
    height, width = images.shape[1:3]
    if max(height, width) <= max_side_px:
        return images
    ratio = max_side_px / max(height, width)
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    small = [np.asarray(Image.fromarray(image.squeeze()).resize(size, Image.Resampling.BOX)) for image in images]
    return np.stack(small).reshape(len(images), size[1], size[0], -1)


def fit_budget(images: NDArray[np.uint8], budget_pixels: int) -> NDArray[np.uint8]:
    """`images` (N, H, W, C) with an alpha channel, shrunk until together they have at most `budget_pixels`."""
    return add_alpha(shrink(images, math.isqrt(budget_pixels // len(images))))


def split_sheet(sheet: NDArray[np.uint8], height: int, width: int, gap_px: int = 0) -> NDArray[np.uint8]:
    """The images of a contact sheet (H, W, C), as (rows, columns, height, width, C).

    Raises ValueError if the sheet does not consist of images of that size, `gap_px` apart.
    """
    padded = np.pad(sheet, ((0, gap_px), (0, gap_px), (0, 0)))
    rows, columns = padded.shape[0] // (height + gap_px), padded.shape[1] // (width + gap_px)
    cells = padded.reshape(rows, height + gap_px, columns, width + gap_px, -1)
    return cells.swapaxes(1, 2)[:, :, :height, :width]


def letterbox(picture: Image.Image, side_px: int) -> NDArray[np.uint8]:
    """`picture` as (side_px, side_px, 4): scaled to fit, centred in a transparent square."""
    fitting = ImageOps.contain(picture.convert("RGBA"), (side_px, side_px), Image.Resampling.BOX)
    frame = Image.new("RGBA", (side_px, side_px))
    frame.paste(fitting, ((side_px - fitting.width) // 2, (side_px - fitting.height) // 2))
    return np.asarray(frame)


def add_alpha(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`images` (N, H, W, C) with an alpha channel; opaque if they have none."""
    if has_alpha(images.shape[-1]):
        return images
    return np.concatenate([images, np.full_like(images[..., :1], 255)], axis=-1)


def strip(images: NDArray[np.uint8], columns: int, alt: str) -> Picture:
    """`images` (N, H, W, 2 or 4, the last channel alpha) in rows of `columns`; gaps and empty cells are transparent.

    They are shrunk where the whole would exceed WEBP_SIDE_PX.
    """
    cell_px = WEBP_SIDE_PX // max(columns, -(-len(images) // columns))
    images = shrink(images, max(1, cell_px * 31 // 32 - 1))  # a gap is a 32nd of the side, or a pixel
    side = max(images.shape[1:3])
    sheet = contact_sheet(images, columns, gap_px=max(1, side // 32), gap_value=0)
    pixelated = side < PIXELATED_BELOW_PX
    uri = data_uri(
        sheet, lossless=pixelated and images.shape[-1] == 2
    )  # for small grey tiles PNG is as small as WebP, and exact
    return Picture(uri, sheet.shape[1], sheet.shape[0], alt, pixelated)
