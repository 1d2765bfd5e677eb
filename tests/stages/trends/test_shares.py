"""Shares of what was published: intervals, missing weeks, and sites that come and go."""

import numpy as np
import pandas as pd
import pytest

from pipeline.stages.trends.forecasting.calendar import MONTHS, WEEKS
from pipeline.stages.trends.observations import DIMENSIONS
from pipeline.stages.trends.shares import adjusted_share, chosen_calendar, share_series, whole_steps, wilson_interval


def test_wilson_interval_matches_a_published_value() -> None:
    low, high = wilson_interval(np.array([0.1]), np.array([20.0]))
    assert (low[0], high[0]) == (pytest.approx(0.0279, abs=1e-4), pytest.approx(0.3010, abs=1e-4))
    assert np.isnan(wilson_interval(np.array([np.nan]), np.array([0.0]))[0][0])


def test_a_site_that_begins_in_mid_series_is_no_trend() -> None:
    pictures = np.array([[100.0] * 10, [0.0] * 5 + [300.0] * 5])
    counts = pictures * np.array([[0.1], [0.7]])  # the second site always shows more of it
    raw = counts.sum(axis=0) / pictures.sum(axis=0)
    assert raw[-1] > 5 * raw[0]
    found = adjusted_share(counts, pictures)
    np.testing.assert_allclose(found, found[0], rtol=1e-6)


def test_a_rise_at_every_site_stays_when_another_site_begins() -> None:
    pictures = np.array([[100.0] * 10, [0.0] * 5 + [300.0] * 5])
    rise = np.linspace(1, 2, 10)
    found = adjusted_share(pictures * np.array([[0.1], [0.3]]) * rise, pictures)
    np.testing.assert_allclose(found / found[0], rise, rtol=1e-3)


def test_one_site_gives_its_plain_shares_and_weeks_without_pictures_are_missing() -> None:
    found = adjusted_share(np.array([[1.0, 0.0, 3.0]]), np.array([[10.0, 0.0, 10.0]]))
    np.testing.assert_allclose(found, [0.1, np.nan, 0.3])


def observed(days: pd.DatetimeIndex, colours: list[str]) -> pd.DataFrame:
    unknown = dict.fromkeys(name for name in DIMENSIONS if name not in ("category", "colour"))
    return pd.DataFrame({"day": days, "colour": colours, "sha256": "x", "site": "a", "category": "dress"}).assign(**unknown)


def test_series_count_each_step_and_are_named_by_what_they_follow() -> None:
    days = pd.DatetimeIndex(["2024-01-01", "2024-01-03", "2024-01-15", "2024-01-21", "2024-01-22"])
    observations = observed(days, ["red", "blue", "red", "red", "red"])  # the last one in a week that has hardly begun
    dates = whole_steps(observations["day"], WEEKS)
    found = {one.name: one for one in share_series(observations, dates, WEEKS, min_pictures=1, max_series=9)}
    assert set(found) == {"colour red", "colour blue"}  # of one category, within it they are the same
    assert found["colour red"].count.tolist() == [1, 0, 2]
    assert found["colour red"].pictures.tolist() == [2, 0, 2]
    np.testing.assert_allclose(found["colour red"].share, [0.5, np.nan, 1.0])


def test_a_last_week_that_has_hardly_begun_is_left_out() -> None:
    days = pd.Series(pd.DatetimeIndex(["2024-01-01", "2024-01-14", "2024-01-16"]))  # the last one is a Tuesday
    assert [str(date.date()) for date in whole_steps(days, WEEKS)] == ["2024-01-01", "2024-01-08"]


def test_weeks_are_chosen_where_they_hold_twenty_pictures() -> None:
    many = pd.Series(pd.DatetimeIndex(np.repeat(pd.date_range("2024-01-01", periods=4, freq="7D"), 20)))
    assert chosen_calendar(many, "auto") is WEEKS
    assert chosen_calendar(many.iloc[::2], "auto") is MONTHS
    assert chosen_calendar(many, "month") is MONTHS
