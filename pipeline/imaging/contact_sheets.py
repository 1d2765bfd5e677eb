"""Contact sheets, and writing PNG files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.storage.arrays import has_alpha
from pipeline.storage.files import whole_file


def contact_sheet(
    images: NDArray[np.uint8], columns: int, *, gap_px: int = 0, gap_value: int | None = None
) -> NDArray[np.uint8]:
    """`images` (N, H, W, C) in a grid of `columns`, as one (H', W', C); gaps and empty cells have the level `gap_value`.

    By default they are white, and transparent between images with alpha.
    """
    count, height, width, channels = images.shape
    if gap_value is None:
        gap_value = 0 if has_alpha(channels) else 255
    rows = -(-count // columns)
    cells = np.full((rows * columns, height + gap_px, width + gap_px, channels), gap_value, dtype=np.uint8)
    cells[:count, :height, :width] = images
    sheet = cells.reshape(rows, columns, *cells.shape[1:]).swapaxes(1, 2)  # (R, H, C, W, channels)
    sheet = sheet.reshape(rows * (height + gap_px), columns * (width + gap_px), channels)
    return sheet[: sheet.shape[0] - gap_px, : sheet.shape[1] - gap_px]


def enlarged(image: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    """`image` (H, W, C) with every pixel repeated `times` × `times`."""
    return image.repeat(times, axis=0).repeat(times, axis=1)


def save_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write `image` (H, W, 1 to 4), the last of 2 or 4 channels alpha, atomically as PNG."""
    with whole_file(path) as partial:
        Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(partial, format="PNG")
