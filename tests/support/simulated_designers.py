"""Simulated designers who search for a garment, with the preference model and at random.

A designer has one garment in mind, or a general preference (hidden weights of the measured attributes). In each round of
eight they like the two garments that they prefer most and dislike the three that they prefer least; one vote of twenty is
wrong. They are satisfied when a garment on the grid is among the most preferred one per cent of random ones.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.inference.onnx_generator import as_images
from studio.directions import Samples, draw_samples
from studio.measures import measure
from studio.model import Generator
from studio.preferences import FEATURES, GarmentFeatures, candidate_latents, comparisons, fit_features, thompson_sample

ROUNDS, GRID = 6, 8
SATISFIED_SHARE = 0.01
ERRING = 0.05


class Designer:
    """A simulated designer with a hidden preference, which `pleasure` computes."""

    def __init__(self, samples: Samples, kind: str, rng: np.random.Generator) -> None:
        self._rng = rng
        self._kind = kind
        self._wanted = samples.pictures[rng.integers(len(samples.pictures))].astype(np.float32)
        self._weights = {name: rng.standard_normal() / max(float(v.std()), 1e-6) for name, v in samples.measures.items()}
        self.demand = float(np.quantile(self.pleasure(samples.pictures), 1 - SATISFIED_SHARE))

    def pleasure(self, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        """How much each of `pictures` pleases, higher for more."""
        if self._kind == "garment in mind":
            return -np.sqrt(((pictures.astype(np.float32) - self._wanted) ** 2).mean(axis=(1, 2, 3)).astype(np.float64))
        weighed = [self._weights[name] * values for name, values in measure(pictures).items()]
        return np.sum(weighed, axis=0, dtype=np.float64)

    def votes(self, pictures: NDArray[np.uint8]) -> NDArray[np.int64]:
        """1, -1 or 0 for each of `pictures`."""
        order = np.argsort(self.pleasure(pictures))
        votes = np.zeros(len(pictures), np.int64)
        votes[order[-2:]], votes[order[:3]] = 1, -1
        return np.where(self._rng.random(len(votes)) < ERRING, -votes, votes)


def rounds_needed(
    generator: Generator, label: int, designer: Designer, features: GarmentFeatures | None, rng: np.random.Generator
) -> int:
    """Rounds until `designer` is satisfied, ROUNDS + 1 if never; random search without an `features`."""
    dim = generator.card.latent_dim
    latents = np.empty((0, dim), np.float32)
    seen, votes = np.empty((0, FEATURES)), np.empty(0, np.int64)
    for round_number in range(1, ROUNDS + 1):
        if features is None:
            grid = rng.standard_normal((GRID, dim), dtype=np.float32)
        else:
            candidates = candidate_latents(latents[votes > 0], dim, 1.0, rng)
            candidate_features = features.of(as_images(generator.draw_category(candidates, label)))
            compared = comparisons(np.arange(len(votes)) // GRID, votes)
            grid = candidates[thompson_sample(seen, compared, candidate_features, GRID, rng)]
        pictures = as_images(generator.draw_category(grid, label))
        if designer.pleasure(pictures).max() >= designer.demand:
            return round_number
        if features is not None:
            latents, votes = np.concatenate([latents, grid]), np.concatenate([votes, designer.votes(pictures)])
            seen = np.concatenate([seen, features.of(pictures)])
    return ROUNDS + 1


def rounds_by_search(generator: Generator, designers: int) -> dict[tuple[str, str], list[int]]:
    """Rounds needed by each simulated designer, by kind of taste and of search."""
    found: dict[tuple[str, str], list[int]] = {}
    prepared = {}
    for kind in ("garment in mind", "leaning"):
        for number in range(designers):
            label = number % len(generator.card.categories)
            if label not in prepared:
                samples = draw_samples(generator, label)
                prepared[label] = samples, fit_features(samples)
            samples, features = prepared[label]
            for search, used in (("preference model", features), ("random", None)):
                designer = Designer(samples, kind, np.random.default_rng([number, 1]))
                needed = rounds_needed(generator, label, designer, used, np.random.default_rng([number, 2]))
                found.setdefault((kind, search), []).append(needed)
    return found
