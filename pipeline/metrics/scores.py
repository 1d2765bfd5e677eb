"""All scores that one extractor's features give, by kind."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.frechet import (
    frechet_distance,
    frechet_distance_of_features,
    mean_and_covariance,
    prefix_moments,
)
from pipeline.metrics.kernel import draw_subsets, kernel_distances, subset_means
from pipeline.metrics.manifold import Manifold, Overlap, build_manifold, overlap
from pipeline.metrics.sampling_error import (
    bootstrap_deviation,
    deviation_of_mean,
    deviation_of_subsets,
    extrapolate_to_infinity,
)


@dataclass(frozen=True)
class ScoreSettings:
    """What the scores depend on besides features."""

    neighbours: int
    kid_subsets: int
    kid_subset_size: int
    fd_counts: tuple[int, ...]  # ascending from 2; sample counts from which fd is extrapolated to infinitely many
    bootstraps: int
    seed: int  # for KID's subsets, the order of the samples in `frechet_by_count`, and the bootstrap


@dataclass(frozen=True)
class ReferenceStatistics:
    """What is computed once from the reference's features (N, D)."""

    features: NDArray[np.float32]
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    manifold: Manifold
    kernels: dict[int, NDArray[np.float64]] = field(default_factory=dict)  # means within KID's subsets, by sample count

    def kernel_distances(self, samples: NDArray[np.float32], settings: ScoreSettings) -> NDArray[np.float64]:
        """The kernel distance of each subset of `samples` (M, D)."""
        count = len(samples)
        drawn = draw_subsets((count, len(self.features)), settings.kid_subsets, settings.kid_subset_size, settings.seed)
        if count not in self.kernels:
            self.kernels[count] = subset_means(self.features, [rows for _, rows in drawn])
        return kernel_distances(self.features, samples, drawn, self.kernels[count])


@dataclass(frozen=True)
class ExtractorScores:
    """The scores of one set of samples, by one extractor."""

    values: dict[str, float]  # by kind
    fd_by_count: dict[int, float]
    overlap: Overlap
    kernel_distances: NDArray[np.float64]  # of each subset


def reference_statistics(features: NDArray[np.float32], settings: ScoreSettings) -> ReferenceStatistics:
    """Statistics of the reference's `features` (N, D), N ≥ 2."""
    return ReferenceStatistics(features, *mean_and_covariance(features), build_manifold(features, settings.neighbours))


def frechet_by_count(reference: ReferenceStatistics, samples: NDArray[np.float32], settings: ScoreSettings) -> dict[int, float]:
    """Fréchet distance of the first `count` of the shuffled `samples` (M, D), for each of `fd_counts` below M, and for M."""
    shuffled = samples[np.random.default_rng(settings.seed).permutation(len(samples))]  # samples are sorted by category
    counts = [*(count for count in settings.fd_counts if count < len(samples)), len(samples)]
    moments = prefix_moments(shuffled, counts)
    return {
        count: frechet_distance(reference.mean, reference.covariance, mean, covariance)
        for count, (mean, covariance) in zip(counts, moments, strict=True)
    }


def score_samples(reference: ReferenceStatistics, samples: NDArray[np.float32], settings: ScoreSettings) -> ExtractorScores:
    """Scores of `samples` (M, D). Includes `fd_infinity` if at least one of `fd_counts` is below M."""
    overlapping = overlap(reference.manifold, build_manifold(samples, settings.neighbours))
    distances = reference.kernel_distances(samples, settings)
    by_count = frechet_by_count(reference, samples, settings)
    infinity = {"fd_infinity": extrapolate_to_infinity(by_count)[0]} if len(by_count) > 1 else {}
    values = {"fd": by_count[len(samples)], **infinity, "kid": float(distances.mean()), **overlapping.scores}
    return ExtractorScores(values, by_count, overlapping, distances)


def bootstrap_deviations(
    reference: ReferenceStatistics, samples: NDArray[np.float32], scores: ExtractorScores, settings: ScoreSettings
) -> dict[str, float | None]:
    """± of the `scores` of `samples` by the bootstrap of both sets, by kind; `fd_infinity` has none.

    Neighbourhoods stay as they are: an image drawn twice would be its own nearest neighbour.
    """
    smaller = min(len(reference.features), len(samples))
    size = min(smaller, settings.kid_subset_size)
    sets = reference.features, samples
    fd = bootstrap_deviation(frechet_distance_of_features, sets, settings.bootstraps, settings.seed)
    means = {kind: deviation_of_mean(parts) for kind, parts in scores.overlap.parts.items()}
    return {"fd": fd, "kid": deviation_of_subsets(scores.kernel_distances, size, smaller), **means}
