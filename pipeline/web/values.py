"""Parsers of text, prices, dates and sizes from pages, feeds, lists and headers.

They return none for bad input and never raise.
"""

import math
import re
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime

MAX_CHARACTERS = 8192  # of a URL or a title


def encodable(text: str) -> str:
    """`text` with lone surrogates replaced by `?`, because no file can hold them.

    They come from JSON and from headers that are not UTF-8.
    """
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def clean_text(text: str | None) -> str | None:
    """`text` with single spaces, encodable and at most MAX_CHARACTERS long; none if nothing is left."""
    return encodable(" ".join(text.split())[:MAX_CHARACTERS].rstrip()) or None if text is not None else None


# A number with its separators; a space (also a narrow one) or an apostrophe only separates thousands.
NUMBER = re.compile(r"(?:\d+|(?<![\w.,])[.,]\d+)(?:[.,]\d+|['’]\d{3}(?!\d)|\s\d{3}(?!\d))*")
MINUS = re.compile(r"(?<!\w)[-−–]\s*[^\w\s]?\s*$|^\s*[-−–]\D*$")  # before a number, or before its currency


def parse_price(text: str | None) -> float | None:
    """The first number in `text` with any separators of thousands and decimals, so the lower end of a range.

    None if there is no number or it is negative. Percentages are skipped.
    """
    for match in NUMBER.finditer(text or ""):
        before, after = match.string[: match.start()], match.string[match.end() :]
        if not after.lstrip().startswith("%"):
            return None if MINUS.search(before) else _parse_number(match[0])
    return None


def _parse_number(digits: str) -> float | None:
    digits = re.sub(r"['’\s]", "", digits)
    last = max(digits.rfind("."), digits.rfind(","))
    if last >= 0:
        # A single separator before three digits groups thousands unless the number starts with 0; else the last one is decimal.
        grouping = len(digits) - last - 1 == 3 and len(set(re.findall(r"[.,]", digits))) == 1 and digits[0] not in "0.,"
        whole, fraction = (digits, "") if grouping else (digits[:last], digits[last + 1 :])
        digits = re.sub(r"[.,]", "", whole) + ("." + fraction if fraction else "")
    price = float(digits)
    return price if math.isfinite(price) else None


def parse_pixels(text: str | None) -> int | None:
    """A width or height in pixels of at most six digits, or none."""
    return int(text) if text is not None and text.isdecimal() and len(text) <= 6 else None


def parse_datetime(text: str) -> datetime | None:
    """The time in `text` (ISO 8601, RFC 822 or RFC 850; UTC if no zone is given), or none."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text.strip())
        except (ValueError, OverflowError):  # OverflowError: a year or zone of twenty digits
            continue
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return None


def iso_date(text: str | None) -> str | None:
    """A date of a page or feed (ISO 8601 or RFC 822) in ISO 8601, or none."""
    words = (text or "").strip()
    for parse in (date.fromisoformat, datetime.fromisoformat, parsedate_to_datetime):
        try:
            return parse(words).isoformat()
        except (ValueError, OverflowError):
            continue
    return None
