"""Which models forecast a series: weights from their errors at past origins, pooled over series where a series says little."""

import warnings
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

OWN_SHARE = 0.5  # of a series' own errors in the errors that decide; the rest is the median of all series
SHARPNESS = 12.0  # a model with an error larger by 0.1 of the seasonal naive's weighs less by a factor of e^1.2
# What is expected before any test, from drawn series (docs/trials.md).
PRIOR = {"corrected": 1.0, "gaussian process": 0.3, "stl-ets": 0.1, "theta": 0.1, "seasonal naive": 0.02}


class Tested(Protocol):
    """Forecasts of every model from one past origin, and what came."""

    @property
    def step(self) -> int: ...  # steps before the origin

    @property
    def rows(self) -> NDArray[np.intp]: ...  # which series, (n,)

    @property
    def forecasts(self) -> dict[str, Array]: ...  # by model, (n, horizon)

    @property
    def truth(self) -> Array: ...  # (n, horizon), NaN where unknown


def relative_errors(tests: Sequence[Tested], models: list[str], count: int, end: int) -> Array:
    """Mean absolute error of each model for each of `count` series (N, models), relative to the seasonal naive forecast.

    Only forecasts of steps before `end` count; NaN where a model has none.
    """
    totals, known = np.zeros((count, len(models))), np.zeros((count, len(models)))
    for test in tests:
        seen = test.truth.copy()
        seen[:, max(0, end - test.step) :] = np.nan
        for number, model in enumerate(models):
            if model in test.forecasts:
                error = np.abs(seen - test.forecasts[model])
                totals[test.rows, number] += np.nansum(error, axis=1)
                known[test.rows, number] += np.isfinite(error).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = totals / known
        return errors / errors[:, [models.index("seasonal naive")]]


def chosen_weights(tests: Sequence[Tested], models: list[str], count: int, end: int) -> Array:
    """Weights of `models` for each of `count` series (N, models), rows summing to 1, from what came before `end`."""
    prior = np.array([PRIOR[model] for model in models])
    if not tests:
        return np.tile(prior / prior.sum(), (count, 1))
    own = relative_errors(tests, models, count, end)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a model that no series tested
        pooled = np.nan_to_num(np.nanmedian(np.where(np.isfinite(own), own, np.nan), axis=0), nan=1.0)
    own = np.where(np.isfinite(own), own, pooled)
    expected = OWN_SHARE * own + (1 - OWN_SHARE) * pooled
    weights = prior * np.exp(-SHARPNESS * (expected - expected.min(axis=1, keepdims=True)))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
