"""Simulated designers with a hidden taste, and the rounds until the studio satisfies them.

A designer has one garment in mind, or a general preference (hidden weights of the measured attributes), or a profile: colours
liked and not, measured attributes that there are words for, and a leaning that is not said; the first two make STATED_SHARE of
the variance of the utility. In each round of eight they like the two garments that they prefer most and dislike the three
that they prefer least; one vote of twenty is wrong. They are satisfied when a garment on the grid is among the most preferred
one per cent of random ones, which are others than those that the studio knows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from pipeline.imaging.garment_colours import COLOURS
from pipeline.inference.latents import draw_latents
from pipeline.inference.onnx_generator import as_images
from studio.directions import draw_samples
from studio.measures import measure
from studio.model import Generator
from studio.profile import Profile
from studio.stated_taste import stated_taste
from studio.suggestions import KnownGarments, Votes, suggested_latents
from studio.taste_features import COMPONENT_COLUMNS, Features, TasteFeatures, colour_shares, fit_features

Kind = Literal["garment in mind", "leaning", "profile"]
KINDS: tuple[Kind, ...] = ("garment in mind", "leaning", "profile")
ROUNDS, GRID = 4, 8
SATISFIED_SHARE = 0.01
ERRING = 0.05
RANDOM_GARMENTS, RANDOM_SEED = 2048, 99  # by which designers judge what is rare
STATED_SHARE = 0.7  # of the variance of a profile's utility
SAID_ATTRIBUTES = {  # words for less and for more
    "brightness": ("dark", "light"),
    "texture": ("plain", "patterned"),
    "length": ("short", "long"),
    "width": ("narrow", "wide"),
    "sleeve": ("sleeveless", "long-sleeved"),
}
MOST_COLOURS, MOST_ATTRIBUTES = 3, 2


@dataclass(frozen=True)
class Crowd:
    """Random garments of a category, which tell designers what is rare."""

    pictures: NDArray[np.uint8]
    measures: dict[str, NDArray[np.float32]]
    colours: NDArray[np.float64]  # (N, 11)


def draw_crowd(generator: Generator, label: int) -> Crowd:
    """RANDOM_GARMENTS of category `label`."""
    latents = draw_latents(RANDOM_SEED, RANDOM_GARMENTS, generator.card.latent_dim)
    pictures = as_images(generator.draw_category(latents, label))
    return Crowd(pictures, measure(pictures), colour_shares(pictures))


@dataclass(frozen=True)
class Stated:
    """What a designer can say."""

    colours: dict[str, int]  # 1 liked, -1 not
    attributes: dict[str, int]  # 1 more, -1 less

    @property
    def profile(self) -> Profile:
        """The profile that the designer fills in."""
        return Profile(
            colours_liked=[name for name, sign in self.colours.items() if sign > 0],
            colours_disliked=[name for name, sign in self.colours.items() if sign < 0],
            styles=[SAID_ATTRIBUTES[name][sign > 0] for name, sign in self.attributes.items()],
        )


class Designer:
    """A simulated designer with a hidden preference, which `pleasure` computes."""

    def __init__(self, crowd: Crowd, kind: Kind, rng: np.random.Generator) -> None:
        self._rng = rng
        self._kind = kind
        self._wanted = crowd.pictures[rng.integers(len(crowd.pictures))].astype(np.float32)
        deviations = {name: max(float(values.std()), 1e-6) for name, values in crowd.measures.items()}
        self._weights = {name: rng.standard_normal() / deviation for name, deviation in deviations.items()}
        self.stated = Stated({}, {})
        if kind == "profile":
            self.stated = self._statement(crowd)
            for name in self.stated.attributes:
                self._weights[name] = 0.0  # a leaning is what is not said
        strengths = iter(rng.uniform(0.5, 1.5, len(self.stated.colours) + len(self.stated.attributes)))
        self._colour_weights = {name: 2 * sign * next(strengths) for name, sign in self.stated.colours.items()}
        self._said_weights = {name: sign / deviations[name] * next(strengths) for name, sign in self.stated.attributes.items()}
        said, unsaid = self._said(crowd.measures, crowd.colours), self._unsaid(crowd.measures)
        self._scales = np.sqrt(STATED_SHARE) / max(said.std(), 1e-9), np.sqrt(1 - STATED_SHARE) / max(unsaid.std(), 1e-9)
        pleasures = self._pleasure(crowd.pictures, crowd.measures, crowd.colours)
        self.demand = float(np.quantile(pleasures, 1 - SATISFIED_SHARE))

    def _statement(self, crowd: Crowd) -> Stated:
        """Colours that the model draws, liked and not, and attributes."""
        drawn = np.flatnonzero((crowd.colours > 0.5).mean(axis=0) > SATISFIED_SHARE)
        colours = self._rng.permutation(drawn)[: 2 * self._rng.integers(1, MOST_COLOURS + 1)]
        signs = np.where(np.arange(len(colours)) % 2 == 0, 1, -1)
        varying = [name for name in SAID_ATTRIBUTES if crowd.measures[name].std() > 1e-6]
        attributes = self._rng.permutation(varying)[: self._rng.integers(1, MOST_ATTRIBUTES + 1)]
        return Stated(
            {COLOURS[colour]: int(sign) for colour, sign in zip(colours, signs, strict=True)},
            {str(name): int(self._rng.choice([-1, 1])) for name in attributes},
        )

    def _said(self, measures: dict[str, NDArray[np.float32]], colours: NDArray[np.float64]) -> NDArray[np.float64]:
        by_colour = np.zeros(len(colours))
        for name, weight in self._colour_weights.items():
            by_colour += weight * colours[:, COLOURS.index(name)]
        return by_colour + sum(
            (weight * measures[name].astype(np.float64) for name, weight in self._said_weights.items()), np.zeros(len(colours))
        )

    def _unsaid(self, measures: dict[str, NDArray[np.float32]]) -> NDArray[np.float64]:
        return np.sum([self._weights[name] * values for name, values in measures.items()], axis=0, dtype=np.float64)

    def _pleasure(
        self, pictures: NDArray[np.uint8], measures: dict[str, NDArray[np.float32]], colours: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        match self._kind:
            case "garment in mind":
                difference = (pictures.astype(np.float32) - self._wanted) ** 2
                return -np.sqrt(difference.mean(axis=(1, 2, 3)).astype(np.float64))
            case "leaning":
                return self._unsaid(measures)
            case "profile":
                said, unsaid = self._scales
                return said * self._said(measures, colours) + unsaid * self._unsaid(measures)

    def pleasure(self, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        """How much each of `pictures` pleases, higher for more."""
        return self._pleasure(pictures, measure(pictures), colour_shares(pictures))

    def votes(self, pictures: NDArray[np.uint8]) -> NDArray[np.int64]:
        """1, -1 or 0 for each of `pictures`."""
        order = np.argsort(self.pleasure(pictures))
        votes = np.zeros(len(pictures), np.int64)
        votes[order[-2:]], votes[order[:3]] = 1, -1
        return np.where(self._rng.random(len(votes)) < ERRING, -votes, votes)


@dataclass(frozen=True)
class Wardrobe:
    """What the studio knows of a category, and what designers judge it by."""

    label: int
    crowd: Crowd
    features: TasteFeatures
    known: KnownGarments


def open_wardrobe(generator: Generator, label: int) -> Wardrobe:
    """The wardrobe of category `label`."""
    samples = draw_samples(generator, label)
    features = fit_features(samples)
    known = KnownGarments(samples.latents, features.of(samples.pictures))
    return Wardrobe(label, draw_crowd(generator, label), features, known)


Search = Literal["random", "votes", "profile and votes"]


@dataclass(frozen=True)
class Found:
    """A search's end."""

    rounds: int  # until the designer was satisfied, ROUNDS + 1 if never
    variety: float  # mean distance of two garments of a grid, relative to the typical distance of two random ones


def rounds_needed(
    generator: Generator, wardrobe: Wardrobe, designer: Designer, search: Search, rng: np.random.Generator
) -> Found:
    """Show grids to `designer` until one satisfies."""

    def pictures_at(latents: NDArray[np.float32]) -> NDArray[np.uint8]:
        return as_images(generator.draw_category(latents, wardrobe.label))

    def look(latents: NDArray[np.float32]) -> Features:
        return wardrobe.features.of(pictures_at(latents))

    known = wardrobe.known
    dim, variety = known.latents.shape[1], []
    stated = np.zeros(known.features.shape[1])
    if search == "profile and votes":
        stated = stated_taste(designer.stated.profile, known.features, generator.card.categories).weights
    votes = Votes(np.empty((0, dim), np.float32), np.empty(0, np.int64), np.empty(0, np.int64))
    for round_number in range(1, ROUNDS + 1):
        if search == "random":
            grid = rng.standard_normal((GRID, dim), dtype=np.float32)
        else:
            grid = suggested_latents(known, look, stated, votes, GRID, rng)
        pictures = pictures_at(grid)
        components = wardrobe.features.of(pictures)[:, COMPONENT_COLUMNS]
        variety.append(float(pdist(components).mean()))
        if designer.pleasure(pictures).max() >= designer.demand:
            return Found(round_number, float(np.mean(variety)))
        votes = Votes(
            np.concatenate([votes.latents, grid]),
            np.concatenate([votes.grids, np.full(GRID, round_number)]),
            np.concatenate([votes.votes, designer.votes(pictures)]),
        )
    return Found(ROUNDS + 1, float(np.mean(variety)))


def found_by_search(
    generator: Generator, wardrobes: Sequence[Wardrobe], kind: Kind, search: Search, designers: int
) -> list[Found]:
    """What each of so many `designers` found, who want garments of the `wardrobes` in turn; the same ones for each search."""
    found = []
    for number in range(designers):
        wardrobe = wardrobes[number % len(wardrobes)]
        designer = Designer(wardrobe.crowd, kind, np.random.default_rng([number, 1]))
        found.append(rounds_needed(generator, wardrobe, designer, search, np.random.default_rng([number, 2])))
    return found
