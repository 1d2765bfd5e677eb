"""Downloads: marked, captioned, and of the requested size."""

import io
import json

import numpy as np
from PIL import Image

from studio.sheets import AI_NOTE, Piece, board_pdf, contact_sheet_png, enlarged_to, marked_png


def pieces(count: int) -> list[Piece]:
    return [Piece(np.full((32, 24, 1), 40 * (n % 6), np.uint8), f"Piece {n} " + "long " * n, {"n": n}) for n in range(count)]


def test_a_sheet_has_a_cell_for_each_piece_and_carries_all_recipes() -> None:
    image = Image.open(io.BytesIO(contact_sheet_png(pieces(5), 3)))
    assert image.width > image.height
    assert [piece["n"] for piece in json.loads(image.text["recipe"])["pieces"]] == [0, 1, 2, 3, 4]  # type: ignore[attr-defined]
    assert image.text["ai_generated"] == "true"  # type: ignore[attr-defined]


def test_a_board_has_a_page_for_each_twenty_pieces_and_says_what_made_it() -> None:
    for count, pages in ((1, 1), (20, 1), (21, 2)):
        content = board_pdf("Spring", pieces(count))
        assert content.startswith(b"%PDF")
        assert content.count(b"/Type /Page\n") + content.count(b"/Type /Page ") == pages
    assert AI_NOTE.encode("utf-16-be") in content or AI_NOTE.encode() in content


def test_enlarging_keeps_proportions() -> None:
    assert enlarged_to(pieces(1)[0].picture, 128).size == (96, 128)


def test_a_marked_png_keeps_its_pixels() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(marked_png(Image.fromarray(picture), {})))), picture)
