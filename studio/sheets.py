"""Pictures to take away: one, a contact sheet or a board as PDF, all marked as made by AI with what brings them back."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.imaging.ai_label import ai_marks
from studio.fonts import Lettering, lettering_on, note_on, undrawable

A4_PX = (1240, 1754)  # at 150 dpi
DPI = 150
MARGIN_PX, GAP_PX, CAPTION_PX = 90, 36, 30
BOARD_COLUMNS, BOARD_ROWS = 4, 5
SHEET_CELL_PX = 192
CAPTION_SIZE_PX, TITLE_SIZE_PX = 17, 44
INK, GREY, PAPER = (28, 28, 30), (120, 118, 114), (255, 255, 255)
AI_NOTE = "AI-generated with Atelier"


@dataclass(frozen=True)
class Piece:
    """A picture with its name and what brings it back."""

    picture: NDArray[np.uint8]  # (H, W, C)
    name: str
    recipe: dict[str, object]


def as_image(picture: NDArray[np.uint8]) -> Image.Image:
    """`picture` (H, W, C) for Pillow, grey or RGB."""
    return Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)


def enlarged_to(picture: NDArray[np.uint8], side_px: int) -> Image.Image:
    """`picture` with its longer side at `side_px`, smooth."""
    image = as_image(picture)
    scale = side_px / max(image.size)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def marked_png(image: Image.Image, recipe: dict[str, object]) -> bytes:
    """`image` as a PNG that says that AI made it and from which recipe."""
    file = io.BytesIO()
    image.save(file, format="PNG", pnginfo=ai_marks(recipe))
    return file.getvalue()


def _grid(
    pieces: Sequence[Piece], columns: int, cell_px: int, page: Image.Image, top_px: int, left_px: int, letters: Lettering
) -> None:
    for place, piece in enumerate(pieces):
        row, column = divmod(place, columns)
        x = left_px + column * (cell_px + GAP_PX)
        y = top_px + row * (cell_px + GAP_PX + CAPTION_PX)
        image = enlarged_to(piece.picture, cell_px)
        page.paste(image, (x + (cell_px - image.width) // 2, y + (cell_px - image.height) // 2))
        letters.write((x, y + cell_px + 6), piece.name, CAPTION_SIZE_PX, INK, max_px=cell_px)


def contact_sheet_png(pieces: Sequence[Piece], columns: int) -> bytes:
    """`pieces` in rows of `columns` with their names, as one marked PNG."""
    columns = min(columns, len(pieces))
    rows = -(-len(pieces) // columns)
    width = columns * (SHEET_CELL_PX + GAP_PX) + GAP_PX
    height = rows * (SHEET_CELL_PX + GAP_PX + CAPTION_PX) + GAP_PX
    sheet = Image.new("RGB", (width, height), PAPER)
    missing = undrawable(piece.name for piece in pieces)
    letters = lettering_on(sheet, missing)
    _grid(pieces, columns, SHEET_CELL_PX, sheet, GAP_PX, GAP_PX, letters)
    letters.write((GAP_PX, height - CAPTION_PX), note_on(missing), CAPTION_SIZE_PX, GREY, max_px=width - 2 * GAP_PX)
    return marked_png(sheet, {"pieces": [piece.recipe for piece in pieces]})


def board_pdf(title: str, pieces: Sequence[Piece]) -> bytes:
    """A board of `pieces` under `title`, A4 pages of twenty."""
    width_px = A4_PX[0] - 2 * MARGIN_PX
    cell_px = (width_px - (BOARD_COLUMNS - 1) * GAP_PX) // BOARD_COLUMNS
    per_page = BOARD_COLUMNS * BOARD_ROWS
    groups = [pieces[start : start + per_page] for start in range(0, len(pieces), per_page)] or [[]]
    missing = undrawable([title, *(piece.name for piece in pieces)])
    note = note_on(missing)
    pages = []
    for number, group in enumerate(groups, start=1):
        page = Image.new("RGB", A4_PX, PAPER)
        letters = lettering_on(page, missing)
        letters.write((MARGIN_PX, MARGIN_PX - 20), title, TITLE_SIZE_PX, INK, max_px=width_px)
        _grid(group, BOARD_COLUMNS, cell_px, page, MARGIN_PX + 80, MARGIN_PX, letters)
        foot = " · ".join(filter(None, [AI_NOTE, f"{number} of {len(groups)}", note]))
        letters.write((MARGIN_PX, A4_PX[1] - MARGIN_PX + 20), foot, CAPTION_SIZE_PX, GREY, max_px=width_px)
        pages.append(page)
    file = io.BytesIO()
    pages[0].save(
        file,
        format="PDF",
        save_all=True,
        append_images=pages[1:],
        resolution=DPI,
        title=title,
        keywords=AI_NOTE,
        creator="Atelier",
    )
    return file.getvalue()
