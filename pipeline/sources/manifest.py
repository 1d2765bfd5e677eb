"""Pictures from a list of URLs: CSV, JSON lines or Parquet, one file or a folder of them, with img2dataset's column names.

A bad row is a row with a reason. Columns that are not ours are kept, as JSON, in `extra`.
"""

import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import SourceError
from pipeline.sources import Listed
from pipeline.sources.web.answers import RefusedError
from pipeline.sources.web.client import checked_url
from pipeline.sources.web.licences import licence_name
from pipeline.sources.web.urls import blanks_encoded
from pipeline.sources.web.values import iso_date, price_of

BATCH_ROWS = 10_000
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
# Our name: what img2dataset and the lists it is used on call it; compared in lower case, the first that a file has is taken.
KNOWN = {
    "url": ("url", "image_url", "img_url"),
    "title": ("title", "caption", "text", "top_caption"),
    "alt": ("alt", "alt_text"),
    "page": ("page", "page_url", "source_url"),
    "category": ("category", "label", "class"),
    "licence": ("licence", "license", "license_url"),
    "published": ("published", "date_published", "date"),
    "split": ("split",),
    "price": ("price",),
    "currency": ("currency",),
}
SPLITS = frozenset({"train", "validation", "test"})
Row = tuple[int, Mapping[str, Any] | str]  # its number in the file; a string says why it cannot be read


def list_pictures(path: Path, columns: Mapping[str, str]) -> Iterator[Listed]:
    """The pictures in the file or folder at `path`, in its order, bad rows among them as refused with a reason.

    `columns` maps our names to the file's where they are not img2dataset's. Raises SourceError for an unreadable file.
    """
    unknown = sorted(set(columns) - set(KNOWN))
    if unknown:
        raise SourceError(f"collect.manifest.columns: {unknown[0]} is no column of ours; they are {', '.join(KNOWN)}")
    for file in list_paths(path):
        for number, row in _rows(file):
            where = f"{file.name}#{number}"
            if isinstance(row, str):
                yield Listed(f"row:{where}", "manifest", status="refused", reason=f"row {number}: {row}")
            else:
                yield picture_of(row, columns, where, number)


def picture_of(row: Mapping[str, Any], columns: Mapping[str, str], where: str, number: int) -> Listed:
    """The picture that a row names; refused when its URL is missing or is none."""
    names = {name.lower(): name for name in row if isinstance(name, str)}
    ours = {
        column: next(
            (names[other.lower()] for other in (columns.get(column), *known) if other and other.lower() in names), None
        )
        for column, known in KNOWN.items()
    }
    told = {column: _text(row[name]) if name is not None else None for column, name in ours.items()}
    rest = {name: value for name, value in row.items() if name not in ours.values() and not _is_missing(value)}
    url, reason = told["url"], None
    try:
        if url is None:
            raise RefusedError(f"no {columns.get('url', 'url')}")
        url = blanks_encoded(url)
        checked_url(url)
    except RefusedError as error:
        reason = f"row {number}: {error.reason}"
    return Listed(
        url=url if url is not None and reason is None else f"row:{where}",
        page=told["page"],
        title=told["title"],
        category=told["category"],
        licence=licence_name(told["licence"]),
        published=iso_date(told["published"]),
        split=told["split"] if told["split"] in SPLITS else None,
        source="manifest",
        alt=told["alt"],
        price=price_of(told["price"]),
        currency=told["currency"],
        extra=_json(rest) if rest else None,
        status="listed" if reason is None else "refused",
        reason=reason,
    )


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _text(value: Any) -> str | None:
    return None if _is_missing(value) else str(value).strip() or None


def _json(row: Mapping[str, Any]) -> str:
    try:
        return json.dumps(row, ensure_ascii=False, default=str, sort_keys=True, allow_nan=False)
    except (ValueError, TypeError, RecursionError):  # an infinity, keys that are no strings, or values too deep for JSON
        return json.dumps({name: str(value) for name, value in row.items()}, ensure_ascii=False, sort_keys=True)


def list_paths(path: Path) -> list[Path]:
    """The files of the list at `path`: itself, or those in the folder. Raises SourceError."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        if not files:
            raise SourceError(f"collect.manifest.path: {path}: no {', '.join(SUFFIXES)} file in this folder")
        return files
    if path.suffix.lower() not in SUFFIXES:
        raise SourceError(f"collect.manifest.path: {path}: must end in {', '.join(SUFFIXES)}")
    return [path]


def _rows(path: Path) -> Iterator[Row]:
    try:
        match path.suffix.lower():
            case ".parquet":
                yield from _parquet_rows(path)
            case ".jsonl" | ".ndjson":
                with path.open("rb") as file:
                    yield from enumerate(map(_json_row, file), start=1)
            case suffix:
                # Bytes that are not UTF-8 become lone surrogates, so that they cost their row and not the file.
                with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
                    yield from _csv_rows(csv.reader(file, delimiter="\t" if suffix == ".tsv" else ","))
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"collect.manifest.path: {path}: cannot be read ({error})") from None


def _json_row(line: bytes) -> Mapping[str, Any] | str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return "not JSON"
    return row if isinstance(row, Mapping) else "not a JSON object"


def _parquet_rows(path: Path) -> Iterator[Row]:
    number = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            for row in batch.to_pylist():
                number += 1
                yield number, row


def _csv_rows(lines: Iterator[list[str]]) -> Iterator[Row]:
    header = next(lines, [])
    number = 0
    while True:
        number += 1
        try:
            fields = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, str(error)
            continue
        if fields:
            yield number, _csv_row(header, fields)


def _csv_row(header: list[str], fields: list[str]) -> Mapping[str, Any] | str:
    if len(fields) != len(header):
        return f"{len(fields)} fields, where the header has {len(header)}"
    if any(not field.isascii() and any("\udc80" <= sign <= "\udcff" for sign in field) for field in fields):
        return "not UTF-8"
    return dict(zip(header, fields, strict=True))
