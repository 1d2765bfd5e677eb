"""What the classifier says of conditional pictures, over all of them and category by category."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.metrics import bootstrap
from pipeline.metrics.frechet import frechet_distance_of_features
from pipeline.metrics.inception_score import inception_score
from pipeline.metrics.neighbours import mean_distances, near_copies


@dataclass(frozen=True)
class Judged:
    """Pictures as the classifier sees them."""

    labels: NDArray[np.int64]  # (N,), those asked for, or the true ones
    features: NDArray[np.float32]  # (N, D)
    probabilities: NDArray[np.float32]  # (N, categories)
    training_distances: NDArray[np.float32]  # (N,), to the nearest training picture by features
    training_rows: NDArray[np.int64]  # (N,), which one that is

    @property
    def seen(self) -> NDArray[np.int64]:
        """The most probable category of each picture."""
        return self.probabilities.argmax(axis=1)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Where it is the one asked for."""
        return self.seen == self.labels


def varieties(labels: NDArray[np.int64], features: NDArray[np.float32], categories: int) -> list[NDArray[np.float64]]:
    """For each category, each picture's mean distance from the others of it; empty where it has fewer than two."""
    groups = [features[labels == category] for category in range(categories)]
    return [mean_distances(group) if len(group) > 1 else np.empty(0) for group in groups]


@dataclass(frozen=True)
class Diversity:
    """Variety within a category, averaged over the categories with two pictures or more; NaN where there is none."""

    value: float
    deviation: float  # by the bootstrap

    @classmethod
    def of(cls, labels: NDArray[np.int64], features: NDArray[np.float32], categories: int) -> Self:
        known = [parts for parts in varieties(labels, features, categories) if len(parts)]
        if not known:
            return cls(np.nan, np.nan)
        squares = sum(bootstrap.deviation_of_pairs(parts) ** 2 for parts in known)
        return cls(float(np.mean([parts.mean() for parts in known])), float(np.sqrt(squares) / len(known)))


def judged_scores(pictures: Judged, real: Judged, near_copy_quantile: float) -> dict[str, float]:
    """Scores of conditional `pictures` by kind; `real` are pictures the classifier was not trained on.

    Diversity is NaN where no category has two pictures.
    """
    copies = near_copies(pictures.training_distances, real.training_distances, near_copy_quantile)
    return {
        "class_accuracy": float(pictures.right.mean()),
        "is": inception_score(pictures.probabilities),
        "diversity": Diversity.of(pictures.labels, pictures.features, pictures.probabilities.shape[1]).value,
        "near_copies": float(copies.mean()),
    }


def judged_deviations(
    pictures: Judged, real: Judged, near_copy_quantile: float, bootstraps: int, seed: int
) -> dict[str, float | None]:
    """± of these scores by the bootstrap of `pictures`, by kind; what is a near copy stays as it is."""
    copies = near_copies(pictures.training_distances, real.training_distances, near_copy_quantile)
    return {
        "class_accuracy": bootstrap.deviation_of_mean(pictures.right.astype(np.float64)),
        "is": bootstrap.deviation_of(inception_score, (pictures.probabilities,), bootstraps, seed),
        "diversity": Diversity.of(pictures.labels, pictures.features, pictures.probabilities.shape[1]).deviation,
        "near_copies": bootstrap.deviation_of_mean(copies.astype(np.float64)),
    }


def by_category(pictures: Judged, real: Judged, categories: list[str], near_copy_quantile: float) -> pd.DataFrame:
    """A row a category: counts, and scores of generated pictures beside those of real ones; NaN where there are too few."""
    copies = near_copies(pictures.training_distances, real.training_distances, near_copy_quantile)
    rows = []
    for label, category in enumerate(categories):
        mine, theirs = pictures.labels == label, real.labels == label
        enough = min(mine.sum(), theirs.sum()) > 1
        fd = frechet_distance_of_features(real.features[theirs], pictures.features[mine]) if enough else np.nan
        rows.append(
            {
                "category": category,
                "samples": int(mine.sum()),
                "reference": int(theirs.sum()),
                "fd_classifier": fd,
                "class_accuracy": pictures.right[mine].mean() if mine.any() else np.nan,
                "class_accuracy_real": real.right[theirs].mean() if theirs.any() else np.nan,
                "near_copies": copies[mine].mean() if mine.any() else np.nan,
            }
        )
    variety, variety_real = (
        [parts.mean() if len(parts) else np.nan for parts in varieties(each.labels, each.features, len(categories))]
        for each in (pictures, real)
    )
    return pd.DataFrame(rows).assign(diversity=variety, diversity_real=variety_real)


def confusion(pictures: Judged, categories: list[str]) -> pd.DataFrame:
    """A row a picture: the category asked for and the one seen."""
    names = np.array(categories)
    return pd.DataFrame({"asked": names[pictures.labels], "seen": names[pictures.seen]})
