"""Names on sheets and boards: drawn in a font that has their characters, or replaced with a note."""

import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from numpy.typing import NDArray
from PIL import Image

from studio import fonts
from studio.fonts import REPLACEMENT, bundled_font, font_of, lettering_on, note_on, undrawable
from studio.sheets import Piece, contact_sheet_png

NO_FONT_HAS = "\U000f5a17"  # of a private use area


@pytest.fixture
def fresh_fonts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a user who has no fonts yet, on a machine whose fonts are not known yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # fontconfig's
    for one in (fonts.installed_fonts, font_of):
        one.cache_clear()
    yield tmp_path / "fonts"
    for one in (fonts.installed_fonts, font_of):
        one.cache_clear()


def write_font(path: Path, character: str) -> None:
    """A font of one filled square for `character`, and an empty box for all others."""

    def square(inner: int | None) -> object:
        pen = TTGlyphPen(None)
        for low, high in [(0, 1000), *([(inner, 1000 - inner)] if inner else [])]:
            pen.moveTo((low, low))
            for corner in [(low, high), (high, high), (high, low)] if low == 0 else [(high, low), (high, high), (low, high)]:
                pen.lineTo(corner)
            pen.closePath()
        return pen.glyph()

    path.parent.mkdir(parents=True)
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder([".notdef", "square"])
    font.setupCharacterMap({ord(character): "square"})
    font.setupGlyf({".notdef": square(100), "square": square(None)})
    font.setupHorizontalMetrics({".notdef": (1000, 0), "square": (1000, 0)})
    font.setupHorizontalHeader(ascent=1000, descent=0)
    font.setupOS2()
    font.setupPost()
    font.setupNameTable({"familyName": "Square", "styleName": "Regular"})
    font.save(path)


def written(text: str, missing: list[str] | None = None) -> NDArray[np.uint8]:
    page = Image.new("RGB", (400, 40), (255, 255, 255))
    lettering_on(page, missing or []).write((4, 4), text, 20, (0, 0, 0), max_px=390)
    return np.asarray(page)[..., 0]


@pytest.mark.parametrize("text", list("éßÖł€ñŵ") + list("Ωλή") + list("ЖяЁ") + ["e\u0301", "ï", "–", "№"])
def test_latin_greek_and_cyrillic_are_in_the_bundled_font(text: str) -> None:
    assert undrawable([text]) == []
    assert {font_of(one) for one in text} == {bundled_font()}
    assert not np.array_equal(written(text), written(NO_FONT_HAS, [NO_FONT_HAS]))


def test_a_letter_and_its_accent_are_drawn_as_one_letter() -> None:
    assert np.array_equal(written("cafe\u0301"), written("café"))


@pytest.mark.parametrize("text", ["a\nb", "a\u2028b", "a\u3000b", "a\x85b"])
def test_blanks_of_all_kinds_are_spaces_on_one_line(text: str) -> None:
    assert np.array_equal(written(text), written("a b"))


@pytest.mark.parametrize("text", ["a\u0085", "\ufe0f", "\U000e0041"])
def test_what_is_invisible_is_not_missing(text: str) -> None:
    assert undrawable([text]) == []


@pytest.mark.parametrize("fontconfig", [True, False])
def test_what_the_bundled_font_lacks_is_drawn_in_an_installed_one(
    fresh_fonts: Path, monkeypatch: pytest.MonkeyPatch, *, fontconfig: bool
) -> None:
    if not fontconfig:
        monkeypatch.setenv("PATH", os.devnull)
    write_font(fresh_fonts / "square.ttf", NO_FONT_HAS)
    font = font_of(NO_FONT_HAS)
    assert font is not None
    assert Path(font.path).name == "square.ttf"
    assert undrawable([f"a{NO_FONT_HAS}b"]) == []
    assert (written(NO_FONT_HAS) == 0).sum() > 300  # the filled square
    assert lettering_on(Image.new("RGB", (9, 9))).length_px(f"a{NO_FONT_HAS}", 20) > 20


def test_a_damaged_font_is_passed_over(fresh_fonts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    write_font(fresh_fonts / "square.ttf", NO_FONT_HAS)
    (fresh_fonts / "cjk.ttf").write_bytes((fresh_fonts / "square.ttf").read_bytes()[:200])
    assert Path(getattr(font_of(NO_FONT_HAS), "path", "")).name == "square.ttf"


def test_what_no_font_has_is_a_replacement_character_and_a_line(caplog: pytest.LogCaptureFixture) -> None:
    assert undrawable(["plain", f"x{NO_FONT_HAS}"]) == [NO_FONT_HAS]
    assert np.array_equal(written(NO_FONT_HAS, [NO_FONT_HAS]), written(REPLACEMENT))
    with caplog.at_level(logging.WARNING):
        note = note_on([NO_FONT_HAS])
    assert REPLACEMENT in note
    assert [f"U+{ord(NO_FONT_HAS):04X}" in record.getMessage() for record in caplog.records] == [True]
    assert note_on([]) == ""


def test_a_sheet_of_missing_characters_says_so_at_its_foot() -> None:
    def foot(name: str) -> NDArray[np.uint8]:
        png = contact_sheet_png([Piece(np.zeros((8, 8, 1), np.uint8), name, {})], 1)
        with Image.open(io.BytesIO(png)) as sheet:
            return np.asarray(sheet)[-30:]

    assert (foot("Été") == 255).all()
    assert (foot(NO_FONT_HAS) < 255).any()


def test_a_long_name_is_cut_to_its_width_and_ends_in_an_ellipsis() -> None:
    letters = lettering_on(Image.new("RGB", (9, 9)))
    cut = letters.shortened("long " * 30, 17, 192)
    assert cut.endswith("…")
    assert 150 < letters.length_px(cut, 17) <= 192
    assert letters.shortened("Été", 17, 192) == "Été"
    assert letters.shortened("Été", 17, 3) == ""


def test_thousands_of_missing_characters_are_looked_up_a_few_hundred_times(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(fonts, "font_of", lambda one: asked.append(one))
    names = ["".join(chr(0x4E00 + 80 * row + n) for n in range(80)) for row in range(64)]
    assert len(undrawable(names)) == 5120
    assert len(asked) <= fonts.MAX_LOOKED_UP
