"""The steps of a series, weeks or months, and the length of a year in them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import InputError


@dataclass(frozen=True)
class Calendar:
    """Steps of equal length."""

    unit: str  # of one step, in words
    season: int  # whole steps in a year
    year: float  # steps in a year

    def positions(self, dates: pd.DatetimeIndex) -> NDArray[np.intp]:
        """The step of each of `dates`, ascending, counted from the first: weeks begin on its day of the week."""
        if self.unit == "week":
            return np.asarray(np.round((dates - dates[0]).days / 7), dtype=np.intp)
        return np.asarray((dates.year - dates[0].year) * 12 + dates.month - dates[0].month, dtype=np.intp)

    def dates(self, first: pd.Timestamp, count: int) -> pd.DatetimeIndex:
        """`count` dates one step apart; months keep the day of `first`, or their last day if it is one."""
        if self.unit == "week":
            return pd.date_range(first, periods=count, freq="7D")
        if first.is_month_end:
            return pd.date_range(first, periods=count, freq="ME")
        return pd.DatetimeIndex([first + pd.DateOffset(months=step) for step in range(count)])


WEEKS = Calendar("week", 52, 365.25 / 7)
MONTHS = Calendar("month", 12, 12.0)


def calendar_of(dates: pd.DatetimeIndex) -> Calendar:
    """Weeks or months, by the median distance of `dates`, which ascend. Raises InputError when they are neither."""
    days = float(np.median(np.diff(dates.to_numpy()) / np.timedelta64(1, "D"))) if len(dates) > 1 else 7.0
    if 6 <= days <= 8:
        return WEEKS
    if 28 <= days <= 31:
        return MONTHS
    raise InputError(f"its dates are {days:g} days apart; give a row a week or a row a month")
