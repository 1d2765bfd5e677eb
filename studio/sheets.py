"""Downloads: single PNGs, contact sheets, and boards as PDF, marked as AI-generated and with the recipes in their metadata."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipeline.imaging.ai_label import ai_marks
from pipeline.inference.transparency import with_bled_colour
from pipeline.storage.arrays import has_alpha
from studio.fonts import Lettering, lettering_on, note_on, undrawable

A4_PX = (1240, 1754)  # at 150 dpi
DPI = 150
MARGIN_PX, GAP_PX, CAPTION_PX = 90, 36, 30
BOARD_COLUMNS, BOARD_ROWS = 4, 5
SHEET_CELL_PX = 192
CAPTION_SIZE_PX, TITLE_SIZE_PX = 17, 44
INK, GREY, PAPER = (28, 28, 30), (120, 118, 114), (255, 255, 255)
AI_NOTE = "AI-generated with Atelier"
OF_PHOTOGRAPH: dict[str, object] = {"content": "photograph"}  # in recipes of pictures that show one in part


@dataclass(frozen=True)
class Piece:
    """A picture with its name and recipe."""

    picture: NDArray[np.uint8]  # (H, W, C)
    name: str
    recipe: dict[str, object]


def to_image(picture: NDArray[np.uint8]) -> Image.Image:
    """`picture` (H, W, C) as a Pillow image, grey or RGB, with or without alpha."""
    return Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)


def enlarged_to(picture: NDArray[np.uint8], side_px: int) -> Image.Image:
    """`picture` resized (Lanczos) to a longer side of `side_px`; with alpha, colour goes on under what is transparent."""
    image = to_image(picture)
    scale = side_px / max(image.size)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    if size == image.size:
        return image
    enlarged = image.resize(size, Image.Resampling.LANCZOS)
    return Image.fromarray(with_bled_colour(np.asarray(enlarged)[None])[0]) if has_alpha(picture.shape[-1]) else enlarged


def marked_png(image: Image.Image, recipe: dict[str, object]) -> bytes:
    """`image` as a PNG whose metadata say that AI made it, or changed a photograph, and by which recipe."""
    return _png(image, ai_marks(recipe, of_photograph=_has_photograph(recipe)))


def _has_photograph(recipe: Mapping[str, object]) -> bool:
    pieces = recipe.get("pieces")
    return recipe.items() >= OF_PHOTOGRAPH.items() or (isinstance(pieces, list) and any(map(_has_photograph, pieces)))


def plain_png(picture: NDArray[np.uint8]) -> bytes:
    """`picture` (H, W, C) as a PNG without metadata, for what AI did not make."""
    return _png(to_image(picture), None)


def _png(image: Image.Image, metadata: PngInfo | None) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG", pnginfo=metadata)
    return file.getvalue()


def picture_in(png: bytes) -> NDArray[np.uint8]:
    """The picture (H, W, 3 or 4) in a PNG that the studio wrote."""
    image = Image.open(io.BytesIO(png), formats=("PNG",))
    return np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))


def _grid(
    pieces: Sequence[Piece], columns: int, cell_px: int, page: Image.Image, top_px: int, left_px: int, letters: Lettering
) -> None:
    for place, piece in enumerate(pieces):
        row, column = divmod(place, columns)
        x = left_px + column * (cell_px + GAP_PX)
        y = top_px + row * (cell_px + GAP_PX + CAPTION_PX)
        image = enlarged_to(piece.picture, cell_px)
        place_px = (x + (cell_px - image.width) // 2, y + (cell_px - image.height) // 2)
        page.paste(image, place_px, image.getchannel("A") if image.has_transparency_data else None)
        letters.write((x, y + cell_px + 6), piece.name, CAPTION_SIZE_PX, INK, max_px=cell_px)


def contact_sheet_png(pieces: Sequence[Piece], columns: int) -> bytes:
    """`pieces` with their names in rows of `columns`, as one marked PNG."""
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
    """A PDF of A4 pages with twenty of `pieces` each, under `title`."""
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
