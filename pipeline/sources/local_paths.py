"""Local pictures in a list.

A list may come from a stranger, so it can only name pictures within its own folder.
"""

import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

from pipeline.imaging.formats import BY_EXTENSION
from pipeline.sources.folder import SCHEME, file_url
from pipeline.web.responses import RefusedError

HAS_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")
FILE_URL = re.compile(rf"{SCHEME}:(?://(?:localhost)?(?=/))?(?!//)(.+)", re.IGNORECASE | re.DOTALL)


def local_url(text: str, folder: Path) -> str | None:
    """The `file:` URL of the picture that `text` names; none if it names no local picture.

    `text` is a path relative to `folder`, an absolute path or a URL. Raises RefusedError if the file is outside `folder`,
    missing, or has no extension of a picture.
    """
    given = FILE_URL.fullmatch(text)
    if given is None and HAS_SCHEME.match(text):
        return None
    path = Path(os.fsdecode(unquote_to_bytes(given[1])) if given else text)
    if given is None and path.suffix.lower().removeprefix(".") not in BY_EXTENSION:
        return None
    inside = _resolve_within(path, folder)
    if inside is None:
        raise RefusedError("a file outside the folder of the list")
    if inside.suffix.lower().removeprefix(".") not in BY_EXTENSION:
        raise RefusedError("a file without a picture's extension")
    if not os.path.isfile(inside):  # noqa: PTH113 Path.is_file raises for a name that is too long
        raise RefusedError("no such file in the folder of the list" + ("" if given else ", and not an absolute URL: no scheme"))
    return file_url(inside)


def _resolve_within(path: Path, folder: Path) -> Path | None:
    """The path below `folder` after following links; none if it leads outside."""
    root = folder.resolve()
    try:
        resolved = (root / os.path.normpath(path)).resolve()
        return folder / resolved.relative_to(root)
    except (ValueError, OSError, RuntimeError):  # outside; a name that is too long; a cycle of links
        return None
