"""Prices and dates as pages, feeds and lists write them."""

import re
from datetime import date, datetime
from email.utils import parsedate_to_datetime


def price_of(text: str | None) -> float | None:
    """The number in a price, whichever of `1,299.00`, `1.299,00` and `49,95 €` it is written like, or none."""
    digits = re.sub(r"[^\d.,]", "", text or "").strip(".,")
    last = max(digits.rfind("."), digits.rfind(","))
    if last >= 0:
        # A single separator before three digits groups thousands; any other last one is the decimal sign.
        grouping = len(digits) - last - 1 == 3 and len(set(re.findall(r"[.,]", digits))) == 1
        whole, fraction = (digits, "") if grouping else (digits[:last], digits[last + 1 :])
        digits = re.sub(r"[.,]", "", whole) + ("." + fraction if fraction else "")
    return float(digits) if re.fullmatch(r"\d+(\.\d+)?", digits) else None


def iso_date(text: str | None) -> str | None:
    """`text`, a date as pages and feeds write it, in ISO 8601, or none when it cannot be read."""
    plain = (text or "").strip()
    for parse in (date.fromisoformat, datetime.fromisoformat, parsedate_to_datetime):
        try:
            return parse(plain).isoformat()
        except ValueError:
            continue
    return None
