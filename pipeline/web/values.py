"""Words, prices, dates and sizes as pages, feeds, lists and headers write them: nothing that stands there breaks anything."""

import math
import re
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime

MAX_CHARACTERS = 8192  # of a URL, and of a title; what is longer is there to fill memory


def storable(text: str) -> str:
    """`text` with what no file can hold (a stray byte of a header, half a surrogate pair in JSON) replaced by `?`."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def plain(text: str | None) -> str | None:
    """`text` with single blanks, as any file can hold it, at most MAX_CHARACTERS long; none when nothing is left."""
    return storable(" ".join(text.split())[:MAX_CHARACTERS].rstrip()) or None if text is not None else None


# A number with its separators; a blank (also a narrow one) or an apostrophe separates thousands only.
NUMBER = re.compile(r"(?:\d+|(?<![\w.,])[.,]\d+)(?:[.,]\d+|['’]\d{3}(?!\d)|\s\d{3}(?!\d))*")
MINUS = re.compile(r"(?<!\w)[-−–]\s*[^\w\s]?\s*$|^\s*[-−–]\D*$")  # before a number, or before its currency


def price_of(text: str | None) -> float | None:
    """The price in `text`, however its thousands and cents are separated: the first number, so of a range the lower one.

    None when there is no number, or a negative one. Percentages are passed over.
    """
    for match in NUMBER.finditer(text or ""):
        before, after = match.string[: match.start()], match.string[match.end() :]
        if not after.lstrip().startswith("%"):
            return None if MINUS.search(before) else _number(match[0])
    return None


def _number(digits: str) -> float | None:
    digits = re.sub(r"['’\s]", "", digits)
    last = max(digits.rfind("."), digits.rfind(","))
    if last >= 0:
        # A single separator before three digits groups thousands, but not those of zero; any other last one is decimal.
        grouping = len(digits) - last - 1 == 3 and len(set(re.findall(r"[.,]", digits))) == 1 and digits[0] not in "0.,"
        whole, fraction = (digits, "") if grouping else (digits[:last], digits[last + 1 :])
        digits = re.sub(r"[.,]", "", whole) + ("." + fraction if fraction else "")
    price = float(digits)
    return price if math.isfinite(price) else None


def pixels_of(text: str | None) -> int | None:
    """The number of pixels that an attribute says, or none; no picture has a million in a row."""
    return int(text) if text is not None and text.isdecimal() and len(text) <= 6 else None


def moment_of(text: str) -> datetime | None:
    """The moment in `text` (ISO 8601, RFC 822 or RFC 850; UTC where no zone is given), or none."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text.strip())
        except (ValueError, OverflowError):  # the second where a year or a zone has twenty digits
            continue
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return None


def iso_date(text: str | None) -> str | None:
    """`text`, a date as pages and feeds write it, in ISO 8601, or none when it cannot be read."""
    words = (text or "").strip()
    for parse in (date.fromisoformat, datetime.fromisoformat, parsedate_to_datetime):
        try:
            return parse(words).isoformat()
        except (ValueError, OverflowError):
            continue
    return None
