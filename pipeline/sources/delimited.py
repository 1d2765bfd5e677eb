"""Rows of CSV and TSV files. A double quote that is never closed costs only its own row."""

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.imaging.formats import BY_EXTENSION

Row = tuple[int, Mapping[str, Any] | str]  # row number; a string is the reason why the row is unreadable

DELIMITERS = (",", ";", "\t", "|")
MAX_HEADER_LINES = 10  # of a header with line breaks in quoted names
LOCATION = re.compile(rf"https?://|file:|.*\.(?:{'|'.join(BY_EXTENSION)})\s*$", re.IGNORECASE)  # the URL or path of a picture


class _Lines:
    """Lines for a csv reader, which consumes those of one record; `begin` starts the next and may return lines."""

    def __init__(self, lines: Iterator[str], is_row: Callable[[str], bool]) -> None:
        self._lines = lines
        self._returned: deque[str] = deque()
        self._is_row = is_row
        self.taken: list[str] = []
        self.unclosed: str | None = None  # what ended the record inside quotes: the next row, or "" at the end of the file

    def begin(self, keep: int | None = None) -> None:
        """Begin a record; the lines that the previous one consumed, except the first `keep`, are read again."""
        if keep is not None:
            self._returned.extendleft(reversed(self.taken[keep:]))
        self.taken, self.unclosed = [], None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else next(self._lines, "")
        if self.taken and (not line or self._is_row(line)):  # the reader requests a second line only inside quotes
            self._returned.extendleft([line] if line else [])
            self.unclosed = line
            raise StopIteration
        if not line:
            raise StopIteration
        self.taken.append(line)
        return line


class DelimitedRows:
    """The rows below `header`, whose column `url_index` holds the URLs.

    In a tab-separated file a double quote is an ordinary character, unless the number of fields is wrong that way.
    """

    def __init__(
        self, lines: Iterator[str], delimiter: str, header: Sequence[str], url_index: int, header_line: str = ""
    ) -> None:
        self._delimiter = delimiter
        self._skip_spaces = spaces_follow(header_line, delimiter)
        self._header = header
        self._url_index = url_index
        self._lines = _Lines(lines, self._is_row)
        self._reader = csv.reader(self._lines, delimiter=delimiter, skipinitialspace=self._skip_spaces)

    def __iter__(self) -> Iterator[Row]:
        number = 0
        while True:
            number += 1
            self._lines.begin()
            try:
                record = self._record(number)
            except StopIteration:
                return
            if isinstance(record, str):
                yield number, record
            elif any(map(str.strip, record)):
                yield number, self._row(record)

    def _is_row(self, line: str) -> bool:
        """Whether `line` is a complete row: there is a URL in its column, not behind a closing quote."""
        for fields in (self._split(line), line.rstrip("\r\n").split(self._delimiter)):
            if len(fields) >= len(self._header) and LOCATION.match(url := fields[self._url_index].strip()):
                return line.partition(url)[0].count('"') % 2 == 0
        return False

    def _split(self, line: str, **escaping: Any) -> list[str]:
        return split_line(line, self._delimiter, skipinitialspace=self._skip_spaces, **escaping)

    def _is_full(self, fields: list[str]) -> bool:
        return len(_without_empty_end(fields, self._header)) == len(self._header)

    def _record(self, number: int) -> list[str] | str:
        """The fields of the next record, or why it is unreadable. Raises StopIteration at the end."""
        if self._delimiter != "\t":
            return self._quoted_record(number)
        line = next(self._lines)
        verbatim = line.rstrip("\r\n").split("\t")
        continues = verbatim[-1].startswith('"') and line.count('"') % 2 == 1
        fields = [_unquoted(field) for field in verbatim]
        if '"' not in line or (self._is_full(fields) and not continues):
            return fields
        self._lines.begin(keep=0)
        record = self._quoted_record(number)
        return fields if self._is_full(fields) and (isinstance(record, str) or not self._is_full(record)) else record

    def _quoted_record(self, number: int) -> list[str] | str:
        try:
            fields = next(self._reader)
        except csv.Error as error:
            if len(self._lines.taken) > 1:
                self._skip_to_quote()
            return str(error)
        taken, unclosed = self._lines.taken, self._lines.unclosed
        if unclosed is not None:
            self._lines.begin(keep=1)
            until = (
                f"before row {number + len(taken)}, which has a URL of its own" if unclosed else "before the end of the file"
            )
            return f'a double quote (") opens a field and is not closed {until}'
        if len(taken) > 1 and any(map(self._holds_urls, fields)):
            self._lines.begin(keep=1)
            return f'a double quote (") opens a field that holds URLs and is closed only in row {number + len(taken) - 1}'
        if len(taken) > 1 and not self._is_full(fields):
            self._lines.begin(keep=1)
            return f"{len(fields)} fields over {len(taken)} lines, where the header has {len(self._header)}"
        if len(taken) == 1 and '\\"' in taken[0]:
            escaped = self._split(taken[0], escapechar="\\", strict=True)
            return escaped if len(escaped) == len(self._header) else fields
        return fields

    def _holds_urls(self, field: str) -> bool:
        """Whether a field over several lines contains a URL, so has swallowed other rows."""
        parts = field.replace("\n", self._delimiter).split(self._delimiter) if "\n" in field or "\r" in field else []
        return any(LOCATION.match(part.strip()) for part in parts)

    def _skip_to_quote(self) -> None:
        """Skip the rest of a quoted field that is too long."""
        for line in self._lines:
            if line.count('"') % 2 == 1:
                return

    def _row(self, fields: list[str]) -> Mapping[str, Any] | str:
        fields = _without_empty_end(fields, self._header)
        if len(fields) != len(self._header):
            return f"{len(fields)} fields, where the header has {len(self._header)}"
        if any(not field.isascii() and any("\udc80" <= sign <= "\udcff" for sign in field) for field in fields):
            return "not UTF-8"
        return dict(zip(self._header, fields, strict=True))


def split_line(line: str, delimiter: str, **escaping: Any) -> list[str]:
    """The fields of a single line; empty if it cannot be split."""
    try:
        return next(csv.reader([line], delimiter=delimiter, **escaping), [])
    except csv.Error:
        return []


def _unquoted(field: str) -> str:
    """`field` without surrounding quotes, if they are quotes by the rules of CSV."""
    inner = field[1:-1]
    quoted = len(field) > 1 and field[0] == field[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if quoted else field


def _without_empty_end(fields: list[str], header: Sequence[str]) -> list[str]:
    """`fields` without the empty ones beyond the columns of `header`, which spreadsheets append."""
    return fields if any(map(str.strip, fields[len(header) :])) else fields[: len(header)]


def spaces_follow(header: str, delimiter: str) -> bool:
    """Whether a space follows every delimiter of the line `header`, so that it belongs to no field."""
    return delimiter != "\t" and 0 < header.count(delimiter) == header.count(f"{delimiter} ")


def read_header(lines: Iterator[str]) -> str:
    """The first non-blank line, with the lines that its quoted names extend over; empty if there is none."""
    header = next((line for line in lines if line.strip()), "")
    for _ in range(MAX_HEADER_LINES):
        if header.count('"') % 2 == 0 or not (more := next(lines, "")):
            break
        header += more
    return header


def header_names(header: str, delimiter: str) -> list[str]:
    """The names of the columns in `header`, stripped and without empty ones at the end."""
    fields = split_line(header.lstrip(" "), delimiter, skipinitialspace=spaces_follow(header, delimiter))
    names = [" ".join(name.split()) for name in fields]
    while names and not names[-1]:
        names.pop()
    return names
