"""Shares of what was published, by week or month, adjusted for which sites were crawled when."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.stages.trends.forecasting.calendar import MONTHS, WEEKS, Calendar
from pipeline.stages.trends.observations import DIMENSIONS

WEEKLY_PICTURES = 20  # in the median of the weeks, at least
ITERATIONS = 50
WILSON_Z = 1.96

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ShareSeries:
    """How often a value was published, by step."""

    dimension: str
    value: str
    category: str | None  # that it is a share of, if not of all pictures
    count: NDArray[np.int64]  # (T,)
    pictures: NDArray[np.int64]  # (T,), that it is a share of
    share: Array  # (T,), adjusted; NaN where there are no pictures
    low: Array  # of the 95 % interval
    high: Array

    @property
    def name(self) -> str:
        """`dress`, `colour red`, `dress: colour red`."""
        own = self.value if self.dimension == "category" else f"{self.dimension} {self.value}"
        return f"{self.category}: {own}" if self.category is not None else own


def wilson_interval(share: Array, count: Array, z: float = WILSON_Z) -> tuple[Array, Array]:
    """The interval of a `share` of `count` pictures (Wilson 1927); NaN where `count` is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
        reach = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    # Rounding must not push an end past the share itself.
    return np.minimum(np.maximum(centre - reach, 0), share), np.maximum(np.minimum(centre + reach, 1), share)


def adjusted_share(counts: Array, pictures: Array) -> Array:
    """The share by step (T,) that a constant mix of sites would show, from `counts` of `pictures` by site and step (S, T).

    Expected counts are pictures · (share of the site) · (factor of the step), fitted by turns, as in indirect standardisation
    (Breslow and Day 1987, chapter 2): a site with other habits that is crawled for part of the time changes nothing. NaN at
    steps without pictures.
    """
    of_site = pictures.sum(axis=1)
    habit = counts.sum(axis=1) / np.maximum(of_site, 1)
    factor = np.ones(pictures.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(ITERATIONS):
            factor = np.nan_to_num(counts.sum(axis=0) / (habit @ pictures))
            expected = pictures @ factor
            habit = np.where(expected > 0, counts.sum(axis=1) / expected, 0)
    overall = float((habit * of_site).sum() / max(of_site.sum(), 1))
    return np.where(pictures.sum(axis=0) > 0, np.minimum(factor * overall, 1), np.nan)


def chosen_calendar(days: pd.Series, by: str) -> Calendar:
    """Weeks or months: as asked, or weeks where they hold enough pictures."""
    if by != "auto":
        return WEEKS if by == "week" else MONTHS
    weekly = days.dt.to_period("W-SUN").value_counts()
    return WEEKS if len(weekly) and weekly.median() >= WEEKLY_PICTURES else MONTHS


def whole_steps(days: pd.Series, calendar: Calendar) -> pd.DatetimeIndex:
    """The first days of all steps from the first to the last of `days`; the last one only if pictures came until its end."""
    period = "W-SUN" if calendar is WEEKS else "M"
    first, last = days.min().to_period(period), days.max().to_period(period)
    whole = last if (last.end_time - days.max()).days <= (1 if calendar is WEEKS else 3) or last == first else last - 1
    return pd.DatetimeIndex([step.start_time for step in pd.period_range(first, whole, freq=period)])


def steps_of(days: pd.Series, dates: pd.DatetimeIndex, calendar: Calendar) -> NDArray[np.intp]:
    """The step of each of `days` among `dates`, the first days of the steps; -1 before the first and behind the last."""
    ends = calendar.dates(dates[0], len(dates) + 1)
    steps = np.searchsorted(ends, days.to_numpy(), side="right") - 1
    return np.asarray(np.where(steps < len(dates), steps, -1))


def _by_site_and_step(rows: pd.DataFrame, sites: list[str], steps: int) -> Array:
    table = np.zeros((len(sites), steps))
    np.add.at(table, (pd.Categorical(rows["site"], sites).codes, rows["step"].to_numpy()), 1)
    return table


def _categories(rows: pd.DataFrame) -> list[tuple[str | None, pd.DataFrame]]:
    """The rows of each category; none if there is only one, whose shares are those of all."""
    return [(str(name), scope) for name, scope in rows.groupby("category")] if rows["category"].nunique() > 1 else []


def share_series(
    observations: pd.DataFrame, dates: pd.DatetimeIndex, calendar: Calendar, *, min_pictures: int, max_series: int
) -> list[ShareSeries]:
    """The series of each dimension, and of each within a category, with at least `min_pictures`; the most frequent first."""
    steps = steps_of(observations["day"], dates, calendar)
    inside = observations.assign(step=steps)[steps >= 0]
    sites = sorted(inside["site"].unique())
    found = []
    for category, scope in [(None, inside), *_categories(inside)]:
        for dimension in DIMENSIONS if category is None else DIMENSIONS[1:]:
            known = scope[scope[dimension].notna()]
            pictures = _by_site_and_step(known, sites, len(dates))
            for value, rows in known.groupby(dimension):
                if len(rows) < min_pictures or len(rows) == len(known):
                    continue
                counts = _by_site_and_step(rows, sites, len(dates))
                share = adjusted_share(counts, pictures)
                total = pictures.sum(axis=0)
                low, high = wilson_interval(share, total)
                number = counts.sum(axis=0).astype(np.int64)
                found.append(ShareSeries(dimension, str(value), category, number, total.astype(np.int64), share, low, high))
    found.sort(key=lambda series: (-int(series.count.sum()), series.name))
    return found[:max_series]
