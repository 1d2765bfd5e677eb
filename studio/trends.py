"""What is in fashion next, as the stage `trends` forecast it, and garments of the open model that follow it."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.inference.attributes import columns_of
from pipeline.storage.arrays import colour_channels
from pipeline.storage.checksums import check_digest
from pipeline.storage.garment_attributes import SEEN_ATTRIBUTES
from studio.directions import MIN_EXPLAINED, regress_direction
from studio.model import Generator
from studio.recipe import MAX_INDEX, THOUSAND, Recipe, SeedSource, latent_source, single_category
from studio.seen_attributes import attribute_shown

CANDIDATES = MAX_INDEX + 1  # drawn per series; those that show its attribute are kept
MOVED = 96  # of them, moved along a direction of the latents
MOVE = 1.5  # how far, in standard deviations of the latents
CATEGORY, COLOUR = "category", "colour"


@dataclass(frozen=True)
class Trend:
    """One series: how often something was published, and where that goes in the coming half-year."""

    name: str
    dimension: str  # CATEGORY, one of SEEN_ATTRIBUTES, price or style
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


@dataclass(frozen=True)
class Following:
    """Garments that follow a trend, how they were found, and how sure that is, in sentences."""

    recipes: list[Recipe]
    looked_at: int  # garments that they were chosen from
    how: str


def why_not_drawn(trend: Trend, generator: Generator) -> str:
    """Why the model cannot draw what `trend` is about; empty if it can."""
    categories, wanted = generator.card.categories, trend.value if trend.dimension == CATEGORY else trend.category
    if trend.dimension not in (CATEGORY, *SEEN_ATTRIBUTES):
        return f"a garment's {trend.dimension} cannot be seen in its picture"
    if trend.dimension == COLOUR and colour_channels(generator.card.channels) == 1:
        return "this model draws in grey"
    return f"this model draws no {wanted}" if wanted is not None and wanted not in categories else ""


def garments_following(trend: Trend, generator: Generator, count: int, seed: int) -> Following:
    """At most `count` garments that show what `trend` is about: of its category, with its attribute.

    Only garments in which the pipeline's own measure finds the attribute are shown. A model that takes it is asked for it. Any
    other is drawn at random, and moved along the direction of its latents in which the attribute becomes more frequent, if
    there is one. Raises InputError if the model cannot draw it.
    """
    reason = why_not_drawn(trend, generator)
    if reason:
        raise InputError(f"{trend.name}: {reason}")
    categories = generator.card.categories
    category = trend.value if trend.dimension == CATEGORY else trend.category
    number = count if trend.dimension == CATEGORY else CANDIDATES
    labels = [categories.index(category)] * number if category else [n % len(categories) for n in range(number)]
    asked = tuple(
        place
        for place, column in enumerate(columns_of(generator.card.attributes))
        if column == f"{trend.dimension}={trend.value}"
    )
    recipes = [
        Recipe(generator.version, single_category(label), SeedSource(seed, n, THOUSAND), asked)
        for n, label in enumerate(labels)
    ]
    if trend.dimension == CATEGORY:
        return Following(recipes, count, "")
    shown = shows(trend, generator, recipes)
    caution = measured_by_its_teacher(trend, generator)
    if asked:
        return Following(_chosen(recipes, shown, count), CANDIDATES, f"The model is asked for it.{caution}")
    latents, _ = generator.inputs_of(recipes)
    direction, explained = attribute_direction(latents, np.array(labels), shown)
    if explained < MIN_EXPLAINED:
        how = f"The model neither takes it nor has a direction towards it: these are chosen at random.{caution}"
        return Following(_chosen(recipes, shown, count), CANDIDATES, how)
    moved = [
        replace(recipe, source=latent_source(latent + np.float32(MOVE) * direction))
        for recipe, latent in zip(recipes[:MOVED], latents, strict=False)
    ]
    shown_after = shows(trend, generator, moved)
    how = (
        f"Moved along a direction of the latents, which explains {explained:.0%} of it: "
        f"{shown_after.mean():.0%} show it, {shown[:MOVED].mean():.0%} did before.{caution}"
    )
    return Following(_chosen(moved, shown_after, count), MOVED, how)


def shows(trend: Trend, generator: Generator, recipes: list[Recipe]) -> NDArray[np.bool_]:
    """Which of `recipes` show the attribute of `trend`."""
    drawn = [generator.card.categories[recipe.label] for recipe in recipes]
    return attribute_shown(generator.pictures(recipes), drawn, trend.dimension, trend.value)


def attribute_direction(
    latents: NDArray[np.float32], labels: NDArray[np.int64], shown: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], float]:
    """The unit direction of latents (N, D) along which more garments of the same category `shown` an attribute.

    The second number is the share that it explains of a held-out quarter, 0 where all or none show it.
    """
    frequency = shown.astype(np.float32)
    for label in np.unique(labels):
        frequency[labels == label] -= frequency[labels == label].mean()
    if not np.abs(frequency).max(initial=0) > 0:
        return np.zeros(latents.shape[1], np.float32), 0.0
    direction, explained = regress_direction(latents, frequency)
    return direction.astype(np.float32), explained


def measured_by_its_teacher(trend: Trend, generator: Generator) -> str:
    """A sentence if the network that measures the attribute is the one that the model was trained through; else empty."""
    network = SEEN_ATTRIBUTES[trend.dimension].network
    if network is None or generator.card.trained_through != network:
        return ""
    return (
        f" The {trend.dimension} is measured by {network}, through which this model was trained: it may look surer than it is."
    )


def _chosen(recipes: list[Recipe], shown: NDArray[np.bool_], count: int) -> list[Recipe]:
    return [recipe for recipe, shows_it in zip(recipes, shown, strict=True) if shows_it][:count]
