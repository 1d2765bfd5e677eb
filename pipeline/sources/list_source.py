"""The source `list`: a list of URLs, one file or a folder of them, in the formats and with the column names of img2dataset.

A bad row becomes a row with a reason. Other columns are kept as JSON in `extra`.
"""

import json
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from pipeline.errors import SourceError
from pipeline.imaging.formats import BY_EXTENSION
from pipeline.sources import SPLITS, ListedPicture, split_of
from pipeline.sources.cells import category_label, cell_price, cell_texts, json_value
from pipeline.sources.folder import SCHEME, file_url
from pipeline.sources.list_files import COLUMN_ALIASES, MAX_SHOWN, SUFFIXES, ignored_names, list_paths, match_columns, read_rows
from pipeline.sources.pages.licences import licence_name
from pipeline.storage.reasons import most_frequent
from pipeline.web.client import checked_url
from pipeline.web.responses import RefusedError
from pipeline.web.urls import encode_spaces
from pipeline.web.values import iso_date

JOINED = ("title", "alt")  # columns that keep all texts of a cell; the others keep the first
# Formulas that quote or link a URL in a spreadsheet, and characters around a URL, some of them invisible.
FORMULA = re.compile(r"""=(?:HYPERLINK\()?\s*["']+(https?://[^"']+?)["']+.*""", re.IGNORECASE | re.DOTALL)
AROUND_URL = "<>\"'`“”‘’ \t\r\n\xa0\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"

HAS_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")
FILE_URL = re.compile(rf"{SCHEME}:(?://(?:localhost)?(?=/))?(?!//)(.+)", re.IGNORECASE | re.DOTALL)

log = logging.getLogger(__name__)


def list_pictures(path: Path, columns: Mapping[str, str]) -> Iterator[ListedPicture]:
    """The pictures in the file or folder at `path`, in order; bad rows are refused with a reason.

    `columns` maps our names to those of the file where they differ from img2dataset's. Oddities of a file are logged. Raises
    SourceError if a file is unreadable or has no column of URLs.
    """
    unknown = sorted(set(columns) - set(COLUMN_ALIASES))
    if unknown:
        raise SourceError(f"collect.list.columns: {unknown[0]} is not one of our columns ({', '.join(COLUMN_ALIASES)})")
    if names := ignored_names(path):
        more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
        log.warning("%s: ignored: %s%s; lists end in %s", path, ", ".join(names[:MAX_SHOWN]), more, ", ".join(SUFFIXES))
    for file in list_paths(path):
        yield from _pictures_in(file, columns)


def _pictures_in(file: Path, columns: Mapping[str, str]) -> Iterator[ListedPicture]:
    count, unknown_splits = 0, Counter[str]()
    for number, row in read_rows(file, tuple(columns.items())):
        count += 1
        where = f"{file.name}#{number}"
        if isinstance(row, str):
            yield ListedPicture(f"row:{where}", "list", status="refused", reason=f"row {number}: {row}")
        else:
            picture = picture_from_row(row, columns, where, number, file.parent)
            if picture.split is None:
                unknown_splits.update(_cells(row, columns)["split"].texts[:1])
            yield picture
    if not count:
        log.warning("%s: no rows", file)
    if unknown_splits:
        names = ", ".join(most_frequent(unknown_splits, MAX_SHOWN))
        log.warning(
            "%s: split is none of %s (%s); curate splits these rows like those without one", file, ", ".join(SPLITS), names
        )


class _Cell(NamedTuple):
    """The cell of a row in one of our columns."""

    column: str | None  # name in the file
    value: Any
    texts: list[str]

    @property
    def text(self) -> str | None:
        return self.texts[0] if self.texts else None


def _cells(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, _Cell]:
    names = match_columns(tuple(map(str, row)), tuple(columns.items()))
    cells = {ours: _Cell(name, row[name], cell_texts(row[name])) for ours, name in names.items() if name is not None}
    return dict.fromkeys(COLUMN_ALIASES, _Cell(None, None, [])) | cells


def picture_from_row(
    row: Mapping[str, Any], columns: Mapping[str, str], where: str, number: int, folder: Path | None = None
) -> ListedPicture:
    """The picture of a row; refused if its URL is missing, invalid, or not a picture within the list's `folder`."""
    cells = _cells(row, columns)
    text = {ours: _without_nul(cell.text) for ours, cell in cells.items()}
    url, page, reason = f"row:{where}", text["page"], None
    try:
        url, page = _url_and_page(cells["url"].text, page, columns.get("url", "url"), folder)
    except RefusedError as error:
        reason = f"row {number}: {error.reason}"
    split = split_of(text["split"] or "")
    taken = {"page": page == text["page"], "split": split is not None or text["split"] is None}
    in_full = {cell.column for ours, cell in cells.items() if taken.get(ours, True) and not _has_more(ours, cell)}
    rest = {name: json_value(value) for name, value in row.items() if name not in in_full}
    rest = {name: value for name, value in rest.items() if value is not None}
    return ListedPicture(
        url=url,
        page=page,
        title=_without_nul(", ".join(cells["title"].texts)),
        category=category_label(text["category"]) if text["category"] is not None else None,
        licence=licence_name(text["licence"]),
        published=iso_date(text["published"]),
        split=split,
        source="list",
        alt=_without_nul(", ".join(cells["alt"].texts)),
        price=cell_price(cells["price"].value),
        currency=text["currency"],
        extra=json.dumps(rest, ensure_ascii=False, sort_keys=True, allow_nan=False) if rest else None,
        status="listed" if reason is None else "refused",
        reason=reason,
    )


def _url_and_page(url: str | None, page: str | None, column: str, folder: Path | None) -> tuple[str, str | None]:
    """The URL of a picture and its page; for a local picture, the folder that it must not leave. Raises RefusedError."""
    if url is None:
        raise RefusedError(f"no {column}")
    url = _strip_wrapping(url)
    local = local_url(url, folder) if folder is not None else None
    if local is not None and folder is not None:
        return local, file_url(folder)
    url = encode_spaces(url)
    checked_url(url)
    return url, page


def _strip_wrapping(url: str) -> str:
    """`url` without what spreadsheets, editors and mail programs put around it; any other text unchanged."""
    if url.startswith("=") and (match := FORMULA.fullmatch(url)) is not None:
        return match[1]
    bare = url.strip(AROUND_URL).removesuffix(",").rstrip(AROUND_URL)
    wrapped = not url.startswith(bare[:1]) and bare.lower().startswith(("http://", "https://"))
    return bare if wrapped else url


def _without_nul(text: str | None) -> str | None:
    return text.replace("\0", "") or None if text is not None else None


def _has_more(ours: str, cell: _Cell) -> bool:
    """Whether the cell holds more than is taken from it; the rest goes into `extra`."""
    return (len(cell.texts) > 1 and ours not in JOINED) or (isinstance(cell.value, Mapping) and len(cell.value) > 0)


# A list may come from a stranger, so it can only name local pictures within its own folder.
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
