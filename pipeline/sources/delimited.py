"""Rows of CSV and TSV files; a double quote that is never closed costs its row and no other."""

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.imaging.formats import BY_EXTENSION

Row = tuple[int, Mapping[str, Any] | str]  # its number in the file; a string says why it cannot be read

DELIMITERS = (",", ";", "\t", "|")
MAX_HEADER_LINES = 10  # of a header whose quoted names hold line breaks
PLACE = re.compile(rf"https?://|file:|.*\.(?:{'|'.join(BY_EXTENSION)})\s*$", re.IGNORECASE)  # of a picture


class _Lines:
    """Lines for a csv reader, which takes those of one record; `begin` starts the next and may give lines back."""

    def __init__(self, lines: Iterator[str], is_row: Callable[[str], bool]) -> None:
        self._lines = lines
        self._given_back: deque[str] = deque()
        self._is_row = is_row
        self.taken: list[str] = []
        self.unclosed: str | None = None  # what ended the record within quotes: a line that is a row, or "" for the end

    def begin(self, keep: int | None = None) -> None:
        """Begin a record; of the lines that the last one took, all but the first `keep` are read again."""
        if keep is not None:
            self._given_back.extendleft(reversed(self.taken[keep:]))
        self.taken, self.unclosed = [], None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._given_back.popleft() if self._given_back else next(self._lines, "")
        if self.taken and (not line or self._is_row(line)):  # the reader asks for a second line only within quotes
            self._given_back.extendleft([line] if line else [])
            self.unclosed = line
            raise StopIteration
        if not line:
            raise StopIteration
        self.taken.append(line)
        return line


class DelimitedRows:
    """The rows below `header`, in which `url_index` is the place of the URLs.

    In a file separated by tabs a double quote is a character like any other, unless the fields do not come out right that way.
    """

    def __init__(
        self, lines: Iterator[str], delimiter: str, header: Sequence[str], url_index: int, header_line: str = ""
    ) -> None:
        self._delimiter = delimiter
        self._blanks = blanks_follow(header_line, delimiter)
        self._header = header
        self._url_index = url_index
        self._lines = _Lines(lines, self._is_row)
        self._reader = csv.reader(self._lines, delimiter=delimiter, skipinitialspace=self._blanks)

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
        """Whether `line` is a row by itself: a URL is where URLs are, and not behind the end of a quoted field."""
        for fields in (self._split(line), line.rstrip("\r\n").split(self._delimiter)):
            if len(fields) >= len(self._header) and PLACE.match(url := fields[self._url_index].strip()):
                return line.partition(url)[0].count('"') % 2 == 0
        return False

    def _split(self, line: str, **escaping: Any) -> list[str]:
        return split_line(line, self._delimiter, skipinitialspace=self._blanks, **escaping)

    def _fits(self, fields: list[str]) -> bool:
        return len(_without_empty_end(fields, self._header)) == len(self._header)

    def _record(self, number: int) -> list[str] | str:
        """The fields of the next record, or why it cannot be read. Raises StopIteration at the end."""
        if self._delimiter != "\t":
            return self._quoted_record(number)
        line = next(self._lines)
        verbatim = line.rstrip("\r\n").split("\t")
        goes_on = verbatim[-1].startswith('"') and line.count('"') % 2 == 1
        fields = [_unquoted(field) for field in verbatim]
        if '"' not in line or (self._fits(fields) and not goes_on):
            return fields
        self._lines.begin(keep=0)
        record = self._quoted_record(number)
        return fields if self._fits(fields) and (isinstance(record, str) or not self._fits(record)) else record

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
        if len(taken) > 1 and not self._fits(fields):
            self._lines.begin(keep=1)
            return f"{len(fields)} fields over {len(taken)} lines, where the header has {len(self._header)}"
        if len(taken) == 1 and '\\"' in taken[0]:
            escaped = self._split(taken[0], escapechar="\\", strict=True)
            return escaped if len(escaped) == len(self._header) else fields
        return fields

    def _holds_urls(self, field: str) -> bool:
        """Whether a part of `field` over several lines is a URL: then it has swallowed other rows."""
        parts = field.replace("\n", self._delimiter).split(self._delimiter) if "\n" in field or "\r" in field else []
        return any(PLACE.match(part.strip()) for part in parts)

    def _skip_to_quote(self) -> None:
        """Pass over what is left of a quoted field that is too long."""
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
    """The fields of a single line; none when it cannot be split."""
    try:
        return next(csv.reader([line], delimiter=delimiter, **escaping), [])
    except csv.Error:
        return []


def _unquoted(field: str) -> str:
    """`field` without the quotes around it, where they are quotes by the rules of CSV."""
    inner = field[1:-1]
    quoted = len(field) > 1 and field[0] == field[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if quoted else field


def _without_empty_end(fields: list[str], header: Sequence[str]) -> list[str]:
    """`fields` without the empty ones beyond the columns of `header`, which spreadsheets append."""
    return fields if any(map(str.strip, fields[len(header) :])) else fields[: len(header)]


def blanks_follow(header: str, delimiter: str) -> bool:
    """Whether a blank follows every delimiter of the line `header`: then none of them belongs to a field."""
    return delimiter != "\t" and 0 < header.count(delimiter) == header.count(f"{delimiter} ")


def read_header(lines: Iterator[str]) -> str:
    """The first line that is not blank, with those that its quoted names reach into; empty when there is none."""
    header = next((line for line in lines if line.strip()), "")
    for _ in range(MAX_HEADER_LINES):
        if header.count('"') % 2 == 0 or not (more := next(lines, "")):
            break
        header += more
    return header


def header_names(header: str, delimiter: str) -> list[str]:
    """The names of the columns in `header`, without blanks around them and without empty ones at the end."""
    fields = split_line(header.lstrip(" "), delimiter, skipinitialspace=blanks_follow(header, delimiter))
    names = [" ".join(name.split()) for name in fields]
    while names and not names[-1]:
        names.pop()
    return names
