"""Scores that the classifier's answers give, for all images and by category."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.metrics.classifier import inception_score
from pipeline.metrics.frechet import frechet_distance_of_features
from pipeline.metrics.neighbours import is_near_copy, mean_distances_to_others
from pipeline.metrics.sampling_error import bootstrap_deviation, deviation_of_mean, deviation_of_pairs


@dataclass(frozen=True)
class Classified:
    """Images as the classifier sees them."""

    labels: NDArray[np.int64]  # (N,), requested for samples, true for real images
    features: NDArray[np.float32]  # (N, D)
    probabilities: NDArray[np.float32]  # (N, categories)
    training_distances: NDArray[np.float32]  # (N,), distance of the features to the nearest training image
    training_rows: NDArray[np.int64]  # (N,), row of that image

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable category of each image."""
        return self.probabilities.argmax(axis=1)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the prediction is the label."""
        return self.predicted == self.labels


def distances_by_category(
    labels: NDArray[np.int64], features: NDArray[np.float32], categories: int
) -> list[NDArray[np.float64]]:
    """For each category, the mean distance of each image to the others of it; empty for fewer than two images."""
    groups = [features[labels == category] for category in range(categories)]
    return [mean_distances_to_others(group) if len(group) > 1 else np.empty(0) for group in groups]


@dataclass(frozen=True)
class Diversity:
    """Mean distance within a category, averaged over the categories with at least two images; NaN if there are none."""

    value: float
    deviation: float  # by the bootstrap

    @classmethod
    def of(cls, labels: NDArray[np.int64], features: NDArray[np.float32], categories: int) -> Self:
        known = [parts for parts in distances_by_category(labels, features, categories) if len(parts)]
        if not known:
            return cls(np.nan, np.nan)
        squares = sum(deviation_of_pairs(parts) ** 2 for parts in known)
        return cls(float(np.mean([parts.mean() for parts in known])), float(np.sqrt(squares) / len(known)))


def _near_copies(images: Classified, real: Classified, quantile: float) -> NDArray[np.float64]:
    return is_near_copy(images.training_distances, real.training_distances, quantile).astype(np.float64)


def classifier_scores(images: Classified, real: Classified, near_copy_quantile: float) -> dict[str, float]:
    """Scores of `images` by kind. `real` are images that the classifier was not trained on.

    Diversity is NaN if no category has two images.
    """
    return {
        "class_accuracy": float(images.correct.mean()),
        "is": inception_score(images.probabilities),
        "diversity": Diversity.of(images.labels, images.features, images.probabilities.shape[1]).value,
        "near_copies": float(_near_copies(images, real, near_copy_quantile).mean()),
    }


def classifier_deviations(
    images: Classified, real: Classified, near_copy_quantile: float, bootstraps: int, seed: int
) -> dict[str, float | None]:
    """± of these scores by the bootstrap of `images`, by kind. Which images are near copies stays fixed."""
    return {
        "class_accuracy": deviation_of_mean(images.correct.astype(np.float64)),
        "is": bootstrap_deviation(inception_score, (images.probabilities,), bootstraps, seed),
        "diversity": Diversity.of(images.labels, images.features, images.probabilities.shape[1]).deviation,
        "near_copies": deviation_of_mean(_near_copies(images, real, near_copy_quantile)),
    }


def scores_by_category(samples: Classified, real: Classified, categories: list[str], near_copy_quantile: float) -> pd.DataFrame:
    """One row per category: counts, and scores of samples beside those of real images; NaN if there are too few."""
    copies = _near_copies(samples, real, near_copy_quantile)
    diversity, diversity_real = (
        [parts.mean() if len(parts) else np.nan for parts in distances_by_category(one.labels, one.features, len(categories))]
        for one in (samples, real)
    )
    rows = []
    for label, category in enumerate(categories):
        fake, true = samples.labels == label, real.labels == label
        enough = min(fake.sum(), true.sum()) > 1
        fd = frechet_distance_of_features(real.features[true], samples.features[fake]) if enough else np.nan
        rows.append(
            {
                "category": category,
                "samples": int(fake.sum()),
                "reference": int(true.sum()),
                "fd_classifier": fd,
                "class_accuracy": samples.correct[fake].mean() if fake.any() else np.nan,
                "class_accuracy_real": real.correct[true].mean() if true.any() else np.nan,
                "near_copies": copies[fake].mean() if fake.any() else np.nan,
                "diversity": diversity[label],
                "diversity_real": diversity_real[label],
            }
        )
    return pd.DataFrame(rows)


def confusion_table(samples: Classified, categories: list[str]) -> pd.DataFrame:
    """One row per sample: the category requested (`asked`) and the one predicted (`seen`)."""
    names = np.array(categories)
    return pd.DataFrame({"asked": names[samples.labels], "seen": names[samples.predicted]})
