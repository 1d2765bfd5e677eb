"""The inception score, under whatever classifier gave the probabilities."""

import numpy as np
from numpy.typing import NDArray


def inception_score(probabilities: NDArray[np.floating]) -> float:
    """exp of the mean KL divergence of rows of `probabilities` (N, categories) from their mean; Salimans et al. 2016.

    1 when all rows are alike; the number of categories when each row is certain and all categories are equally frequent.
    """
    rows = probabilities.astype(np.float64)
    ratio = np.log(np.maximum(rows, 1e-30)) - np.log(np.maximum(rows.mean(axis=0), 1e-30))
    return float(np.exp((rows * ratio).sum(axis=1).mean()))
