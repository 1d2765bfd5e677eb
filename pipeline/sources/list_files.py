"""Readers of lists of pictures: CSV, TSV, JSON, JSON lines, Parquet, or one URL per line."""

import gzip
import io
import json
import logging
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import SourceError
from pipeline.sources.delimited import DELIMITERS, DelimitedRows, Row, header_names, read_header, split_line
from pipeline.storage.encodings import WINDOWS_1252, encoding_of

# Our column: its names in img2dataset and in common lists, in lower case; the first one present is used.
COLUMN_ALIASES = {
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
TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson")
SUFFIXES = (*TEXT_SUFFIXES, *(f"{suffix}.gz" for suffix in TEXT_SUFFIXES), ".parquet")
# Files that people, systems and programs leave beside lists. Unfinished downloads have other extensions.
CLUTTER = re.compile(
    r"\.|~\$|(?:thumbs\.db|ehthumbs\.db|desktop\.ini|icon\r)$|.*~$|(?:readme|licen[cs]e|notice|changelog)(?:\.(?:md|txt|rst))?$",
    re.IGNORECASE,
)
BULLET = re.compile(r"(?:[-*•]|\d+[.)])\s+")  # before a URL on its own line
MAX_PREAMBLE_LINES = 10  # titles and comments above a header
SWAPPED_QUOTES = str.maketrans("'\"", "\"'")
MAX_SHOWN = 5
GZIP = b"\x1f\x8b"
BATCH_ROWS = 10_000
MAX_LINE_CHARACTERS = 1 << 24  # the rest of a longer line is not read
MAX_JSON_BYTES = 1 << 28  # of a file that must be read at once

Columns = tuple[tuple[str, str], ...]  # our name, the file's name: collect.list.columns

log = logging.getLogger(__name__)


def suffix_of(path: Path) -> str | None:
    """The one of SUFFIXES that `path` ends in, or none."""
    return next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)


def list_paths(path: Path) -> list[Path]:
    """The files of the list at `path`: itself, or the files in the folder with the extension of a list. Raises SourceError."""
    if not path.is_dir():
        if suffix_of(path) is None:
            raise SourceError(f"collect.list.path: {path}: must end in {', '.join(SUFFIXES)}")
        return [path]
    files = [entry for entry in _list_folder(path) if suffix_of(entry) is not None and not entry.is_dir()]
    if not files:
        raise SourceError(f"collect.list.path: {path}: no {', '.join(SUFFIXES)} file in this folder")
    if odd := next((file for file in files if not file.is_file()), None):
        kind = "a link to a file that is not there" if odd.is_symlink() and not odd.exists() else "no regular file"
        raise SourceError(f"collect.list.path: {odd}: {kind}; remove it")
    return files


def ignored_names(path: Path) -> list[str]:
    """Names of the entries of the folder `path` that are not lists, without hidden files and clutter."""
    if not path.is_dir():
        return []
    return [entry.name for entry in _list_folder(path) if suffix_of(entry) is None or not entry.is_file()]


def _list_folder(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not CLUTTER.match(entry.name))
    except OSError as error:
        raise SourceError(f"collect.list.path: {folder}: cannot be listed ({error.strerror})") from None


@lru_cache(maxsize=1024)
def match_columns(names: tuple[str, ...], columns: Columns) -> dict[str, str | None]:
    """For each column of COLUMN_ALIASES the one of `names` that holds it, or none; `columns` overrides the aliases."""
    found = {_normalized(name): name for name in reversed(names)}  # of names that differ only in case, the first counts
    given = dict(columns)

    def holder(ours: str) -> str | None:
        wanted = map(_normalized, (given.get(ours, ours), *COLUMN_ALIASES[ours]))
        return next((found[name] for name in wanted if name in found), None)

    return {ours: holder(ours) for ours in COLUMN_ALIASES}


def _normalized(name: str) -> str:
    return " ".join(name.split()).casefold()


def read_rows(path: Path, columns: Columns) -> Iterator[Row]:
    """The rows of the list at `path`, in order. Raises SourceError if the file is unreadable or has no column of URLs."""
    try:
        if suffix_of(path) == ".parquet":
            yield from _parquet_rows(path, columns)
        else:
            with _open_text(path) as file:
                yield from _text_rows(path, file, columns)
    except UnicodeDecodeError as error:
        raise SourceError(f"collect.list.path: {path}: not {error.encoding} throughout; save it as UTF-8") from None
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise SourceError(f"collect.list.path: {path}: cannot be read ({' '.join(str(error).split())})") from None


@contextmanager
def _open_text(path: Path) -> Iterator[TextIO]:
    """The decompressed text of the file at `path`.

    Bytes that are not UTF-8 become lone surrogates, so they affect only their row.
    """
    with path.open("rb") as file:
        packed = file.read(len(GZIP)) == GZIP
        file.seek(0)
        content = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file
        encoding = encoding_of(content)
        if encoding == WINDOWS_1252:
            log.warning("%s: not UTF-8, read as Windows-1252; save it as UTF-8 if letters come out wrong", path)
        # UTF-16 and UTF-32 do not support surrogateescape.
        errors = "replace" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
        with io.TextIOWrapper(content, encoding, errors, newline="") as text:
            yield text


def _read_lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(MAX_LINE_CHARACTERS):
        yield line
        while line and not line.endswith(("\n", "\r")):
            line = file.readline(MAX_LINE_CHARACTERS)


def _text_rows(path: Path, file: TextIO, columns: Columns) -> Iterator[Row]:
    match (suffix_of(path) or "").removesuffix(".gz"):
        case ".json":
            return _json_rows(path, file, columns)
        case ".jsonl" | ".ndjson":
            return _json_lines(_read_lines(file))
        case ".txt":
            return _url_lines(path, _read_lines(file), columns)
        case suffix:
            return _table_rows(path, _read_lines(file), "\t" if suffix == ".tsv" else ",", columns)


def _is_utf8(line: str) -> bool:
    return line.isascii() or not any("\udc80" <= sign <= "\udcff" for sign in line)


def _json_lines(lines: Iterable[str]) -> Iterator[Row]:
    return ((number, _json_row(line)) for number, line in enumerate(lines, start=1) if line.strip() not in ("", "[", "]"))


def _json_row(line: str) -> Mapping[str, Any] | str:
    line = line.strip()
    if "{" in line[:2]:  # possibly a line of an array
        line = line.removeprefix("[").rstrip(",]")
    try:
        return _as_row(json.loads(line)) if _is_utf8(line) else "not JSON"
    except (ValueError, RecursionError):
        return "not JSON"


def _as_row(entry: Any) -> Mapping[str, Any] | str:
    if isinstance(entry, str):
        return {"url": entry}
    return entry if isinstance(entry, Mapping) else "not a JSON object"


def _json_rows(path: Path, file: TextIO, columns: Columns) -> Iterator[Row]:
    """The rows of a JSON value, or of JSON lines in a file named .json."""
    text = file.read(MAX_JSON_BYTES)
    if file.read(1):
        raise SourceError(f"collect.list.path: {path}: more than {MAX_JSON_BYTES} characters of JSON; make it JSON lines")
    if not text.strip():
        return iter(())
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        lines = text.split("\n")
        if lines and isinstance(_json_row(lines[0]), Mapping):
            return _json_lines(lines)
        raise SourceError(f"collect.list.path: {path}: not JSON ({error})") from None
    content = _json_entries(content, columns)
    if not isinstance(content, list):
        raise SourceError(f"collect.list.path: {path}: must be an array of objects or of URLs")
    return enumerate((_as_row(entry) for entry in content), start=1)


def _json_entries(content: Any, columns: Columns) -> Any:
    """The rows in a JSON value: in any orientation that pandas writes, or below a key such as `data`."""
    if isinstance(content, list):
        names = content[0] if content else None
        if isinstance(names, list) and all(isinstance(name, str) for name in names) and _has_url(names, columns):
            return [dict(zip(names, row, strict=False)) if isinstance(row, list) else row for row in content[1:]]
        return content
    if not isinstance(content, Mapping) or not content:
        return content
    if isinstance(content.get("columns"), list) and isinstance(content.get("data"), list):
        return _json_entries([content["columns"], *content["data"]], columns)
    values = list(content.values())
    if _has_url(content, columns):
        url = content[str(match_columns(tuple(map(str, content)), columns)["url"])]
        if isinstance(url, Mapping):
            numbers = dict.fromkeys(chain.from_iterable(part for part in values if isinstance(part, Mapping)))
            return [{name: part.get(key) for name, part in content.items() if isinstance(part, Mapping)} for key in numbers]
        if isinstance(url, list) and all(isinstance(part, list) and len(part) == len(url) for part in values):
            return [dict(zip(content, row, strict=True)) for row in zip(*values, strict=True)]
        return [content]
    if all(isinstance(part, Mapping) and _has_url(part, columns) for part in values):
        return values
    return next((part for part in values if isinstance(part, list) and part and isinstance(part[0], Mapping)), [content])


def _has_url(names: Iterable[str], columns: Columns) -> bool:
    return match_columns(tuple(map(str, names)), columns)["url"] is not None


def _url_lines(path: Path, lines: Iterator[str], columns: Columns) -> Iterator[Row]:
    """The rows of a text file: one URL per line without blank lines and comments (#), or a table as Excel saves it as text."""
    numbered = ((number, BULLET.sub("", line.strip())) for number, line in enumerate(lines, start=1))
    wanted = ((number, line) for number, line in numbered if line and not line.startswith("#"))
    first = next(wanted, None)
    if first is None:
        return iter(())
    for delimiter in DELIMITERS:
        names = header_names(first[1], delimiter)
        if match_columns(tuple(names), columns)["url"] is not None:
            if len(names) > 1:
                return _table_rows(path, chain([first[1]], lines), delimiter, columns)
            first = next(wanted, None)
            break
    if first is None:
        return iter(())
    urls = ((number, line.partition("\t")[0].rstrip(" ,;")) for number, line in chain([first], wanted))
    return ((number, {"url": url} if _is_utf8(url) else "not UTF-8") for number, url in urls)


def _table_rows(path: Path, lines: Iterator[str], usual: str, columns: Columns) -> Iterator[Row]:
    """The rows below a header; the delimiter is the one of DELIMITERS that gives a column of URLs, preferably `usual`."""
    header = first = read_header(lines)
    for _ in range(MAX_PREAMBLE_LINES):
        if not header:
            break
        if (rows := _rows_after_header(path, header.lstrip("\ufeff"), lines, usual, columns)) is not None:
            return rows
        header = read_header(lines)
    if not first:
        return iter(())
    header = first
    names, remedy = header_names(header, usual), "a header line is needed, or collect.list.columns"
    raise _no_url_column(path, names, columns, "its first line names", "it is", remedy)


def _rows_after_header(path: Path, header: str, lines: Iterator[str], usual: str, columns: Columns) -> Iterator[Row] | None:
    """The rows of a table below `header`; none if it has no column of URLs."""
    whole = split_line(header, usual)
    if len(whole) == 1 and usual in whole[0]:  # Excel has quoted each line as a single field
        unquoted = ("".join(split_line(line, usual)) + "\n" for line in lines)
        return _rows_after_header(path, whole[0], unquoted, usual, columns)
    if header.startswith("#"):
        header = header[1:].lstrip()
    if header.lstrip().startswith("'"):
        swapped = (line.translate(SWAPPED_QUOTES) for line in lines)
        rows = _rows_after_header(path, header.translate(SWAPPED_QUOTES), swapped, usual, columns)
        return None if rows is None else ((number, _with_swapped_quotes(row)) for number, row in rows)
    for delimiter in dict.fromkeys((usual, *DELIMITERS)):
        names = header_names(header, delimiter)
        url = match_columns(tuple(names), columns)["url"]
        if url is not None:
            if delimiter != usual:
                log.info("%s: separated by %r", path, delimiter)
            return iter(DelimitedRows(lines, delimiter, _checked_names(path, names, columns), names.index(url), header))
    return None


def _with_swapped_quotes(row: Mapping[str, Any] | str) -> Mapping[str, Any] | str:
    return row if isinstance(row, str) else {name: value.translate(SWAPPED_QUOTES) for name, value in row.items()}


def _no_url_column(path: Path, names: list[str], columns: Columns, subject: str, shown_as: str, remedy: str) -> SourceError:
    shown = ", ".join([name[:60] for name in names[:MAX_SHOWN]] + ["…"] * (len(names) > MAX_SHOWN))
    return SourceError(
        f"collect.list.path: {path}: {subject} no column {dict(columns).get('url', 'url')} ({shown_as} {shown}); {remedy}"
    )


def _checked_names(path: Path, names: list[str], columns: Columns) -> list[str]:
    """`names` with numbers appended to duplicates, as pandas does; logs duplicates and missing columns."""
    twice = sorted(name for name, count in Counter(map(_normalized, names)).items() if count > 1 and name)
    if twice:
        log.warning("%s: more than one column %s; the first is read, the others are kept in extra", path, ", ".join(twice))
    there = set(map(_normalized, names))
    if absent := [f"{ours}: {name}" for ours, name in columns if _normalized(name) not in there]:
        log.warning("%s: no such column as collect.list.columns has (%s)", path, ", ".join(absent))
    before: Counter[str] = Counter()
    unique = []
    for name in names:
        unique.append(f"{name}.{before[name]}" if before[name] else name)
        before[name] += 1
    return unique


def _parquet_rows(path: Path, columns: Columns) -> Iterator[Row]:
    number = 0
    with pq.ParquetFile(path) as file:
        names = [" ".join(name.split()) for name in file.schema_arrow.names]
        if match_columns(tuple(names), columns)["url"] is None:
            raise _no_url_column(
                path, names, columns, "it has", "its columns are", "name the one with the URLs in collect.list.columns"
            )
        unique = _checked_names(path, names, columns)
        for batch in file.iter_batches(BATCH_ROWS):
            for row in _batch_rows(batch.rename_columns(unique)):
                number += 1
                yield number, row


def _batch_rows(batch: pa.RecordBatch) -> Iterator[Mapping[str, Any] | str]:
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError):  # an impossible date or text that is not UTF-8: find its row
        for index in range(batch.num_rows):
            try:
                yield batch.slice(index, 1).to_pylist()[0]
            except (ValueError, OverflowError) as error:
                yield f"an unreadable value ({type(error).__name__})"
