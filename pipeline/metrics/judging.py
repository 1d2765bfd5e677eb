"""What the classifier says of conditional pictures, over all of them and category by category."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.metrics.frechet import frechet_distance_of_features
from pipeline.metrics.inception_score import inception_score
from pipeline.metrics.neighbours import mean_pairwise_distance, near_copy_share


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


def diversity(labels: NDArray[np.int64], features: NDArray[np.float32], categories: int) -> NDArray[np.float64]:
    """Mean distance (categories,) between the features of two pictures of one category; NaN where it has fewer than two."""
    groups = [features[labels == category] for category in range(categories)]
    return np.array([mean_pairwise_distance(group) if len(group) > 1 else np.nan for group in groups])


def judged_scores(pictures: Judged, real: Judged, near_copy_quantile: float) -> dict[str, float]:
    """Scores of conditional `pictures` by kind; `real` are pictures the classifier was not trained on.

    Diversity is NaN where no category has two pictures.
    """
    diversities = diversity(pictures.labels, pictures.features, pictures.probabilities.shape[1])
    known = diversities[~np.isnan(diversities)]
    return {
        "class_accuracy": float(pictures.right.mean()),
        "is": inception_score(pictures.probabilities),
        "diversity": float(known.mean()) if len(known) else np.nan,
        "near_copies": near_copy_share(pictures.training_distances, real.training_distances, near_copy_quantile),
    }


def by_category(pictures: Judged, real: Judged, categories: list[str], near_copy_quantile: float) -> pd.DataFrame:
    """A row a category: counts, and scores of generated pictures beside those of real ones; NaN where there are too few."""
    threshold = np.quantile(real.training_distances, near_copy_quantile)
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
                "near_copies": (pictures.training_distances[mine] < threshold).mean() if mine.any() else np.nan,
            }
        )
    return pd.DataFrame(rows).assign(
        diversity=diversity(pictures.labels, pictures.features, len(categories)),
        diversity_real=diversity(real.labels, real.features, len(categories)),
    )


def confusion(pictures: Judged, categories: list[str]) -> pd.DataFrame:
    """A row a picture: the category asked for and the one seen."""
    names = np.array(categories)
    return pd.DataFrame({"asked": names[pictures.labels], "seen": names[pictures.seen]})
