"""Forecasts: what is known at an origin and nothing later, better than last year again, intervals that hold."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipeline.stages.trends.forecasting.calendar import MONTHS, WEEKS, calendar_of
from pipeline.stages.trends.forecasting.conformal import conformal_quantile, half_widths
from pipeline.stages.trends.forecasting.correction import corrected
from pipeline.stages.trends.forecasting.errors import covered, mase, pinball, seasonal_naive_error, smape
from pipeline.stages.trends.forecasting.forecast import Forecasts, forecast
from pipeline.stages.trends.forecasting.gaussian_process import posterior
from pipeline.stages.trends.forecasting.library_models import seasonal_naive
from pipeline.stages.trends.forecasting.origins import origins_of, starts_of
from pipeline.stages.trends.forecasting.preparation import LogScale, prepared

YEAR, COUNT = 12, 5


def monthly(count: int, months: int, seed: int = 0) -> NDArray[np.float64]:
    """Series with a yearly shape, a slow level and noise, (count, months)."""
    rng = np.random.default_rng(seed)
    time = np.arange(months)
    season = rng.uniform(0.2, 0.6, (count, 1)) * np.sin(2 * np.pi * (time / YEAR + rng.uniform(size=(count, 1))))
    level = np.cumsum(rng.normal(0, 0.03, (count, months)), axis=1)
    return np.exp(season + level + rng.normal(0, 0.15, (count, months)))


@pytest.fixture(scope="module")
def past() -> NDArray[np.float64]:
    return monthly(COUNT, 72)[:, :60]


@pytest.fixture(scope="module")
def found(past: NDArray[np.float64]) -> Forecasts:
    return forecast(past, YEAR, MONTHS)


def test_forecasts_are_better_than_last_year_again(past: NDArray[np.float64], found: Forecasts) -> None:
    truth, unit = monthly(COUNT, 72)[:, 60:], seasonal_naive_error(past, YEAR)
    naive = mase(truth, seasonal_naive(past, YEAR, YEAR), unit).mean()
    assert mase(truth, found.median, unit).mean() < 0.95 * naive


def test_80_percent_intervals_cover_most_of_what_comes_and_not_all(found: Forecasts) -> None:
    low, high = found.intervals[0.8]
    assert 0.6 < covered(monthly(COUNT, 72)[:, 60:], low, high).mean() < 0.97
    assert np.all(found.intervals[0.95][0] <= low)
    assert np.all(low <= found.median)
    assert np.all(found.median <= high)


def test_a_series_without_a_value_after_its_first_origin_is_forecast_uncorrected() -> None:
    values = monthly(1, 30)
    values[:, 24:] = np.nan
    origins = origins_of(values, starts_of(values, MONTHS), 6, MONTHS, None)
    assert [origin.step for origin in origins] == [24, 27, 30]
    found = corrected(origins, values, origins[-1], np.random.default_rng(0))
    np.testing.assert_array_equal(found, origins[-1].given.mean)


def test_backtests_do_not_change_when_what_comes_after_their_origin_does(past: NDArray[np.float64], found: Forecasts) -> None:
    changed = past.copy()
    changed[:, 48:] = changed[:, 48:][:, ::-1] * 7
    again = forecast(changed, YEAR, MONTHS)
    first, other = found.backtests[0], again.backtests[0]
    assert first.step == other.step == 48
    for model, ahead in first.forecasts.items():
        np.testing.assert_array_equal(ahead, other.forecasts[model], err_msg=model)


def test_a_signal_that_is_the_future_itself_helps_no_backtest(past: NDArray[np.float64], found: Forecasts) -> None:
    future = np.concatenate([np.zeros((COUNT, 48)), np.log(past[:, 48:])], axis=1)
    leaking = forecast(past, YEAR, MONTHS, signals=future[:, :, None])
    unit = seasonal_naive_error(past[:, :48], YEAR)
    honest, planted = (
        mase(one.backtests[0].truth, one.backtests[0].forecasts["combined"], unit).mean() for one in (found, leaking)
    )
    assert planted > 0.95 * honest


@pytest.mark.slow
def test_a_signal_that_leads_by_months_helps() -> None:
    rng = np.random.default_rng(1)
    lead = np.repeat(rng.normal(size=16), 6)  # every half-year another level
    values = np.exp(0.8 * np.roll(lead, 6)[None, :90] + rng.normal(0, 0.1, (6, 90)))
    signals = np.broadcast_to(lead[:90], (6, 90))[:, :, None].copy()
    without, known = (forecast(values[:, :84], 6, MONTHS, signals=given) for given in (None, signals[:, :84]))
    truth, unit = values[:, 84:], seasonal_naive_error(values[:, :84], YEAR)
    assert mase(truth, known.median, unit).mean() < mase(truth, without.median, unit).mean()


def test_constant_and_zero_series_stay_what_they_are() -> None:
    values = np.stack([np.full(30, 3.0), np.zeros(30), monthly(1, 30)[0]])
    found = forecast(values, YEAR, MONTHS)
    np.testing.assert_allclose(found.median[0], 3.0, rtol=1e-3)
    np.testing.assert_allclose(found.median[1], 0.0, atol=1e-3)
    assert np.isfinite(found.median).all()


def test_a_gap_is_bridged_and_a_series_without_a_value_says_so() -> None:
    values = monthly(3, 30)
    values[0, 20:26] = np.nan
    values[2] = np.nan
    found = forecast(values, YEAR, MONTHS)
    assert np.isfinite(found.median[:2]).all()
    assert np.isnan(found.median[2]).all()
    assert found.notes[2] == "No value is known."


@pytest.mark.parametrize(("months", "expected"), [(1, "the last value"), (20, "last year again")])
def test_a_short_series_gets_the_naive_forecast_and_a_sentence(months: int, expected: str) -> None:
    values = monthly(2, 30)
    values[0, :-months] = np.nan
    found = forecast(values, YEAR, MONTHS)
    assert expected in found.notes[0]
    assert found.weights["naive"].tolist() == [1.0, 0.0]
    assert np.isfinite(found.median).all()
    assert np.all(found.intervals[0.8][0][0] <= found.median[0])


def test_two_seasons_alone_get_a_model_whose_intervals_are_called_untested() -> None:
    found = forecast(monthly(2, 26), YEAR, MONTHS)
    assert found.notes == ["Less than three years: the intervals are the model's own, untested."] * 2


def test_a_gaussian_process_continues_a_season_and_widens_with_the_horizon() -> None:
    time = np.arange(96)
    wave = np.sin(2 * np.pi * time / YEAR)[None]
    found = posterior(wave[:, :72] + np.random.default_rng(0).normal(0, 0.05, (1, 72)), 24, float(YEAR))
    np.testing.assert_allclose(found.mean[0], wave[0, 72:], atol=0.15)
    assert found.deviation[0, -1] > found.deviation[0, 0]


def test_preparation_fills_gaps_and_bounds_an_outlier() -> None:
    logs = np.log(monthly(1, 60))
    spoilt = logs.copy()
    spoilt[0, 30] += 2
    spoilt[0, 10:13] = np.nan
    found = prepared(spoilt, float(YEAR))
    assert abs(found[0, 30] - logs[0, 30]) < 1.3 < spoilt[0, 30] - logs[0, 30]
    np.testing.assert_allclose(found[0, 10:13], logs[0, 10:13], atol=0.6)


def test_the_logarithmic_scale_goes_there_and_back() -> None:
    values = np.array([[0.0, 0.5, 2.0, 8.0]])
    scale = LogScale.of(values)
    np.testing.assert_allclose(scale.back(scale.to(values)), values, atol=1e-12)


def test_conformal_quantile_is_the_rank_that_a_new_score_stays_below() -> None:
    scores = np.arange(1.0, 10.0)  # nine
    assert conformal_quantile(scores, 0.8) == 8.0
    assert conformal_quantile(scores, 0.95) == np.inf


def test_half_widths_are_larger_where_past_forecasts_erred_more() -> None:
    scores = np.random.default_rng(0).exponential(np.linspace(1, 3, 12), (200, 12))
    found = half_widths(scores, 0.8)
    assert found[-1] > 1.5 * found[0]


def test_errors_match_their_definitions() -> None:
    truth, ahead = np.array([[2.0, 4.0, np.nan]]), np.array([[1.0, 6.0, 9.0]])
    unit = seasonal_naive_error(np.array([[1.0, 2.0, 3.0, 5.0]]), 2)  # differences 2 and 3
    assert unit.tolist() == [2.5]
    assert mase(truth, ahead, unit)[0] == pytest.approx(1.5 / 2.5)
    assert smape(truth, ahead)[0] == pytest.approx((200 / 3 + 200 * 2 / 10) / 2)
    assert pinball(truth, ahead, 0.9, unit)[0] == pytest.approx((0.9 * 1 + 0.1 * 2) / 2 / 2.5)
    assert np.isnan(seasonal_naive_error(np.ones((1, 6)), 2))[0]


def test_weeks_and_months_are_recognised_by_their_distance() -> None:
    assert calendar_of(pd.date_range("2024-01-07", periods=9, freq="7D")) is WEEKS
    assert calendar_of(pd.date_range("2024-01-31", periods=9, freq="ME")) is MONTHS
