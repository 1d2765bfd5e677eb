"""What is in fashion next, as the stage `trends` forecast it, and garments of the open model that follow it."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.inference.attributes import columns_of
from pipeline.inference.transparency import on_ground
from pipeline.storage.arrays import colour_channels
from pipeline.storage.checksums import check_digest
from studio.measures import SEEN_ON, garment_masks
from studio.model import Generator
from studio.recipe import MAX_INDEX, THOUSAND, Recipe, SeedSource, single_category

CANDIDATES = MAX_INDEX + 1  # drawn per series; those that show its colour or pattern are kept
CATEGORY, COLOUR, PATTERN = "category", "colour", "pattern"


@dataclass(frozen=True)
class Trend:
    """One series: how often something was published, and where that goes in the coming half-year."""

    name: str
    dimension: str  # CATEGORY, COLOUR, PATTERN, price or style
    value: str
    category: str | None  # that it is a share of
    pictures: int
    direction: str  # rises, falls or unclear
    change: float | None  # of the mean share, relative to the year before
    low_80: float | None
    high_80: float | None
    note: str


@dataclass(frozen=True)
class Outlook:
    """The content of reports/trends.json that the studio shows; `reason` says why there are no trends."""

    reason: str
    trends: list[Trend]


NO_OUTLOOK = Outlook("No forecast: run `snakemake trends`, then start the studio again (docs/trends.md).", [])


def read_outlook(path: Path) -> Outlook:
    """The outlook in `path`, reports/trends.json of a pipeline. Raises InputError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        check_digest(path, content, "trends")
        return Outlook(content["reason"], [Trend(**one) for one in content["series"]])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is not what the stage trends writes ({error}); run trends again") from error


def why_not_drawn(trend: Trend, generator: Generator) -> str:
    """Why the model cannot draw what `trend` is about; empty if it can."""
    categories, wanted = generator.card.categories, trend.value if trend.dimension == CATEGORY else trend.category
    if trend.dimension not in (CATEGORY, COLOUR, PATTERN):
        return f"a garment's {trend.dimension} cannot be seen in its picture"
    if trend.dimension == COLOUR and colour_channels(generator.card.channels) == 1:
        return "this model draws in grey"
    return f"this model draws no {wanted}" if wanted is not None and wanted not in categories else ""


def garments_following(trend: Trend, generator: Generator, count: int, seed: int) -> list[Recipe]:
    """At most `count` garments that show what `trend` is about: of its category, with its colour or pattern.

    The first of CANDIDATES random ones in which the pipeline's own measure finds it, so that none is shown that lacks it.
    A model that takes the attribute is asked for it.
    Raises InputError if the model cannot draw it.
    """
    reason = why_not_drawn(trend, generator)
    if reason:
        raise InputError(f"{trend.name}: {reason}")
    categories = generator.card.categories
    category = trend.value if trend.dimension == CATEGORY else trend.category
    number = count if trend.dimension == CATEGORY else CANDIDATES
    labels = [categories.index(category)] * number if category else [n % len(categories) for n in range(number)]
    columns = columns_of(generator.card.attributes)
    asked = tuple(place for place, column in enumerate(columns) if column == f"{trend.dimension}={trend.value}")
    recipes = [
        Recipe(generator.version, single_category(label), SeedSource(seed, n, THOUSAND), asked)
        for n, label in enumerate(labels)
    ]
    if trend.dimension == CATEGORY:
        return recipes
    shows = attribute_shown(generator.pictures(recipes), trend.dimension, trend.value)
    return list(itertools.islice((recipe for recipe, shown in zip(recipes, shows, strict=True) if shown), count))


def attribute_shown(pictures: NDArray[np.uint8], dimension: str, value: str) -> Iterator[bool]:
    """Whether the garment in each of `pictures` (N, H, W, C) has `value` as its COLOUR or PATTERN, one at a time."""
    from pipeline.imaging.garment_attributes import colours_seen  # OpenCV, which nothing else here needs

    masks = garment_masks(pictures).astype(np.uint8)
    seen = on_ground(pictures, SEEN_ON)
    seen = np.ascontiguousarray(np.broadcast_to(seen, (*seen.shape[:3], 3)))
    if dimension == COLOUR:
        for picture, mask in zip(seen, masks, strict=True):
            colours = colours_seen(picture, mask)
            yield colours is not None and colours.first == value
        return
    from pipeline.imaging.garment_patterns import PatternClassifier  # imports torch

    pattern_of = PatternClassifier()
    for picture, mask in zip(seen, masks, strict=True):
        yield bool(mask.any()) and pattern_of(picture, mask)[0] == value
