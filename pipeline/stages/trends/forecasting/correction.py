"""One global model of all series that corrects the errors of the Gaussian process, in the spirit of HERMES.

It learns, over all series and all past origins, how the errors of a forecast follow from what was known at its origin. Half of
it is a ridge regression, half gradient boosting on the absolute error. David, Bellot and Le Corff 2023, "HERMES: Hybrid
Error-corrector Model with inclusion of External Signals for nonstationary fashion time series", use a recurrent network.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pipeline.stages.trends.forecasting.gaussian_process import Posterior
from pipeline.stages.trends.forecasting.preparation import LogScale

SHRINKAGE = 0.6  # of the correction: a year of errors is a small sample
MAX_FEATURE, MAX_TARGET = 8.0, 4.0
RIDGE = 1000.0
MAX_ROWS = 150_000
BOOSTING: dict[str, Any] = {
    "loss": "absolute_error",
    "max_iter": 150,
    "learning_rate": 0.05,
    "max_leaf_nodes": 16,
    "min_samples_leaf": 300,
    "l2_regularization": 10.0,
    "early_stopping": False,
}

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Origin:
    """What was known at one origin of those series that are long enough there, and the forecast made from it."""

    step: int  # steps before the origin
    rows: NDArray[np.intp]  # (N,), which series
    scale: LogScale  # theirs, as known at the origin
    values: Array  # (N, step), prepared; NaN before a series begins
    given: Posterior
    features: Array  # (N, horizon, features)
    unit: Array  # (N, 1), of the features and errors


def seasonal_unit(values: Array, season: int) -> Array:
    """Mean absolute difference of `values` (N, T) to a season before, (N, 1)."""
    return np.abs(values[:, season:] - values[:, :-season]).mean(axis=1, keepdims=True) + 1e-9


def _moving_mean(values: Array, width: int) -> Array:
    padded = np.pad(values, ((0, 0), (width // 2, width // 2)), mode="edge")
    total = np.cumsum(np.pad(padded, ((0, 0), (1, 0))), axis=1)
    return (total[:, width:] - total[:, :-width]) / width


def _recent_change(values: Array, season: int, part: int) -> Array:
    """The mean of the last season/part steps of `values` (…, T) less that of the season before them, (…, 1)."""
    recent = values[:, -max(1, season // part) :].mean(axis=1, keepdims=True)
    before = values[:, -season - max(1, season // part) : -season].mean(axis=1, keepdims=True)
    return recent - before


def features_at(values: Array, given: Posterior, season: int, signals: Array | None = None) -> tuple[Array, Array]:
    """What is known at the end of `values` (N, T ≥ 2 seasons): features (N, horizon, F) and their unit (N, 1).

    `signals` (N, T, S), standardised, end where the values end.
    """
    horizon = given.mean.shape[1]
    unit = seasonal_unit(values, season)
    level = values[:, -season:].mean(axis=1, keepdims=True)
    ends = [values[:, -max(1, season // part) :].mean(axis=1, keepdims=True) for part in (13, 4, 2)]
    constant = [
        *(end - level for end in ends),
        level - values[:, -2 * season : -season].mean(axis=1, keepdims=True),
        _recent_change(values, season, 13),
        _recent_change(values, season, 4),
    ]
    smooth = _moving_mean(values, 5 if season > 12 else 1)
    ahead = np.arange(horizon) % season
    moving = [
        smooth[:, -season:][:, ahead] - given.mean,
        smooth[:, -2 * season : -season][:, ahead] - given.mean,
        values[:, -season:][:, ahead] - given.mean,
        given.mean - level,
        given.mean - ends[0],
        given.deviation,
    ]
    columns = [np.repeat(column, horizon, axis=1) for column in constant] + moving
    stacked = np.stack(columns, axis=-1) / unit[:, :, None]
    time = np.broadcast_to(np.arange(horizon) / season, stacked.shape[:2])[..., None]
    extra = [] if signals is None else [_signal_features(signals, season, horizon)]
    return np.concatenate([time, np.clip(stacked, -MAX_FEATURE, MAX_FEATURE), *extra], axis=-1), unit


def _signal_features(signals: Array, season: int, horizon: int) -> Array:
    """Each signal's latest value and its changes over a year, (N, horizon, 3 S); nothing after the origin."""
    count, _, width = signals.shape
    found = np.empty((count, horizon, 3 * width))
    for number in range(width):
        signal = signals[:, :, number]
        recent = signal[:, -max(1, season // 13) :].mean(axis=1, keepdims=True)
        known = [recent, _recent_change(signal, season, 13), _recent_change(signal, season, 4)]
        found[:, :, 3 * number : 3 * number + 3] = np.stack([np.repeat(one, horizon, axis=1) for one in known], axis=-1)
    return np.clip(found, -MAX_FEATURE, MAX_FEATURE)


def _rows(origins: list[Origin], values: Array, end: int) -> tuple[Array, Array]:
    """Features and errors of the forecasts at `origins` of every step before `end`."""
    features, errors = [], []
    for origin in origins:
        known = min(end - origin.step, origin.given.mean.shape[1])
        truth = origin.scale.to(values[origin.rows, origin.step : origin.step + known])
        features.append(origin.features[:, :known].reshape(-1, origin.features.shape[2]))
        errors.append(((truth - origin.given.mean[:, :known]) / origin.unit).reshape(-1))
    return np.concatenate(features), np.clip(np.concatenate(errors), -MAX_TARGET, MAX_TARGET)


def corrected(origins: list[Origin], values: Array, at: Origin, rng: np.random.Generator) -> Array:
    """The forecast `at` an origin (N, horizon) on its logarithmic scale, corrected by what errors at earlier `origins` teach.

    `values` of all series, NaN where unknown, are read before step `at.step` only.
    """
    features, errors = _rows([origin for origin in origins if origin.step < at.step], values, at.step)
    kept = np.flatnonzero(np.isfinite(errors))
    if not len(kept):  # all steps since the earliest origin are missing
        return at.given.mean
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import Ridge

    if len(kept) > MAX_ROWS:
        kept = np.sort(rng.choice(kept, MAX_ROWS, replace=False))
    features, errors = features[kept], errors[kept]
    asked = at.features.reshape(-1, at.features.shape[2])
    boosting = HistGradientBoostingRegressor(**BOOSTING, random_state=int(rng.integers(2**31)))
    models = [Ridge(RIDGE), boosting]
    with threadpool_limits(limits=1):  # after the import, which loads OpenMP; its threads wait by spinning
        found = np.mean([model.fit(features, errors).predict(asked) for model in models], axis=0)
    return np.asarray(at.given.mean + SHRINKAGE * found.reshape(at.given.mean.shape) * at.unit)
