"""Simulated designers who search for a garment, by the taste model and at random.

A designer has one garment in mind, or a leaning (hidden weights of the measured attributes). In each round of eight images
they like the best two and dislike the worst three; one vote in twenty is wrong. They are satisfied by an image that is among
the best hundredth of random ones.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.inference.onnx_generator import as_images
from studio.directions import Samples, draw_samples
from studio.measures import measure
from studio.model import Generator
from studio.taste import FEATURES, Eye, candidate_latents, chosen, comparisons, eye_for

ROUNDS, WALL = 6, 8
SATISFIED_SHARE = 0.01
ERROR_RATE = 0.05


class Designer:
    """A simulated designer with a hidden taste."""

    def __init__(self, samples: Samples, kind: str, rng: np.random.Generator) -> None:
        self._rng = rng
        self._kind = kind
        self._wanted = samples.pictures[rng.integers(len(samples.pictures))].astype(np.float32)
        self._weights = {name: rng.standard_normal() / max(float(v.std()), 1e-6) for name, v in samples.measures.items()}
        self.demand = float(np.quantile(self.pleasure(samples.pictures), 1 - SATISFIED_SHARE))

    def pleasure(self, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        """How much the designer likes each of `pictures`; higher is better."""
        if self._kind == "garment in mind":
            return -np.sqrt(((pictures.astype(np.float32) - self._wanted) ** 2).mean(axis=(1, 2, 3)).astype(np.float64))
        weighted = [self._weights[name] * values for name, values in measure(pictures).items()]
        return np.sum(weighted, axis=0, dtype=np.float64)

    def votes(self, pictures: NDArray[np.uint8]) -> NDArray[np.int64]:
        """1 (liked), -1 (disliked) or 0 for each of `pictures`."""
        order = np.argsort(self.pleasure(pictures))
        votes = np.zeros(len(pictures), np.int64)
        votes[order[-2:]], votes[order[:3]] = 1, -1
        return np.where(self._rng.random(len(votes)) < ERROR_RATE, -votes, votes)


def rounds_needed(generator: Generator, label: int, designer: Designer, eye: Eye | None, rng: np.random.Generator) -> int:
    """Rounds until the designer is satisfied, ROUNDS + 1 if never. Without an `eye`, search is random."""
    dim = generator.card.latent_dim
    latents = np.empty((0, dim), np.float32)
    seen, votes = np.empty((0, FEATURES)), np.empty(0, np.int64)
    for round_number in range(1, ROUNDS + 1):
        if eye is None:
            wall = rng.standard_normal((WALL, dim), dtype=np.float32)
        else:
            candidates = candidate_latents(latents[votes > 0], dim, 1.0, rng)
            looks = eye.look(as_images(generator.draw_category(candidates, label)))
            compared = comparisons(np.arange(len(votes)) // WALL, votes)
            wall = candidates[chosen(seen, compared, looks, WALL, rng)]
        pictures = as_images(generator.draw_category(wall, label))
        if designer.pleasure(pictures).max() >= designer.demand:
            return round_number
        if eye is not None:
            latents, votes = np.concatenate([latents, wall]), np.concatenate([votes, designer.votes(pictures)])
            seen = np.concatenate([seen, eye.look(pictures)])
    return ROUNDS + 1


def rounds_by_search(generator: Generator, designers: int) -> dict[tuple[str, str], list[int]]:
    """Rounds that each simulated designer needs, by kind of taste and of search."""
    rounds: dict[tuple[str, str], list[int]] = {}
    prepared = {}
    for kind in ("garment in mind", "leaning"):
        for number in range(designers):
            label = number % len(generator.card.categories)
            if label not in prepared:
                samples = draw_samples(generator, label)
                prepared[label] = samples, eye_for(samples)
            samples, eye = prepared[label]
            for search, used in (("taste model", eye), ("random", None)):
                designer = Designer(samples, kind, np.random.default_rng([number, 1]))
                needed = rounds_needed(generator, label, designer, used, np.random.default_rng([number, 2]))
                rounds.setdefault((kind, search), []).append(needed)
    return rounds
