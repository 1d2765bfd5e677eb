"""Forecasts of many series at once: models compete at past origins, and a series gets their weighted mean with intervals."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pipeline.stages.trends.forecasting import library_models
from pipeline.stages.trends.forecasting.calendar import Calendar
from pipeline.stages.trends.forecasting.choice import chosen_weights
from pipeline.stages.trends.forecasting.conformal import COVERAGES, half_widths
from pipeline.stages.trends.forecasting.correction import Origin, corrected
from pipeline.stages.trends.forecasting.naive import naive_forecasts
from pipeline.stages.trends.forecasting.origins import origins_of, starts_of, test_steps
from pipeline.stages.trends.forecasting.preparation import LogScale

COMBINED = "combined"
NORMAL_QUANTILES = {0.8: 1.2816, 0.95: 1.96}
MAX_LIBRARY_SERIES = 1000  # above it, the models of statsmodels would take more than half an hour

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Backtest:
    """Forecasts that every model made from one past origin, and what came."""

    step: int
    rows: NDArray[np.intp]
    scale: LogScale
    logs: dict[str, Array]  # by model, (N, horizon), on the logarithmic scale
    deviation: Array  # of the Gaussian process, on the logarithmic scale
    truth: Array  # NaN after the end of the series
    weights: Array  # (N, models), chosen from what came before

    @property
    def forecasts(self) -> dict[str, Array]:
        """By model, and `combined`, on the scale of the values."""
        return {name: self.scale.back(logs) for name, logs in [*self.logs.items(), (COMBINED, self.combined)]}

    @property
    def combined(self) -> Array:
        """The weighted mean of the models, on the logarithmic scale."""
        return combination(self.logs, self.weights)

    @property
    def scores(self) -> Array:
        """Errors of the combination in units of the Gaussian process' deviation, (N, horizon), NaN where unknown."""
        return np.abs(self.scale.to(self.truth) - self.combined) / self.deviation


@dataclass(frozen=True)
class Forecasts:
    """Forecasts of N series, with what led to them."""

    median: Array  # (N, horizon)
    intervals: dict[float, tuple[Array, Array]]  # by coverage: low and high
    deviation: Array  # (N, horizon), of the Gaussian process' logarithms; NaN without one
    weights: dict[str, Array]  # by model, (N,)
    notes: list[str]  # a sentence on each series, or ""
    backtests: list[Backtest]


def combination(logs: dict[str, Array], weights: Array) -> Array:
    """The mean of `logs` by model, (N, horizon), with `weights` (N, models)."""
    return np.asarray(sum(weights[:, [number]] * ahead for number, ahead in enumerate(logs.values())))


def _of_library(origin: Origin, calendar: Calendar) -> dict[str, Array]:
    found = {name: np.empty_like(origin.given.mean) for name in library_models.MODELS}
    begins = np.isnan(origin.values).sum(axis=1)
    for start in np.unique(begins):
        batch = np.flatnonzero(begins == start)
        for name, model in library_models.MODELS.items():
            found[name][batch] = model(origin.values[batch, start:], origin.given.mean.shape[1], calendar.season)
    return found


def _candidates(
    origin: Origin, origins: list[Origin], values: Array, calendar: Calendar, *, seed: int, library: bool
) -> dict[str, Array]:
    """The forecasts at `origin` of every model, on the logarithmic scale; reads `values` before it only."""
    naive = library_models.seasonal_naive(origin.values, origin.given.mean.shape[1], calendar.season)
    found = {"seasonal naive": naive, "gaussian process": origin.given.mean}
    if any(one.step < origin.step for one in origins):
        found["corrected"] = corrected(origins, values, origin, np.random.default_rng([seed, origin.step]))
    if library:
        found |= _of_library(origin, calendar)
    return found


def _truth(values: Array, origin: Origin) -> Array:
    found = np.full_like(origin.given.mean, np.nan)
    known = values[origin.rows, origin.step : origin.step + found.shape[1]]
    found[:, : known.shape[1]] = known
    return found


def backtests_of(values: Array, origins: list[Origin], calendar: Calendar, *, seed: int, library: bool) -> list[Backtest]:
    """The forecasts that would have been made at the test origins, in their order."""
    steps = test_steps(values.shape[1], calendar)
    found: list[Backtest] = []
    for origin in origins:
        if origin.step in steps:
            logs = _candidates(origin, origins, values, calendar, seed=seed, library=library)
            weights = chosen_weights(found, list(logs), len(values), origin.step)[origin.rows]
            truth = _truth(values, origin)
            found.append(Backtest(origin.step, origin.rows, origin.scale, logs, origin.given.deviation, truth, weights))
    return found


def _factors(backtests: list[Backtest], horizon: int) -> dict[float, Array]:
    """By coverage, how many deviations an interval reaches from the median, (horizon,)."""
    scores = np.concatenate([test.scores for test in backtests]) if backtests else np.empty((0, horizon))
    found = {}
    for coverage in COVERAGES:
        reach = half_widths(scores, coverage)
        found[coverage] = np.where(np.isfinite(reach), reach, NORMAL_QUANTILES[coverage])
    return found


@threadpool_limits.wrap(limits=1)  # matrices of 200 rows: more threads wait for each other, and round differently
def forecast(
    values: Array,
    horizon: int,
    calendar: Calendar,
    *,
    signals: Array | None = None,
    seed: int = 0,
    library: bool | None = None,
) -> Forecasts:
    """Forecasts of the `horizon` steps after `values` (N, T): not negative, NaN where unknown.

    `signals` (N, T, S), standardised and without gaps, are what else is known of each series; only their past is read. The
    models of statsmodels compete if `library`, or by default up to MAX_LIBRARY_SERIES.
    """
    library = len(values) <= MAX_LIBRARY_SERIES if library is None else library
    count, length = values.shape
    short = naive_forecasts(values, horizon, calendar)
    origins = origins_of(values, starts_of(values, calendar), horizon, calendar, signals)
    if not origins or origins[-1].step != length:
        unknown = np.full_like(short.median, np.nan)
        return Forecasts(short.median, short.intervals, unknown, {"naive": np.ones(count)}, short.notes, [])
    last = origins.pop()
    backtests = backtests_of(values, origins, calendar, seed=seed, library=library)
    logs = _candidates(last, origins, values, calendar, seed=seed, library=library)
    weights = chosen_weights(backtests, list(logs), count, length)[last.rows]
    centre = combination(logs, weights)
    short.median[last.rows] = last.scale.back(centre)
    for coverage, factor in _factors(backtests, horizon).items():
        for bound, sign in zip(short.intervals[coverage], (-1, 1), strict=True):
            bound[last.rows] = last.scale.back(centre + sign * factor * last.given.deviation)
    chosen = {name: np.zeros(count) for name in ("naive", *logs)}
    chosen["naive"][:] = 1
    chosen["naive"][last.rows] = 0
    for number, name in enumerate(logs):
        chosen[name][last.rows] = weights[:, number]
    notes = list(short.notes)
    for row in last.rows:
        notes[row] = "" if backtests else "Less than three years: the intervals are the model's own, untested."
    deviation = np.full_like(short.median, np.nan)
    deviation[last.rows] = last.given.deviation
    return Forecasts(short.median, short.intervals, deviation, chosen, notes, backtests)
