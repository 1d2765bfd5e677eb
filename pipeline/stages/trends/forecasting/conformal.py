"""Intervals from the errors of past forecasts: conformal prediction, with scores in units of each forecast's own deviation.

Lei et al. 2018, "Distribution-free predictive inference for regression", section 5.2 (locally weighted scores).
"""

import math

import numpy as np
from numpy.typing import NDArray

COVERAGES = (0.8, 0.95)
HORIZON_PARTS = 3  # far forecasts err otherwise than near ones
LEAST_SCORES = 30  # in a part; below, all horizons share their scores

Array = NDArray[np.float64]


def conformal_quantile(scores: Array, coverage: float) -> float:
    """The score that a new one exceeds with a probability of at most 1 - `coverage`, if it is exchangeable with `scores`.

    Infinite where `scores` are too few to tell.
    """
    rank = math.ceil((len(scores) + 1) * coverage)
    return float(np.partition(scores, rank - 1)[rank - 1]) if rank <= len(scores) else math.inf


def half_widths(scores: Array, coverage: float) -> Array:
    """The factor (horizon,) of the deviation that covers `coverage` of the `scores` (M, horizon), NaN where unknown."""
    horizon = scores.shape[1]
    pooled = conformal_quantile(scores[np.isfinite(scores)], coverage)
    found = np.full(horizon, pooled)
    for part in np.array_split(np.arange(horizon), HORIZON_PARTS):
        known = scores[:, part][np.isfinite(scores[:, part])]
        if len(known) >= LEAST_SCORES:
            found[part] = conformal_quantile(known, coverage)
    return found
