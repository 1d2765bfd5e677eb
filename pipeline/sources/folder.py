"""The source `folder`: one sub-folder per category, or train, validation and test folders above the categories.

No file can stop a run: one that is unreadable or leads out of the folder becomes a row with a reason.
"""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from pipeline.errors import SourceError
from pipeline.sources import ListedPicture, split_of
from pipeline.sources.survey import ABOVE_CATEGORIES, CLUTTER, Survey, survey_folder
from pipeline.web.responses import NotFetchedError

SCHEME = "file"

log = logging.getLogger(__name__)


def _unreadable(error: OSError) -> None:
    raise SourceError(f"collect.folder.path: {error.filename}: cannot be listed ({error.strerror})")


def _top_folders(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not CLUTTER.match(entry.name))
    except OSError as error:
        raise SourceError(f"collect.folder.path: {folder}: cannot be listed ({error.strerror}); give a folder") from None


def survey(folder: Path) -> Survey:
    """The pictures below the sub-folders of `folder`, and what is skipped. Raises SourceError if a folder cannot be listed."""
    return survey_folder(folder, _top_folders(folder), _unreadable)


def picture_paths(folder: Path) -> list[Path]:
    """Every picture below the sub-folders of `folder`, sorted. Raises SourceError if a folder cannot be listed."""
    return survey(folder).pictures


def file_url(path: Path) -> str:
    """The URL of the file at `path` in the manifest, whatever bytes its name contains."""
    return f"{SCHEME}:{quote(os.fsencode(path))}"


def path_of_url(url: str) -> Path:
    """The path of the file at `url`, as `file_url` wrote it."""
    return Path(os.fsdecode(unquote_to_bytes(url.removeprefix(f"{SCHEME}:"))))


def _has_splits(folder: Path) -> bool:
    """Whether the sub-folders of `folder` are splits; logs if only some of them could be."""
    splits = {name: split_of(name) for name in _top_folders(folder)}
    others = [name for name, split in splits.items() if split is None]
    if others and {"train", "test"} <= {*splits.values()}:
        shown = os.fsencode(", ".join(others[:5])).decode(errors="replace") + (", …" if len(others) > 5 else "")
        log.warning(
            "%s: train and test folders beside others (%s): all of them are treated as categories, not splits", folder, shown
        )
    return not others


def _advice(found: Survey) -> str:
    only_above = found.skipped.keys() <= {ABOVE_CATEGORIES}
    return "make one sub-folder per category" if only_above else "convert these files, or name another folder"


def list_pictures(folder: Path, licence: str | None) -> Iterator[ListedPicture]:
    """The pictures in `folder`, sorted by path; logs the number of skipped files.

    Raises SourceError if there is no picture or the folder cannot be listed.
    """
    found = survey(folder)
    summary = found.summary()
    if not found.pictures:
        details = f" ({summary})" if summary else ""
        raise SourceError(f"collect.folder.path: {folder}: no pictures in its sub-folders{details}; {_advice(found)}")
    if summary:
        log.warning("%s: %s", folder, summary)
    has_splits = _has_splits(folder)
    for path in found.pictures:
        above = path.relative_to(folder).parts[:-1]
        split = split_of(above[0]) if has_splits else None
        names = above[1:] if has_splits else above
        category = os.fsencode(names[0]).decode("utf-8", "replace") if names else None
        yield ListedPicture(file_url(path), "folder", page=file_url(folder), category=category, licence=licence, split=split)


def read_picture(url: str, page: str | None, max_bytes: int) -> bytes:
    """The bytes of the file at `url`, which must lie within the folder at `page`. Raises NotFetchedError."""
    path, folder = path_of_url(url), path_of_url(page or "")
    try:
        if not path.resolve(strict=True).is_relative_to(folder.resolve()):
            raise NotFetchedError("refused", f"a link out of {os.fsencode(folder).decode(errors='replace')}")
        if not stat.S_ISREG(path.stat().st_mode):  # opening a device may have side effects
            raise NotFetchedError("refused", "not a regular file")
        # O_NONBLOCK, in case a pipe has replaced the file since.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise NotFetchedError("refused", "not a regular file")
            if facts.st_size > max_bytes:
                raise NotFetchedError("refused", f"{facts.st_size} bytes, more than fetch.max_bytes ({max_bytes})")
            return file.read(max_bytes)
    except (OSError, RuntimeError) as error:  # RuntimeError: a cycle of links
        raise NotFetchedError("failed", f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
