"""Scores of metrics.json as text: digits, ±, and passports."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from pipeline.metrics.score_kinds import KINDS, kind_of

MAX_DECIMALS = 6
GENERATED = "generated"
# Fields of an entry that are shown with its passport, by the name they are shown under.
SHOWN_WITH_PASSPORT = {"plus_minus_bootstrap": "bootstrap", "floor": "floor_pictures", "ceiling": "ceiling_pictures"}
UNCERTAINTIES, BASELINES = ("plus_minus", "plus_minus_bootstrap"), ("floor", "ceiling")
HEADLINES = ("class_accuracy", "fd_classifier", "precision_classifier", "recall_classifier")


@dataclass(frozen=True)
class FormattedScore:
    """One score as text. `absent` is the reason why there is no value; fields that do not apply are empty."""

    name: str
    extractor: str
    of: str  # "generated" or "real images"
    value: str
    plus_minus: str  # standard deviation over the repeats, or standard error for real images
    bootstrap: str  # ± by bootstrap
    floor: str  # score of real images
    ceiling: str  # score of noise
    flag: str
    absent: str
    passport: list[tuple[str, str]]

    @property
    def uncertainties(self) -> list[str]:
        """Each known ±, with what it is over."""
        known = ((self.plus_minus, "repeats" if self.of == GENERATED else "standard error"), (self.bootstrap, "bootstrap"))
        return [f"± {value} {source}" for value, source in known if value]


@dataclass(frozen=True)
class ScoreGroup:
    """A kind of score by several extractors, which cannot be compared with each other."""

    label: str
    meaning: str
    numbers: list[FormattedScore]


@dataclass(frozen=True)
class Headline:
    """A score at the top of the page."""

    label: str
    number: FormattedScore


def plain(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant digits, without an exponent; from 1,000 on without decimals."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return np.format_float_positional(value, precision=digits, fractional=False, trim="-")


def with_digits_of(value: float, plus_minus: float | None = None) -> str:
    """`value` to the first digit of its ±; three significant digits if there is none."""
    if not plus_minus:
        return plain(value)
    return f"{value:,.{min(MAX_DECIMALS, max(0, -math.floor(math.log10(plus_minus))))}f}"


def with_equal_decimals(values: Sequence[float], digits: int = 3) -> list[str]:
    """`values` with the decimals that give the largest `digits` significant digits; a dash for NaN."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    decimals = digits - 1 - math.floor(math.log10(largest)) if largest else 0
    return [f"{value:,.{min(MAX_DECIMALS, max(0, decimals))}f}" if math.isfinite(value) else "–" for value in values]


def _as_text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_as_text, value))
    return value if isinstance(value, str) else json.dumps(value)


def flatten(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """(key, value) pairs of nested mappings as text; keys are joined by spaces."""
    pairs: list[tuple[str, str]] = []
    for key, value in content.items():
        name = f"{prefix}{key}".replace("_", " ")
        pairs += flatten(value, f"{name} ") if isinstance(value, Mapping) else [(name, _as_text(value))]
    return pairs


def format_score(name: str, metric: Mapping[str, Any]) -> FormattedScore:
    """The entry `name` of metrics.json as text."""
    value, plus_minus = metric.get("value"), metric.get("plus_minus")
    uncertainties = [plain(metric[key], 1) if metric.get(key) is not None else "" for key in UNCERTAINTIES]
    baselines = [with_digits_of(metric[key]) if metric.get(key) is not None else "" for key in BASELINES]
    passport = metric.get("passport", {})
    others = {name: metric[key] for name, key in SHOWN_WITH_PASSPORT.items() if key in metric}
    return FormattedScore(
        name=name,
        extractor=passport.get("extractor", {}).get("name", ""),
        of=GENERATED if "samples" in passport else "real images",
        value="" if value is None else with_digits_of(value, plus_minus),
        plus_minus=uncertainties[0],
        bootstrap=uncertainties[1],
        floor=baselines[0],
        ceiling=baselines[1],
        flag=metric.get("flag", ""),
        absent=metric.get("absent", ""),
        passport=flatten({**passport, **others}),
    )


def sorted_names(names: Iterable[str]) -> list[str]:
    """Names of scores in the order of KINDS, then the others by kind and name."""
    order = list(KINDS)

    def key(name: str) -> tuple[int, str, str]:
        kind = kind_of(name)
        return (order.index(kind) if kind in order else len(order)), kind, name

    return sorted(names, key=key)


def label_and_meaning(kind: str) -> tuple[str, str]:
    """The label and the meaning of a kind of score; a kind that is unknown here is its own label."""
    return (KINDS[kind].label, KINDS[kind].meaning) if kind in KINDS else (kind, "")


def group_by_kind(metrics: Mapping[str, Mapping[str, Any]]) -> list[ScoreGroup]:
    """All of metrics.json, grouped by kind."""
    return [
        ScoreGroup(*label_and_meaning(kind), [format_score(name, metrics[name]) for name in names])
        for kind, names in groupby(sorted_names(metrics), kind_of)
    ]


def headlines(kinds: list[ScoreGroup]) -> list[Headline]:
    """The scores of HEADLINES that have a value, in that order."""
    found = {number.name: Headline(kind.label, number) for kind in kinds for number in kind.numbers if number.value}
    return [found[name] for name in HEADLINES if name in found]


def scores_of_kind(kinds: list[ScoreGroup], name: str) -> list[FormattedScore]:
    """The numbers of the kind `name`."""
    return [number for kind in kinds for number in kind.numbers if kind_of(number.name) == name]
