"""CSV files of series: what they may look like, and one line on what they may not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.__main__ import main
from pipeline.errors import InputError
from pipeline.stages.trends.forecasting.calendar import MONTHS
from pipeline.stages.trends.series_file import forecast_file, read_series, read_signals
from tests.stages.trends.forecasting.test_forecast import monthly


def write_monthly(path: Path, count: int = 3, months: int = 30) -> None:
    dates = pd.date_range("2021-01-01", periods=months, freq="MS", name="date")
    pd.DataFrame(monthly(count, months).T, index=dates, columns=[f"s{n}" for n in range(count)]).to_csv(path)


def test_the_command_writes_a_row_for_each_series_and_step(tmp_path: Path) -> None:
    write_monthly(tmp_path / "series.csv")
    paths = ["--series", str(tmp_path / "series.csv"), "--out", str(tmp_path / "forecast.csv")]
    assert main(["trends", *paths, "--horizon", "12"]) == 0
    found = pd.read_csv(tmp_path / "forecast.csv")
    assert list(found.columns) == ["date", "series", "forecast", "low_80", "high_80", "low_95", "high_95", "note"]
    assert (
        found.groupby("series")["date"].agg(["first", "last", "size"]).to_numpy().tolist()
        == [["2023-07-01", "2024-06-01", 12]] * 3
    )
    assert (found["low_80"] <= found["forecast"]).all()


def test_many_series_are_forecast_in_batches_each_as_if_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_monthly(tmp_path / "all.csv", count=4, months=40)
    monkeypatch.setattr("pipeline.stages.trends.series_file.BATCH_SERIES", 2)
    forecast_file(tmp_path / "all.csv", None, 12, tmp_path / "batched.csv")
    pd.read_csv(tmp_path / "all.csv")[["date", "s2", "s3"]].to_csv(tmp_path / "last.csv", index=False)
    forecast_file(tmp_path / "last.csv", None, 12, tmp_path / "alone.csv")
    batched, alone = pd.read_csv(tmp_path / "batched.csv"), pd.read_csv(tmp_path / "alone.csv")
    assert batched["series"].drop_duplicates().tolist() == ["s0", "s1", "s2", "s3"]
    pd.testing.assert_frame_equal(batched[24:].reset_index(drop=True), alone)


@pytest.mark.parametrize(
    "column",
    [["3"] * 30, ["0"] * 30, ["0"] * 29 + ["7"], ["5", *[""] * 29]],
    ids=["constant", "zero", "zero but once", "one value"],
)
def test_series_that_hardly_say_anything_have_finite_forecasts(tmp_path: Path, column: list[str]) -> None:
    dates = pd.date_range("2021-01-01", periods=30, freq="MS").strftime("%Y-%m-%d")
    pd.DataFrame({"date": dates, "a": column}).to_csv(tmp_path / "series.csv", index=False)
    forecast_file(tmp_path / "series.csv", None, 12, tmp_path / "forecast.csv")
    found = pd.read_csv(tmp_path / "forecast.csv")
    assert np.isfinite(found[["forecast", "low_80", "high_80", "low_95", "high_95"]]).all(axis=None)
    assert (found["low_95"] >= 0).all()


def test_rows_in_any_order_times_with_zones_and_missing_weeks_are_placed(tmp_path: Path) -> None:
    path = tmp_path / "series.csv"
    path.write_text("date;a\n2024-01-29T00:00:00+02:00;4\n2024-01-01;1\n2024-01-08;2\n2024-01-22;\n2024-02-05;5\n")
    found = read_series(path)
    np.testing.assert_array_equal(found.values, [[1, 2, np.nan, np.nan, 4, 5]])
    assert str(found.dates[-1].date()) == "2024-02-05"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("date\n2024-01-01\n", "needs a header, a first column of dates and a column a series"),
        ("", "not a CSV file"),
        ("date,a\n2024-01-01,1\n03/04/2024,2\n", "row 3: '03/04/2024' is not a date; write it as 2026-03-30"),
        ("date,a\n2024-01-01,1\n2024-01-01,2\n", "2024-01-01 is there twice"),
        ("date,a\n2024-01-01,1\n2024-01-08,many\n", "column a, row 3: 'many' is not a number"),
        ("date,a\n2024-01-01,1\n2024-01-08,-2\n", "column a, row 3: -2 is negative"),
        ("date,a\n2024-01-01,1\n2024-01-02,2\n", "its dates are 1 days apart; give a row a week or a row a month"),
    ],
)
def test_a_file_that_is_no_table_of_series_is_refused_in_one_line(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "series.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=r"series\.csv: ") as error:
        read_series(path)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_an_impossible_horizon_and_no_output_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: cannot be read"):
        read_series(tmp_path / "none.csv")
    write_monthly(tmp_path / "series.csv")
    with pytest.raises(InputError, match="--horizon 99: must be 1 to 36 months"):
        forecast_file(tmp_path / "series.csv", None, 99, tmp_path / "out.csv")
    assert main(["trends", "--series", str(tmp_path / "series.csv")]) == 1


def test_a_signal_is_standardised_by_its_past_and_goes_to_the_series_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "signals.csv"
    path.write_text("date,all,a\n2024-01-01,1,5\n2024-02-01,3,5\n2024-03-01,1000,6\n")
    dates = pd.date_range("2024-01-15", periods=3, freq="MS")  # February to April
    found = read_signals(path, dates, MONTHS, ["a", "b"])
    assert found is not None
    assert found.shape == (2, 3, 2)
    assert np.all(found[1, :, 1] == 0)
    path.write_text("date,all\n2024-01-01,1\n2024-02-01,3\n2024-03-01,-1000\n".replace("-1000", "7"))
    other = read_signals(path, dates, MONTHS, ["a", "b"])
    assert other is not None
    np.testing.assert_array_equal(found[0, :1, 0], other[0, :1, 0])


def test_a_gap_in_a_signal_holds_the_value_before(tmp_path: Path) -> None:
    path = tmp_path / "signals.csv"
    dates = pd.date_range("2024-01-01", periods=4, freq="MS")
    found = []
    for third in ("", "3"):
        path.write_text(f"date,all\n2024-01-01,1\n2024-02-01,3\n2024-03-01,{third}\n2024-04-01,8\n")
        signals = read_signals(path, dates, MONTHS, ["a"])
        assert signals is not None
        found.append(signals.ravel().tolist())
    assert found[0] == found[1]


def test_a_signals_file_with_a_header_alone_holds_none(tmp_path: Path) -> None:
    path = tmp_path / "signals.csv"
    path.write_text("date\n")
    assert read_signals(path, pd.date_range("2024-01-01", periods=3, freq="MS"), MONTHS, ["a"]) is None
