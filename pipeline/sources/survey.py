"""Which files of a folder are pictures that can be read, and how many other files of each kind there are."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.imaging.formats import BY_EXTENSION, HEAD_BYTES, format_names, format_of, how_to_read

# Hidden files, and what operating systems and network drives leave in folders.
CLUTTER = re.compile(r"\.|__MACOSX$|@eaDir$|\$RECYCLE\.BIN$|System Volume Information$|lost\+found$")
ABOVE_CATEGORIES = "above the category folders"
BROKEN_LINKS = "broken links in place of category folders"
KINDS_SHOWN = 8
EXTENSION_CHARACTERS = 12  # a longer one is part of a name with a dot in it


@dataclass
class Survey:
    """The files of a folder."""

    pictures: list[Path] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)  # number of files of each kind
    links: int = 0  # to folders; they are not followed

    def summary(self) -> str:
        """One line about what was skipped, the most frequent kinds first; empty if nothing was."""
        parts = []
        if total := self.skipped.total():
            kinds = sorted(self.skipped.items(), key=lambda item: (-item[1], item[0]))
            counts = [f"{count} {kind}{_advice(kind)}" for kind, count in kinds[:KINDS_SHOWN]]
            if len(kinds) > KINDS_SHOWN:
                counts.append(f"{sum(count for _, count in kinds[KINDS_SHOWN:])} of other kinds")
            parts += [f"{_plural(total, 'file')} skipped: {', '.join(counts)}"]
        if self.links:
            parts += [f"{_plural(self.links, 'linked folder')} not followed"]
        return "; ".join([*parts, f"formats read: {format_names()}"]) if parts else ""


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count != 1 else ''}"


def _advice(kind: str) -> str:
    known = BY_EXTENSION.get(kind.removeprefix("."))
    return "" if known is None or known.is_read else f" ({how_to_read(known)})"


def _head(path: Path) -> bytes:
    """The first bytes of the file at `path`; empty if it is unreadable or not a regular file."""
    try:
        if not path.is_file():
            return b""
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            return file.read(HEAD_BYTES)
    except (OSError, ValueError):
        return b""


def _extension(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")


def is_picture(path: Path) -> bool:
    """Whether the file at `path` is a picture that can be read: by its extension, else by its bytes.

    By its bytes, a TIFF counts only without an extension, because camera raw files start like one.
    """
    extension = _extension(path)
    if (known := BY_EXTENSION.get(extension)) is not None and known.is_read:
        return True
    found = format_of(_head(path))
    return found is not None and found.is_read and (found.name != "TIFF" or not extension)


def _kind(path: Path) -> str:
    extension = _extension(path)
    is_one = 0 < len(extension) <= EXTENSION_CHARACTERS and extension.isprintable()
    return f".{extension}" if is_one else "without an extension"


def survey_folder(folder: Path, tops: Iterable[str], on_error: Callable[[OSError], None]) -> Survey:
    """The files below the sub-folders `tops` of `folder`, pictures sorted by path; hidden files are ignored.

    Linked folders below them are not followed, and neither is one of `tops` that links out of `folder`, because `fetch` would
    refuse its pictures. Files in `folder` itself have no category; only the pictures among them are counted.
    """
    survey = Survey()
    for top in tops:
        if (folder / top).is_symlink() and not (folder / top).resolve().is_relative_to(folder.resolve()):
            survey.links += 1
            continue
        for parent, folders, names in os.walk(folder / top, onerror=on_error):
            shown = [name for name in folders if not CLUTTER.match(name)]
            folders[:] = [name for name in shown if not Path(parent, name).is_symlink()]
            survey.links += len(shown) - len(folders)
            for path in (Path(parent, name) for name in names if not CLUTTER.match(name)):
                if is_picture(path):
                    survey.pictures.append(path)
                else:
                    survey.skipped[_kind(path)] += 1
    above = [entry for entry in folder.iterdir() if not CLUTTER.match(entry.name) and not entry.is_dir()]
    survey.skipped[ABOVE_CATEGORIES] = sum(
        _extension(entry) in BY_EXTENSION or is_picture(entry) for entry in above if entry.exists()
    )
    survey.skipped[BROKEN_LINKS] = sum(entry.is_symlink() and not entry.exists() for entry in above)
    survey.pictures.sort()
    survey.skipped = +survey.skipped
    return survey
