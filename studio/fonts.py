"""Text on images: each character in DejaVu Sans, or else in the first installed font that has it."""

import logging
import os
import shutil
import subprocess
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

log = logging.getLogger(__name__)

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"  # drawn where no font has the character
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
NO_CHARACTER = "\U0010ffff"  # drawn as the font's box for missing characters
PROBE_PX = 16
MAX_FONTS = 60  # searched without fontconfig
MAX_LOOKED_UP = 256  # distinct characters missing in DejaVu, per image
FONTCONFIG_TIMEOUT_S = 10
FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "/Library/Fonts", "/System/Library/Fonts")
FONT_SUFFIXES = {".ttf", ".otf", ".ttc", ".otc"}
LARGE_FONTS = ("cjk", "unifont", "wqy", "droidsansfallback", "hiragino", "pingfang", "arial unicode")

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class FontFile:
    """A face in a font file."""

    path: str
    index: int = 0


@dataclass(frozen=True)
class InstalledFont:
    """A face with its character ranges according to fontconfig; None without fontconfig."""

    file: FontFile
    ranges: tuple[tuple[int, int], ...] | None

    def may_have(self, character: str) -> bool:
        """False if the character is known to be missing."""
        return self.ranges is None or any(first <= ord(character) <= last for first, last in self.ranges)


def bundled_font() -> FontFile:
    """DejaVu Sans (Latin, Greek, Cyrillic, Arabic, Hebrew and more) from matplotlib's wheel."""
    package = find_spec("matplotlib")  # not imported, which takes half a second and needs a home folder
    assert package is not None
    assert package.origin is not None
    return FontFile(str(Path(package.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"))


@lru_cache(maxsize=64)
def _opened(font: FontFile, size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font.path, size_px, index=font.index)


@lru_cache(maxsize=8192)
def _has(font: FontFile, character: str) -> bool:
    """Whether `font` is readable and draws `character` as anything but its box for missing ones."""
    try:
        face = ImageFont.truetype(font.path, PROBE_PX, index=font.index, layout_engine=ImageFont.Layout.BASIC)
        drawn, box = face.getmask(character), face.getmask(NO_CHARACTER)
    except OSError:  # a damaged file, or a bitmap font
        return False
    return (drawn.size, bytes(drawn)) != (box.size, bytes(box))


@cache
def installed_fonts() -> tuple[InstalledFont, ...]:
    """The installed fonts in search order: upright and regular faces first."""
    return tuple(_fonts_of_fontconfig() if shutil.which("fc-list") else _fonts_in_folders())


def _fonts_of_fontconfig() -> list[InstalledFont]:
    form = "%{weight}\t%{slant}\t%{file}\t%{index}\t%{charset}\n"
    command = ["fc-list", "--format", form, ":scalable=true:color=false"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True, timeout=FONTCONFIG_TIMEOUT_S).stdout
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("fc-list failed (%s): only DejaVu Sans is used on sheets and boards", error)
        return []
    found = []
    for line in os.fsdecode(listed).splitlines():
        weight, slant, path, index, ranges = line.split("\t")
        ends = [part.partition("-") for part in ranges.split()]
        spans = tuple((int(first, 16), int(last or first, 16)) for first, _, last in ends)
        # The upper bits of the index number the instances of a variable font.
        found.append((weight != "80", slant != "0", path, InstalledFont(FontFile(path, int(index) & 0xFFFF), spans)))
    return [font for *_, font in sorted(found, key=lambda one: one[:3])]


def _fonts_in_folders() -> list[InstalledFont]:
    own = Path(os.environ.get("XDG_DATA_HOME") or Path(os.environ.get("HOME", "/"), ".local", "share"), "fonts")
    files = [
        file
        for folder in (own, *map(Path, FONT_FOLDERS))
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in FONT_SUFFIXES
    ]
    files.sort(key=lambda file: not any(name in file.name.lower() for name in LARGE_FONTS))
    return [InstalledFont(FontFile(str(file)), None) for file in files[:MAX_FONTS]]


@lru_cache(maxsize=8192)
def font_of(character: str) -> FontFile | None:
    """The first font that has `character`; None if there is none."""
    bundled = bundled_font()
    if _has(bundled, character):
        return bundled
    return next((one.file for one in installed_fonts() if one.may_have(character) and _has(one.file, character)), None)


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf") or "\ufe00" <= character <= "\ufe0f"


def _printable(text: str) -> str:
    """`text` on one line, in NFC, without invisible control and format characters."""
    spaced = "".join(" " if character.isspace() else character for character in unicodedata.normalize("NFC", text))
    return "".join(one for one in spaced if not (_is_invisible(one) and not _has(bundled_font(), one)))


def undrawable(texts: Iterable[str]) -> list[str]:
    """The characters of `texts` that no installed font has, sorted."""
    lacking = sorted({one for text in texts for one in _printable(text) if not _has(bundled_font(), one)})
    return [one for one in lacking[:MAX_LOOKED_UP] if font_of(one) is None] + lacking[MAX_LOOKED_UP:]


def _runs(text: str, missing: frozenset[str]) -> Iterator[tuple[FontFile, str]]:
    bundled = bundled_font()

    def font(character: str) -> FontFile:
        return (None if character in missing else font_of(character)) or bundled

    for file, run in groupby(_printable(text), key=font):
        drawn = "".join(REPLACEMENT if one in missing or font_of(one) is None else one for one in run)
        yield file, drawn


@dataclass(frozen=True)
class Lettering:
    """Writes on one image. Each of `missing`, the characters that no font has, is drawn as U+FFFD."""

    draw: ImageDraw.ImageDraw
    missing: frozenset[str]

    def length_px(self, text: str, size_px: int) -> float:
        """The width of `text`."""
        return sum(_opened(file, size_px).getlength(run) for file, run in _runs(text, self.missing))

    def shortened(self, text: str, size_px: int, max_px: float) -> str:
        """`text`, shortened with an ellipsis if it is wider than `max_px`."""
        if self.length_px(text, size_px) <= max_px:
            return text
        while text and self.length_px(text + ELLIPSIS, size_px) > max_px:
            text = text[:-1]
        return text + ELLIPSIS if text else ""

    def write(self, place: tuple[int, int], text: str, size_px: int, colour: Colour, *, max_px: float) -> None:
        """Draw `text` with its top left corner at `place`, no wider than `max_px`."""
        x, top = float(place[0]), place[1]
        baseline = top + _opened(bundled_font(), size_px).getmetrics()[0]  # the same for all fonts
        for file, run in _runs(self.shortened(text, size_px, max_px), self.missing):
            face = _opened(file, size_px)
            self.draw.text((x, baseline), run, fill=colour, font=face, anchor="ls")
            x += face.getlength(run)


def lettering_on(page: Image.Image, missing: Iterable[str] = ()) -> Lettering:
    """A Lettering on `page`; `missing` comes from `undrawable`."""
    return Lettering(ImageDraw.Draw(page), frozenset(missing))


def note_on(missing: list[str]) -> str:
    """Log the `missing` characters and return a note for the image; empty if none is missing."""
    if not missing:
        return ""
    named = ", ".join(f"U+{ord(one):04X}" for one in missing[:10])
    log.warning(
        "no installed font has %d of the characters in names (%s%s); install one, for example Noto Sans CJK",
        *(len(missing), named, ", …" if len(missing) > 10 else ""),
    )
    return f"{REPLACEMENT} : no installed font has this character; install one, for example Noto Sans CJK"
