"""Errors of forecasts, a value for each series."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def seasonal_naive_error(history: Array, season: int) -> Array:
    """Mean absolute difference of `history` (N, T) to a season before, (N,): the unit of the MASE; NaN where unknown or 0."""
    differences = np.abs(history[:, season:] - history[:, :-season])
    known = np.isfinite(differences)
    total = np.where(known, differences, 0).sum(axis=1)
    count = known.sum(axis=1)
    return np.where((count > 0) & (total > 0), total / np.maximum(count, 1), np.nan)


def _mean(values: Array) -> Array:
    known = np.isfinite(values)
    return np.where(known.any(axis=1), np.where(known, values, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1), np.nan)


def mase(truth: Array, forecast: Array, unit: Array) -> Array:
    """Mean absolute scaled error (Hyndman and Koehler 2006), (N,); `unit` is `seasonal_naive_error` of the history."""
    return _mean(np.abs(truth - forecast)) / unit


def smape(truth: Array, forecast: Array) -> Array:
    """Symmetric mean absolute percentage error, (N,), 0 to 200; 0 where both are 0."""
    size = np.abs(truth) + np.abs(forecast)
    return _mean(200 * np.abs(truth - forecast) / np.where(size == 0, 1, size))


def pinball(truth: Array, quantile: Array, level: float, unit: Array) -> Array:
    """Mean pinball loss of a forecast of the quantile `level`, in units of `unit`, (N,)."""
    difference = truth - quantile
    return _mean(np.maximum(level * difference, (level - 1) * difference)) / unit


def covered(truth: Array, low: Array, high: Array) -> Array:
    """Share of `truth` between `low` and `high`, (N,)."""
    inside = np.where(np.isfinite(truth), (truth >= low) & (truth <= high), np.nan)
    return _mean(inside)
