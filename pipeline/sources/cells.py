"""Values of the cells of a list: text, numbers, lists and missing values, as different programs write them."""

import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from pipeline.web.values import parse_price

MAX_DEPTH = 32  # of nested values; deeper ones are dropped
MISSING_EVERYWHERE = frozenset({"", "nan", "NaN", "<NA>", "NaT"})  # missing values of pandas and numpy
MISSING = frozenset({"nan", "none", "null", "nat", "<na>", "n/a", "#n/a", "\\n"})  # of other programs, in any case
# A list literal of JSON, Python or numpy (which has no commas).
LIST_LITERAL = re.compile(r"""\[\s*+(?:(?:'[^']*+'|"[^"]*+")\s*+(?:,\s*+)?+)*+\]""")
LIST_ENTRY = re.compile(r"""'([^']*)'|"([^"]*)\"""")
WHOLE_NUMBER = re.compile(r"(\d+)\.0+")


def json_value(value: Any, depth: int = 0) -> Any:
    """`value` in JSON's types (others as text), or none if it is missing; a float without a fraction becomes an int.

    pandas turns a column of integers with a missing value into floats. Bytes that are not UTF-8 become none.
    """
    if isinstance(value, str):
        return None if value in MISSING_EVERYWHERE else value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping | list | tuple | set):
        return _json_container(value, depth) if depth < MAX_DEPTH else None
    if isinstance(value, bytes):
        return _decode_bytes(value)
    if isinstance(value, float) and math.isfinite(value):
        return int(value) if value.is_integer() else value
    return None if pd.isna(value) else str(value)


def _json_container(value: Mapping | list | tuple | set, depth: int) -> Any:
    if isinstance(value, Mapping):
        return {str(name): json_value(part, depth + 1) for name, part in value.items()}
    return [json_value(part, depth + 1) for part in value]


def _decode_bytes(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def cell_texts(value: Any) -> list[str]:
    """The texts in a cell: one, or those of a list; empty if the cell is missing or holds a mapping."""
    return list(_texts(json_value(value)))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, str) and value.startswith("[") and LIST_LITERAL.fullmatch(value):
        for single, double in LIST_ENTRY.findall(value):
            yield from _texts(single or double)
    elif value is not None and not isinstance(value, Mapping):
        text = str(value).strip()
        if text and text.casefold() not in MISSING:
            yield text


def category_label(text: str) -> str:
    """The name of a category, without the fraction `.0` that pandas adds to integers."""
    match = WHOLE_NUMBER.fullmatch(text)
    return match[1] if match else text


def cell_price(value: Any) -> float | None:
    """The price in a cell, which holds a number or a text; none if it is missing or negative."""
    if isinstance(value, int | float | Decimal | np.number) and not isinstance(value, bool):
        price = float(value)
        return price if math.isfinite(price) and price >= 0 else None
    return next((found for text in cell_texts(value) if (found := parse_price(text)) is not None), None)
