"""What rises and what falls: the forecast of the coming half-year beside the same steps of the year before."""

from dataclasses import dataclass

import numpy as np

from pipeline.stages.trends.forecasting.calendar import Calendar
from pipeline.stages.trends.forecasting.conformal import conformal_quantile
from pipeline.stages.trends.forecasting.forecast import COMBINED, Forecasts
from pipeline.stages.trends.shares import ShareSeries

COVERAGE = 0.8
RISES, FALLS, UNCLEAR = "rises", "falls", "unclear"


@dataclass(frozen=True)
class Outlook:
    """A series, where it goes, and how sure that is."""

    series: ShareSeries
    row: int  # of the forecasts
    direction: str  # RISES or FALLS if the whole 80 % interval lies on that side of the year before
    change: float  # of the mean share, relative to the year before; NaN without one
    low: float  # of the 80 % interval of the change
    high: float
    note: str


def mean_factor(forecasts: Forecasts, steps: int) -> float:
    """How many deviations the mean of `steps` forecasts may miss by, with 80 % certainty: conformal, from past origins.

    Means err less than single weeks, but not as little as independent errors would. Infinite where there is too little past.
    """
    scores = []
    for test in forecasts.backtests:
        truth, expected = test.truth[:, :steps].mean(axis=1), test.forecasts[COMBINED][:, :steps].mean(axis=1)
        known = np.isfinite(truth) & (truth > 0) & (expected > 0)
        missed = np.abs(np.log(truth[known] / expected[known]))
        scores.append(missed / test.deviation[known, :steps].mean(axis=1))
    return conformal_quantile(np.concatenate(scores), COVERAGE) if scores else float("inf")


def _interval(forecasts: Forecasts, row: int, steps: int, factor: float) -> tuple[float, float]:
    """The interval of the mean of the first `steps`: by `factor`, or the mean of the steps' own intervals, which is wider."""
    reach = factor * float(forecasts.deviation[row, :steps].mean())
    if np.isfinite(reach):
        middle = float(forecasts.median[row, :steps].mean())
        return middle * np.exp(-reach), middle * np.exp(reach)
    low, high = forecasts.intervals[COVERAGE]
    return float(low[row, :steps].mean()), float(high[row, :steps].mean())


def outlook_of(series: ShareSeries, row: int, forecasts: Forecasts, calendar: Calendar, factor: float) -> Outlook:
    """The outlook of `series`, whose forecast is in `row`; `factor` is `mean_factor` of the half-year."""
    steps = half_year(forecasts, calendar)
    before = series.share[-calendar.season :][:steps] if len(series.share) >= calendar.season else np.full(1, np.nan)
    before = before[np.isfinite(before)]
    base = float(before.mean()) if len(before) >= steps / 2 else float("nan")
    if not base > 0:
        return Outlook(series, row, UNCLEAR, float("nan"), float("nan"), float("nan"), forecasts.notes[row])
    low, high = _interval(forecasts, row, steps, factor)
    direction = RISES if low > base else FALLS if high < base else UNCLEAR
    middle = float(forecasts.median[row, :steps].mean())
    return Outlook(series, row, direction, middle / base - 1, low / base - 1, high / base - 1, forecasts.notes[row])


def half_year(forecasts: Forecasts, calendar: Calendar) -> int:
    """The steps of a half-year, or of the whole forecast if it is shorter."""
    return min(forecasts.median.shape[1], calendar.season // 2)


def ranked(outlooks: list[Outlook]) -> list[Outlook]:
    """Sure rises first, sure falls next, then the rest; each by how large the change is."""
    order = {RISES: 0, FALLS: 1, UNCLEAR: 2}
    return sorted(outlooks, key=lambda one: (order[one.direction], -abs(np.nan_to_num(one.change)), one.series.name))
