"""Models of each category, fitted to drawn samples at first use and cached."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

from studio.directions import Direction, draw_samples, find_directions, spreads_of
from studio.model import Generator
from studio.projection import Encoder, Framing, fit_encoder, fit_framing
from studio.suggestions import KnownGarments
from studio.taste_features import TasteFeatures, fit_features

T = TypeVar("T")


@dataclass(frozen=True)
class CategoryModels:
    """What projection, suggestions and changes in words need to know of a category; fitted in a fraction of a second."""

    encoder: Encoder
    framing: Framing
    features: TasteFeatures
    known: KnownGarments
    spreads: dict[str, float]  # standard deviation of each measure, beside which effects are stated


class PerCategory(Generic[T]):
    """A value for each category, made at first use. Thread-safe."""

    def __init__(self, make: Callable[[int], T], categories: int) -> None:
        self._make = make
        self._made: dict[int, T] = {}
        self._locks = [Lock() for _ in range(categories)]

    def __contains__(self, label: int) -> bool:
        """Whether the value for `label` is made already."""
        return label in self._made

    def __getitem__(self, label: int) -> T:
        with self._locks[label]:
            if label not in self._made:
                self._made[label] = self._make(label)
            return self._made[label]


def category_models(generator: Generator) -> PerCategory[CategoryModels]:
    """The models of each category."""

    def make(label: int) -> CategoryModels:
        samples = draw_samples(generator, label)
        features = fit_features(samples)
        known = KnownGarments(samples.latents, features.of(samples.pictures, samples.measures))
        return CategoryModels(fit_encoder(samples), fit_framing(samples), features, known, spreads_of(samples))

    return PerCategory(make, len(generator.card.categories))


def category_directions(generator: Generator) -> PerCategory[list[Direction]]:
    """The directions of each category; finding them takes seconds."""

    def make(label: int) -> list[Direction]:
        return find_directions(generator, label, draw_samples(generator, label))

    return PerCategory(make, len(generator.card.categories))
