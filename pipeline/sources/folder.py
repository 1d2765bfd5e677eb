"""A folder of pictures with one sub-folder per category, or with train, validation and test folders above the categories.

No file in it can stop a run: one that cannot be read, or that leads out of the folder, becomes a row with a reason.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from pipeline.errors import SourceError
from pipeline.sources import Listed, NotFetchedError

SCHEME = "file"
EXTENSIONS = frozenset({".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
SPLITS = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation", "test": "test"}


def _unreadable(error: OSError) -> None:
    raise SourceError(f"collect.folder.path: {error.filename}: cannot be listed ({error.strerror})")


def _top_folders(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise SourceError(f"collect.folder.path: {folder}: cannot be listed ({error.strerror}); give a folder") from None


def picture_paths(folder: Path) -> list[Path]:
    """Every file with a picture's extension below the sub-folders of `folder`, sorted; what is hidden is left out.

    Raises SourceError when a folder cannot be listed.
    """
    found: list[Path] = []
    for top in _top_folders(folder):
        for parent, folders, names in os.walk(folder / top, onerror=_unreadable):
            folders[:] = [name for name in folders if not name.startswith(".")]
            files = (Path(parent, name) for name in names if not name.startswith("."))
            found += (path for path in files if path.suffix.lower() in EXTENSIONS)
    return sorted(found)


def _url(path: Path) -> str:
    return f"{SCHEME}:{quote(os.fsencode(path))}"


def _path(url: str) -> Path:
    return Path(os.fsdecode(unquote_to_bytes(url.removeprefix(f"{SCHEME}:"))))


def list_pictures(folder: Path, licence: str | None) -> Iterator[Listed]:
    """The pictures in `folder`, by path. Raises SourceError when there is none, or the folder cannot be listed."""
    paths = picture_paths(folder)
    if not paths:
        raise SourceError(f"collect.folder.path: {folder}: no pictures in its sub-folders; make one sub-folder per category")
    has_splits = all(name.lower() in SPLITS for name in _top_folders(folder))
    for path in paths:
        above = path.relative_to(folder).parts[:-1]
        split = SPLITS[above[0].lower()] if has_splits else None
        names = above[1:] if has_splits else above
        category = os.fsencode(names[0]).decode("utf-8", "replace") if names else None
        yield Listed(_url(path), "folder", page=_url(folder), category=category, licence=licence, split=split)


def read_picture(url: str, page: str | None, max_bytes: int) -> bytes:
    """The bytes of the file at `url`, which must lie within the folder at `page`. Raises NotFetchedError."""
    path, folder = _path(url), _path(page or "")
    try:
        if not path.resolve(strict=True).is_relative_to(folder.resolve()):
            raise NotFetchedError("refused", f"a link that leaves {os.fsencode(folder).decode(errors='replace')}")
        if not stat.S_ISREG(path.stat().st_mode):  # opening a device can have effects
            raise NotFetchedError("refused", "not a regular file")
        # Without waiting for ever, should a pipe have taken the file's place.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise NotFetchedError("refused", "not a regular file")
            if facts.st_size > max_bytes:
                raise NotFetchedError("refused", f"{facts.st_size} bytes, more than fetch.max_bytes ({max_bytes})")
            return file.read(max_bytes)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise NotFetchedError("failed", f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
