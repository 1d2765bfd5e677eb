"""Every score that one pass of features gives, by name."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics import bootstrap
from pipeline.metrics.extrapolation import moments_of_first
from pipeline.metrics.frechet import frechet_distance, frechet_distance_of_features, mean_and_covariance
from pipeline.metrics.infinity import line_to_infinity
from pipeline.metrics.kernel import drawn_subsets, kernel_distances, means_within
from pipeline.metrics.manifold import Manifold, Overlap, manifold_of, overlap

# Kinds of score, and whether more is better.
HIGHER_IS_BETTER = {
    "fd": False,
    "fd_infinity": False,
    "kid": False,
    "precision": True,
    "recall": True,
    "density": True,
    "coverage": True,
    "class_accuracy": True,
    "is": True,
    "diversity": True,
    "near_copies": False,
    "look_alikes": False,
    "ppl": False,
}


def score_name(kind: str, extractor: str) -> str:
    """The kind and the extractor; but `fid` and `kid` mean Inception and nothing else."""
    shortened = {
        ("fd", "inception"): "fid",
        ("fd_infinity", "inception"): "fid_infinity",
        ("kid", "inception"): "kid",
        ("class_accuracy", "classifier"): "class_accuracy",
    }
    return shortened.get((kind, extractor), f"{kind}_{extractor}")


@dataclass(frozen=True)
class ScoreSettings:
    """What the scores depend on besides features."""

    neighbours: int
    kid_subsets: int
    kid_subset_size: int
    fd_counts: tuple[int, ...]  # ascending, from 2; fewer samples than there are, for the extrapolation to infinitely many
    bootstraps: int
    seed: int  # of KID's subsets, of which samples are the first so many, and of the bootstrap


@dataclass(frozen=True)
class ReferenceStatistics:
    """What is computed once of the reference's features (N, D)."""

    features: NDArray[np.float32]
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    manifold: Manifold
    kernels: dict[int, NDArray[np.float64]] = field(default_factory=dict)  # means within KID's subsets, by the count of samples

    def kernel_distances(self, samples: NDArray[np.float32], settings: ScoreSettings) -> NDArray[np.float64]:
        """The kernel distance of each subset of `samples` (M, D)."""
        count = len(samples)
        drawn = drawn_subsets((count, len(self.features)), settings.kid_subsets, settings.kid_subset_size, settings.seed)
        if count not in self.kernels:
            self.kernels[count] = means_within(self.features, [rows for _, rows in drawn])
        return kernel_distances(self.features, samples, drawn, self.kernels[count])


@dataclass(frozen=True)
class Measured:
    """What one set of samples scores."""

    values: dict[str, float]  # by kind
    fd_by_count: dict[int, float]
    lying: Overlap
    kernel_distances: NDArray[np.float64]  # of each subset


def statistics_of(features: NDArray[np.float32], settings: ScoreSettings) -> ReferenceStatistics:
    """`features` (N, D), N at least 2, made ready to be compared with."""
    return ReferenceStatistics(features, *mean_and_covariance(features), manifold_of(features, settings.neighbours))


def distances_by_count(
    reference: ReferenceStatistics, samples: NDArray[np.float32], settings: ScoreSettings
) -> dict[int, float]:
    """The Fréchet distance of the first so many of `samples` (M, D), shuffled, for each of `fd_counts` below M and for M."""
    shuffled = samples[np.random.default_rng(settings.seed).permutation(len(samples))]  # they come sorted by category
    counts = [*(count for count in settings.fd_counts if count < len(samples)), len(samples)]
    moments = moments_of_first(shuffled, counts)
    return {n: frechet_distance(reference.mean, reference.covariance, *of) for n, of in zip(counts, moments, strict=True)}


def measure(reference: ReferenceStatistics, samples: NDArray[np.float32], settings: ScoreSettings) -> Measured:
    """Scores of `samples` (M, D); `fd_infinity` where `fd_counts` leave something to extrapolate from."""
    lying = overlap(reference.manifold, manifold_of(samples, settings.neighbours))
    distances = reference.kernel_distances(samples, settings)
    by_count = distances_by_count(reference, samples, settings)
    infinity = {"fd_infinity": line_to_infinity(by_count)[0]} if len(by_count) > 1 else {}
    values = {"fd": by_count[len(samples)], **infinity, "kid": float(distances.mean()), **lying.scores}
    return Measured(values, by_count, lying, distances)


def deviations_of(
    reference: ReferenceStatistics, samples: NDArray[np.float32], measured: Measured, settings: ScoreSettings
) -> dict[str, float | None]:
    """± of the scores of `samples` by the bootstrap of both sets, by kind, where there is one.

    Neighbourhoods stay as they are: a picture drawn twice would be its own nearest neighbour.
    """
    smaller = min(len(reference.features), len(samples))
    size = min(smaller, settings.kid_subset_size)
    fd = bootstrap.deviation_of(frechet_distance_of_features, (reference.features, samples), settings.bootstraps, settings.seed)
    means = {kind: bootstrap.deviation_of_mean(part) for kind, part in measured.lying.parts.items()}
    return {"fd": fd, "kid": bootstrap.deviation_of_subsets(measured.kernel_distances, size, smaller), **means}
