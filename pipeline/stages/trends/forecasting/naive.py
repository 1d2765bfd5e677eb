"""Forecasts of series too short for a model: the last season again, or the last value, with intervals from past changes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.stages.trends.forecasting.calendar import Calendar
from pipeline.stages.trends.forecasting.conformal import COVERAGES, conformal_quantile

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NaiveForecasts:
    """Forecasts of N series, one by one."""

    median: Array  # (N, horizon), NaN for a series without a value
    intervals: dict[float, tuple[Array, Array]]
    notes: list[str]


def naive_forecasts(values: Array, horizon: int, calendar: Calendar) -> NaiveForecasts:
    """The naive forecast of each of `values` (N, T), NaN where unknown."""
    count = len(values)
    median = np.full((count, horizon), np.nan)
    intervals = {coverage: (median.copy(), median.copy()) for coverage in COVERAGES}
    notes = []
    for row, series in enumerate(values):
        known = np.flatnonzero(np.isfinite(series))
        if not len(known):
            notes.append("No value is known.")
            continue
        series = series[known[0] :]
        lag = calendar.season if len(series) >= calendar.season else 1
        last = _filled_forward(series)[-lag:]
        median[row] = np.resize(last, horizon)
        reach = np.abs(series[lag:] - series[:-lag])
        reach = reach[np.isfinite(reach)]
        for coverage, (low, high) in intervals.items():
            width = conformal_quantile(reach, coverage) if len(reach) else np.inf
            width = width if np.isfinite(width) else 1.5 * float(np.max(reach, initial=0.5 * abs(last[-1])))
            spread = np.full(horizon, width) if lag > 1 else width * np.sqrt(np.arange(1, horizon + 1))
            low[row], high[row] = np.maximum(median[row] - spread, 0), median[row] + spread
        kind = "last year again" if lag > 1 else "the last value"
        notes.append(
            f"Too short or too sparse for a model ({len(series)} {calendar.unit}s): {kind}, with its past changes as interval."
        )
    return NaiveForecasts(median, intervals, notes)


def _filled_forward(series: Array) -> Array:
    """`series`, whose first value is known, with each gap filled by the value before it."""
    index = np.where(np.isfinite(series), np.arange(len(series)), 0)
    return np.asarray(series[np.maximum.accumulate(index)])
