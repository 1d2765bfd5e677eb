"""Metrics with their passports, in words."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_DECIMALS = 6
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
HEADLINES = ("class_accuracy", "fd_classifier", "precision_classifier", "recall_classifier")


@dataclass(frozen=True)
class Number:
    """One metric, ready to be shown. `absent` says why there is no value; texts that do not apply are empty."""

    name: str
    extractor: str
    value: str
    plus_minus: str
    floor: str
    flag: str
    absent: str
    passport: list[tuple[str, str]]


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
    return f"{value:.{min(MAX_DECIMALS, max(0, -math.floor(math.log10(plus_minus))))}f}"


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
    value, plus_minus, floor = (metric.get(key) for key in ("value", "plus_minus", "floor"))
    passport = metric.get("passport", {})
    return Number(
        name=name,
        extractor=passport.get("extractor", {}).get("name", ""),
        value="" if value is None else in_digits(value, plus_minus),
        plus_minus="" if plus_minus is None else plain(plus_minus, 1),
        floor="" if floor is None else in_digits(floor),
        flag=metric.get("flag", ""),
        absent=metric.get("absent", ""),
        passport=flattened(passport),
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
