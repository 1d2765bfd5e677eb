"""Every score that one pass of features gives, by name."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.frechet import frechet_distance, mean_and_covariance
from pipeline.metrics.kernel import kernel_distances
from pipeline.metrics.manifold import Manifold, manifold_of, overlap

# Kinds of score, and whether more is better.
HIGHER_IS_BETTER = {
    "fd": False,
    "kid": False,
    "precision": True,
    "recall": True,
    "density": True,
    "coverage": True,
    "class_accuracy": True,
    "is": True,
    "diversity": True,
    "near_copies": False,
}


def score_name(kind: str, extractor: str) -> str:
    """The kind and the extractor; but `fid` and `kid` mean Inception and nothing else."""
    shortened = {("fd", "inception"): "fid", ("kid", "inception"): "kid", ("class_accuracy", "classifier"): "class_accuracy"}
    return shortened.get((kind, extractor), f"{kind}_{extractor}")


@dataclass(frozen=True)
class ScoreSettings:
    """What the scores depend on besides features."""

    neighbours: int
    kid_subsets: int
    kid_subset_size: int
    seed: int  # of KID's subsets


@dataclass(frozen=True)
class ReferenceStatistics:
    """What is computed once of the reference's features (N, D)."""

    features: NDArray[np.float32]
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    manifold: Manifold


def statistics_of(features: NDArray[np.float32], settings: ScoreSettings) -> ReferenceStatistics:
    """`features` (N, D), N at least 2, made ready to be compared with."""
    return ReferenceStatistics(features, *mean_and_covariance(features), manifold_of(features, settings.neighbours))


def scores_of(
    reference: ReferenceStatistics, samples: NDArray[np.float32], settings: ScoreSettings
) -> tuple[dict[str, float], NDArray[np.floating]]:
    """Scores of `samples` (M, D) by kind, and each sample's realism (M,)."""
    lying = overlap(reference.manifold, manifold_of(samples, settings.neighbours))
    distances = kernel_distances(
        reference.features, samples, subsets=settings.kid_subsets, subset_size=settings.kid_subset_size, seed=settings.seed
    )
    scores = {
        "fd": frechet_distance(reference.mean, reference.covariance, *mean_and_covariance(samples)),
        "kid": float(distances.mean()),
        "precision": lying.precision,
        "recall": lying.recall,
        "density": lying.density,
        "coverage": lying.coverage,
    }
    return scores, lying.realism
