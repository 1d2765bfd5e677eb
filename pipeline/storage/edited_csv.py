"""Small CSV files that people edit by hand or in a spreadsheet."""

import csv
import io
import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from pipeline.errors import InputError
from pipeline.storage.encodings import decoded_text

DELIMITERS = (",", ";", "\t")
SHA256 = re.compile(r"[0-9a-f]{64}")
ROW_WITHIN_FIELD = re.compile(r"\n.*[0-9a-fA-F]{64}", re.DOTALL)
# Text marks, formulas and invisible signs around a SHA-256.
AROUND_SHA256 = re.compile(r"""^[\s\u200b\ufeff="']*(?:sha256:)?|["'\s\u200b\ufeff]*$""", re.IGNORECASE)
INDEX_NAMES = ("", "unnamed: 0")  # of the column of row numbers that pandas writes and reads
MISSING = frozenset({"nan", "NaN", "<NA>", "None", "NULL"})
FLOATING = re.compile(r"[\d.,]+e\+?\d+", re.IGNORECASE)


def read_edited_csv(path: Path, columns: Sequence[str], *, last_takes_rest: bool = False) -> list[tuple[int, dict[str, str]]]:
    """(number of its first line, row) of each row of the CSV file at `path`, blanks around fields removed, empty rows left out.

    Accepts what spreadsheets make of such a file: byte-order mark, UTF-16, semicolons, tabs, quotes, empty columns at the end.
    Fields beyond the last column belong to it with `last_takes_rest`. Raises InputError that names the line.
    """
    try:
        text = decoded_text(path.read_bytes()).lstrip("\ufeff")
    except UnicodeDecodeError:
        raise InputError(f"{path}: in an unknown encoding; save it as CSV UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    lines = io.StringIO(text, newline=None).readlines()  # whatever ends a line becomes \n
    skipped = sum(1 for _ in takewhile(lambda line: not line.strip() or line.lower().startswith("sep="), lines))
    header = lines[skipped] if skipped < len(lines) else ""
    rows: list[tuple[int, dict[str, str]]] = []
    number = skipped + 1
    try:
        delimiter = _delimiter(path, header, columns)
        reader = csv.reader(lines[skipped:], delimiter=delimiter)
        names = _names(next(reader, []))
        number = skipped + reader.line_num + 1
        for fields in reader:
            if any(ROW_WITHIN_FIELD.search(field) for field in fields):
                raise InputError(f'{path}: line {number}: a double quote (") is not closed on its line; remove it')
            values = ["" if field in MISSING else field for field in (field.strip(" \t\r\n\xa0\x1a") for field in fields)]
            if any(values):
                rows.append((number, _row(path, number, names, values, delimiter if last_takes_rest else None)))
            number = skipped + reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}: line {number}: {error}") from None
    return rows


def _names(fields: list[str]) -> list[str]:
    names = [field.strip().casefold() for field in fields]
    while names and not names[-1]:
        names.pop()
    return names


def _delimiter(path: Path, header: str, columns: Sequence[str]) -> str:
    for delimiter in DELIMITERS:
        names = _names(next(csv.reader([header], delimiter=delimiter), []))
        if sorted(names[1:] if names[:1] and names[0] in INDEX_NAMES else names) == sorted(columns):
            return delimiter
    raise InputError(f"{path}: must begin with the line {','.join(columns)} (it begins with {header.strip()[:100]!r})")


def _row(path: Path, number: int, names: list[str], values: list[str], rest_joined_by: str | None) -> dict[str, str]:
    surplus = values[len(names) :]
    if any(surplus) and rest_joined_by is None:
        raise InputError(f"{path}: line {number}: {len(values)} fields, where the first line has {len(names)}")
    row = dict(zip(names, values + [""] * len(names), strict=False))
    if any(surplus) and rest_joined_by is not None:
        row[names[-1]] = f"{rest_joined_by} ".join(filter(None, [row[names[-1]], *surplus]))
    return row


def sha256_of(text: str) -> str:
    """The SHA-256 in a field, in lower case. Raises ValueError that says what is wrong with it."""
    digest = AROUND_SHA256.sub("", text).lower()
    if SHA256.fullmatch(digest):
        return digest
    if FLOATING.fullmatch(digest):
        raise ValueError(
            f"a spreadsheet has rounded sha256 to the number {text}; paste it again into a column formatted as text"
        )
    raise ValueError(f"sha256 is not 64 hex digits: {text!r}")
