"""Rolling origins: what was known at steps of the past, and the Gaussian process' forecast from there."""

import numpy as np
from numpy.typing import NDArray

from pipeline.stages.trends.forecasting.calendar import Calendar
from pipeline.stages.trends.forecasting.correction import Origin, features_at
from pipeline.stages.trends.forecasting.gaussian_process import Posterior, posterior
from pipeline.stages.trends.forecasting.preparation import LogScale, prepared

LEAST_SEASONS = 2  # of a series before an origin
LEARNING_PER_SEASON = 4  # origins from which the correction learns
TESTS_PER_SEASON = 4  # origins of the last season at which models compete

Array = NDArray[np.float64]


def starts_of(values: Array, calendar: Calendar) -> NDArray[np.intp]:
    """The first step of each series that is used: they begin at quarters of a season, so that many share covariances."""
    known = np.isfinite(values)
    length = values.shape[1] - np.where(known.any(axis=1), known.argmax(axis=1), values.shape[1])
    quarter = calendar.season // 4
    long = length >= LEAST_SEASONS * calendar.season + quarter
    cut = np.where(long & (length < values.shape[1]), length // quarter * quarter, length)
    return np.asarray(values.shape[1] - cut, dtype=np.intp)


def test_steps(length: int, calendar: Calendar) -> list[int]:
    """The origins, ascending, at which models compete: quarters of the last season."""
    steps = [length - calendar.season * part // TESTS_PER_SEASON for part in range(TESTS_PER_SEASON, 0, -1)]
    return [step for step in steps if step >= LEAST_SEASONS * calendar.season]


def origin_at(
    values: Array, starts: NDArray[np.intp], step: int, horizon: int, calendar: Calendar, signals: Array | None
) -> Origin | None:
    """What is known at `step` of every series with two seasons before it; None if there is none.

    Reads `values` (N, T) and `signals` (N, T, S) before `step` only.
    """
    least = LEAST_SEASONS * calendar.season
    known = np.isfinite(values[:, max(0, step - least) : step]).mean(axis=1) > 0.5
    rows = np.flatnonzero((step - starts >= least) & known)
    if not len(rows):
        return None
    scale = LogScale.of(values[rows, :step])
    logs = scale.to(values[rows, :step])
    filled = np.full_like(logs, np.nan)
    mean, deviation = np.empty((len(rows), horizon)), np.empty((len(rows), horizon))
    for start in np.unique(starts[rows]):
        batch = np.flatnonzero(starts[rows] == start)
        filled[batch, start:] = prepared(logs[batch, start:], calendar.year)
        found = posterior(filled[batch, start:], horizon, calendar.year)
        mean[batch], deviation[batch] = found.mean, found.deviation
    given = Posterior(mean, deviation)
    seen = None if signals is None else signals[rows, step - least : step]
    features, unit = features_at(filled[:, -least:], given, calendar.season, seen)
    return Origin(step, rows, scale, filled, given, features, unit)


def origins_of(
    values: Array, starts: NDArray[np.intp], horizon: int, calendar: Calendar, signals: Array | None
) -> list[Origin]:
    """The origins, ascending, to learn from and to test at; the last is the end of the series, if any is long enough."""
    length, least = values.shape[1], LEAST_SEASONS * calendar.season
    stride = max(1, round(calendar.season / LEARNING_PER_SEASON))
    steps = sorted({*range(length, least - 1, -stride), *test_steps(length, calendar)})
    found = (origin_at(values, starts, step, horizon, calendar, signals) for step in steps)
    return [origin for origin in found if origin is not None]
