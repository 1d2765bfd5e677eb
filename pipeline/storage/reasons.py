"""Reasons and names counted for a log that stays short, however many rows there are and however much their reasons differ."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

MAX_LINES = 20  # of one kind of count in a log
MAX_PLACES = 3  # named of each reason
ROW = re.compile(r"^((?:\w+: )?)row \d+: ")
# What differs from row to row in reasons of one kind.
PARTICULARS = re.compile(
    r"""
      [a-z][a-z0-9+.-]*:/\S+ | /\S+/\S*         # addresses and paths
    | '[^']*' | "[^"]*"(?=\s|$)                 # quoted words
    | \b(?!robots\.txt|tdmrep\.json|(?:collect|fetch|inspect)\.)[\w-]+(?:\.[\w-]+)*\.[a-z][\w-]*\b  # hosts and files
    | \b[0-9a-f]{12,}\b | \d{4,}               # hashes, places in memory, large numbers
    | \d+(?=\s+(?:bytes?|pixels|characters|fields|lines|seconds|s)\b) | (?<=row\ )\d+ | (?<=has\ )\d+
    """,
    re.IGNORECASE | re.VERBOSE,
)


@dataclass
class _Kind:
    count: int = 0
    texts: set[str] = field(default_factory=set)  # no more than two: whether they differ
    places: list[str] = field(default_factory=list)


def reason_kind(reason: str) -> str:
    """`reason` without what may differ from row to row."""
    return PARTICULARS.sub("…", ROW.sub(r"\1", reason))


def by_kind(reasons: pd.Series) -> pd.Series:
    """`reasons`, those of one kind alike: what differs between them is left out. None stays none."""
    bare = reasons.map(lambda reason: ROW.sub(r"\1", reason), na_action="ignore")
    kinds = bare.map(reason_kind, na_action="ignore")
    differing = bare.groupby(kinds).transform("nunique") > 1
    return kinds.where(differing, bare)


def reason_lines(reasons: Iterable[str], places: Iterable[str]) -> list[str]:
    """A line for each kind of reason with its count and the first places, the most frequent first; the rest in one line."""
    kinds: dict[str, _Kind] = {}
    for reason, place in zip(reasons, places, strict=True):
        kind = kinds.setdefault(reason_kind(reason), _Kind())
        kind.count += 1
        if len(kind.texts) < 2:
            kind.texts.add(ROW.sub(r"\1", reason))
        if len(kind.places) <= MAX_PLACES:
            kind.places.append(place)
    ranked = sorted(kinds.items(), key=lambda item: (-item[1].count, item[0]))
    lines = [_line(name, kind) for name, kind in ranked[:MAX_LINES]]
    rest = ranked[MAX_LINES:]
    return lines + ([f"{len(rest)} other reasons: {sum(kind.count for _, kind in rest)}"] if rest else [])


def _line(name: str, kind: _Kind) -> str:
    text = kind.texts.copy().pop() if len(kind.texts) == 1 else name
    more = ", …" if kind.count > MAX_PLACES else ""
    return f"{text}: {kind.count} ({', '.join(kind.places[:MAX_PLACES])}{more})"


def rows_missing(rows: pd.DataFrame) -> list[str]:
    """`reason_lines` of those of `rows` (columns url, status, reason) that have a reason, by status."""
    missing = rows[rows["reason"].notna()]
    return reason_lines(missing["status"] + ": " + missing["reason"], missing["url"].astype(str).str.removeprefix("row:"))


def most_frequent(counts: Mapping[Any, int], at_most: int = MAX_LINES) -> list[str]:
    """`name: count` of each of `counts`, in their order; of more than `at_most` the largest, and the rest in one entry."""
    shown = dict(Counter(counts).most_common(at_most)) if len(counts) > at_most else counts
    entries = [f"{name}: {count}" for name, count in counts.items() if name in shown]
    others = len(counts) - len(shown)
    return entries + ([f"{others} others: {sum(counts.values()) - sum(shown.values())}"] if others else [])
