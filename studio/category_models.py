"""What is known of a category before its garments are edited: found when first asked for, on drawn samples, and kept."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

from studio.directions import Direction, draw_samples, find_directions
from studio.model import Generator
from studio.projection import Encoder, Framing, fit_encoder, framing_of
from studio.taste import Eye, eye_for

T = TypeVar("T")


@dataclass(frozen=True)
class CategoryModels:
    """What projection and taste need of a category; a fraction of a second's work."""

    encoder: Encoder
    framing: Framing
    eye: Eye


class PerCategory(Generic[T]):
    """Something of each category, made when first asked for. Safe to call from any thread."""

    def __init__(self, make: Callable[[int], T], categories: int) -> None:
        self._make = make
        self._made: dict[int, T] = {}
        self._locks = [Lock() for _ in range(categories)]

    def __contains__(self, label: int) -> bool:
        """Whether it was made already."""
        return label in self._made

    def __getitem__(self, label: int) -> T:
        with self._locks[label]:
            if label not in self._made:
                self._made[label] = self._make(label)
            return self._made[label]


def acquaintances(generator: Generator) -> PerCategory[CategoryModels]:
    """The acquaintance with each category."""

    def make(label: int) -> CategoryModels:
        samples = draw_samples(generator, label)
        return CategoryModels(fit_encoder(samples), framing_of(samples), eye_for(samples))

    return PerCategory(make, len(generator.card.categories))


def directions(generator: Generator) -> PerCategory[list[Direction]]:
    """The directions of each category; seconds of work each."""

    def make(label: int) -> list[Direction]:
        return find_directions(generator, label, draw_samples(generator, label))

    return PerCategory(make, len(generator.card.categories))
