"""Metrics with their passports, in words."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_DECIMALS = 6
GENERATED = "generated"
# Kind of metric: label and plain meaning, in the order of the page. A metric's name is its kind, or begins with it and `_`.
MEANINGS = {
    "class_accuracy": (
        "Class accuracy",
        "How often a classifier trained on real pictures sees the category asked for. Higher is better.",
    ),
    "fid": ("Fréchet Inception distance", "The Fréchet distance that papers quote: clean-fid's Inception and nothing else."),
    "fd": (
        "Fréchet distance",
        "How far the generated pictures as a whole are from real ones, by Gaussians fitted to their features. Lower is better.",
    ),
    "fid_infinity": (
        "Fréchet Inception distance of infinitely many samples",
        "Extrapolated from several sample counts: what remains when the bias of few samples is taken away.",
    ),
    "fd_infinity": (
        "Fréchet distance of infinitely many samples",
        "Extrapolated from several sample counts: what remains when the bias of few samples is taken away. Lower is better.",
    ),
    "precision": (
        "Precision",
        "Share of generated pictures that lie among the real ones: do they look right? Higher is better.",
    ),
    "recall": (
        "Recall",
        "Share of real pictures that lie among the generated ones: is all the variety there? Higher is better.",
    ),
    "kid": ("Kernel distance", "As the Fréchet distance, without assuming Gaussians. Lower is better, and 0 is no difference."),
    "density": ("Density", "As precision, but crowded places count more and outliers less. Higher is better."),
    "coverage": ("Coverage", "Share of real pictures with a generated one nearby. Higher is better."),
    "diversity": ("Diversity", "Mean distance between two pictures of one category. As large as among real ones is best."),
    "is": (
        "Inception score",
        "How sure the classifier is of each picture, and how evenly it sees all categories. Higher is better.",
    ),
    "near_copies": (
        "Near-copies",
        "Share of generated pictures closer to a training picture than unseen real ones are. Lower is better.",
    ),
    "look_alikes": (
        "Look-alikes",
        "Share of generated pictures that would be dropped as duplicates of a training picture. Lower is better.",
    ),
    "ppl": (
        "Perceptual path length",
        "How far the picture moves, by features, for a small step of its latent. Lower is smoother.",
    ),
}
# What a passport is shown with, and where it stands in an entry of metrics.json.
IN_PASSPORT = {"plus_minus_bootstrap": "bootstrap", "floor": "floor_pictures", "ceiling": "ceiling_pictures"}
HEADLINES = ("class_accuracy", "fd_classifier", "precision_classifier", "recall_classifier")


@dataclass(frozen=True)
class Number:
    """One metric, ready to be shown. `absent` says why there is no value; texts that do not apply are empty."""

    name: str
    extractor: str
    of: str  # whose pictures
    value: str
    plus_minus: str  # over the repeats, or of real pictures the standard error
    bootstrap: str  # ± of one repeat by drawing the pictures again
    floor: str  # what real pictures score
    ceiling: str  # what noise scores
    flag: str
    absent: str
    passport: list[tuple[str, str]]

    @property
    def doubts(self) -> list[str]:
        """Each ± that there is, and what it is over."""
        known = ((self.plus_minus, "repeats" if self.of == GENERATED else "standard error"), (self.bootstrap, "bootstrap"))
        return [f"± {doubt} {over}" for doubt, over in known if doubt]


@dataclass(frozen=True)
class Kind:
    """One question, and its answers by different extractors, which cannot be compared with each other."""

    label: str
    meaning: str
    numbers: list[Number]


@dataclass(frozen=True)
class Headline:
    """A number at the top of the page."""

    label: str
    number: Number


def plain(value: float, digits: int = 3) -> str:
    """`value` with so many digits that count, never with an exponent, and whole above a thousand."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return np.format_float_positional(value, precision=digits, fractional=False, trim="-")


def in_digits(value: float, plus_minus: float | None = None) -> str:
    """`value` to the first digit of its ±, or with three digits where there is none."""
    if not plus_minus:
        return plain(value)
    return f"{value:,.{min(MAX_DECIMALS, max(0, -math.floor(math.log10(plus_minus))))}f}"


def in_equal_digits(values: Sequence[float], digits: int = 3) -> list[str]:
    """`values` with as many decimals as the largest needs for so many digits; a dash where there is none."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    decimals = digits - 1 - math.floor(math.log10(largest)) if largest else 0
    return [f"{value:,.{min(MAX_DECIMALS, max(0, decimals))}f}" if math.isfinite(value) else "–" for value in values]


def _as_text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_as_text, value))
    return value if isinstance(value, str) else json.dumps(value)


def flattened(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """(key, value) as text of nested mappings, keys joined by spaces."""
    pairs: list[tuple[str, str]] = []
    for key, value in content.items():
        name = f"{prefix}{key}".replace("_", " ")
        pairs += flattened(value, f"{name} ") if isinstance(value, Mapping) else [(name, _as_text(value))]
    return pairs


def number_of(name: str, metric: Mapping[str, Any]) -> Number:
    """The metric `name` of metrics.json."""
    value, plus_minus = metric.get("value"), metric.get("plus_minus")
    doubts = ["" if (doubt := metric.get(key)) is None else plain(doubt, 1) for key in ("plus_minus", "plus_minus_bootstrap")]
    beside = ["" if (other := metric.get(key)) is None else in_digits(other) for key in ("floor", "ceiling")]
    passport = metric.get("passport", {})
    others = {name: metric[key] for name, key in IN_PASSPORT.items() if key in metric}
    return Number(
        name=name,
        extractor=passport.get("extractor", {}).get("name", ""),
        of=GENERATED if "samples" in passport else "real pictures",
        value="" if value is None else in_digits(value, plus_minus),
        plus_minus=doubts[0],
        bootstrap=doubts[1],
        floor=beside[0],
        ceiling=beside[1],
        flag=metric.get("flag", ""),
        absent=metric.get("absent", ""),
        passport=flattened({**passport, **others}),
    )


def kind_of(name: str) -> str:
    """The longest key of MEANINGS that `name` is or starts with, or the name itself."""
    fitting = [kind for kind in MEANINGS if name == kind or name.startswith(f"{kind}_")]
    return max(fitting, key=len, default=name)


def kinds_of(metrics: Mapping[str, Mapping[str, Any]]) -> list[Kind]:
    """All of metrics.json by kind, in the order of MEANINGS, then others by name."""
    names = sorted(metrics)
    kinds = sorted({kind_of(name) for name in names})
    in_order = [kind for kind in MEANINGS if kind in kinds] + [kind for kind in kinds if kind not in MEANINGS]
    return [
        Kind(*MEANINGS.get(kind, (kind, "")), [number_of(name, metrics[name]) for name in names if kind_of(name) == kind])
        for kind in in_order
    ]


def headlines_of(kinds: list[Kind]) -> list[Headline]:
    """Those of HEADLINES that are there, in that order."""
    found = {number.name: Headline(kind.label, number) for kind in kinds for number in kind.numbers if number.value}
    return [found[name] for name in HEADLINES if name in found]


def of_kind(kinds: list[Kind], name: str) -> list[Number]:
    """The numbers that the kind `name` of MEANINGS has, if any."""
    return [number for kind in kinds for number in kind.numbers if kind_of(number.name) == name]
