"""The stage on tables with planted trends, and on tables that say nothing."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.stages.trends.forecasting.model_parameters import PARAMETERS
from pipeline.stages.trends.observations import day_of, observations_of, price_bands, site_of, stray_dates
from pipeline.storage.tables import TRENDS, read_table
from pipeline.tracking.tracker import Tracker
from tests.stages.trends.published import Published, run_trends


def rising_red(months: int, *, seed: int = 0) -> Published:
    """Red rises from a twentieth to three fifths of what is published, month by month."""
    rng, published = np.random.default_rng(seed), Published()
    for month, first in enumerate(pd.date_range("2020-01-01", periods=months, freq="MS")):
        share = 0.05 * np.exp(2.5 * month / months)
        for number in range(120):
            pattern = "plain" if rng.uniform() < 0.7 else "striped"
            steady = {"garment_pattern": pattern, "price": float(rng.uniform(10, 90)), "currency": "EUR"}
            colour = "red" if rng.uniform() < share else ("blue" if number % 3 else "green")
            published.add(f"{first.date() + pd.Timedelta(days=number % 28)}", garment_colour=colour, **steady)
    return published


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trends")
    track = Tracker(folder / "spool.jsonl")
    run_trends(folder, rising_red(60), track=track, by="month", min_pictures=50)
    track.close("FINISHED")
    return folder


def test_a_planted_rise_is_found_and_the_other_colour_falls(outputs: Path) -> None:
    summary = json.loads((outputs / "trends.json").read_text())
    direction = {one["name"]: one["direction"] for one in summary["series"]}
    assert direction["colour red"] == "rises"
    assert direction["colour blue"] == "falls"
    assert direction["colour green"] != "rises"
    assert summary["coverage"]["dated"] == 7200
    assert summary["backtest_mase"]["combined"] < summary["backtest_mase"]["seasonal naive"]


def test_the_winning_model_is_recorded_with_its_parameters_and_every_model_with_its_error(outputs: Path) -> None:
    events = [json.loads(line) for line in (outputs / "spool.jsonl").read_text().splitlines()]
    [winner] = [event["params"]["winner"] for event in events if event["kind"] == "params"]
    metrics = {name: value for event in events if event["kind"] == "metrics" for name, value in event["metrics"].items()}
    weights = {name.removeprefix("weight_"): value for name, value in metrics.items() if name.startswith("weight_")}
    assert winner["model"].replace(" ", "_").replace("-", "_") == max(weights, key=weights.__getitem__)
    assert winner == {"model": winner["model"]} | PARAMETERS[winner["model"]]
    assert {name for name in metrics if name.startswith("mase_")} == {
        f"mase_{name}" for name in ("combined", "corrected", "gaussian_process", "seasonal_naive", "stl_ets", "theta")
    }


def test_a_length_that_rises_is_a_series(tmp_path: Path) -> None:
    published = Published()
    for number, day in enumerate(pd.date_range("2021-01-01", "2023-12-31", freq="D")):
        length = "long" if number % 3 == 0 else "short"
        published.add(str(day.date()), garment_length=length, garment_length_confidence=0.9, garment_sleeve="none")
    run_trends(tmp_path, published, by="month", min_pictures=50)
    names = {one["name"] for one in json.loads((tmp_path / "trends.json").read_text())["series"]}
    assert {"length long", "length short"} <= names
    assert not any(name.startswith("sleeve") for name in names), "of a confidence that is unknown"


@pytest.mark.parametrize(
    "days",
    [
        ["2024-01-01"] * 120,
        [f"2024-0{1 + number % 2}-10T23:30:00-05:00" for number in range(120)],
        ["2024-01-01", *["2099-01-01"] * 3, *["2024-03-05"] * 116],
        [
            ("2024-01-02", "02.01.2024", "2024/01/02", "Jan 2 2024", "20240102", "1704153600")[number % 6]
            for number in range(240)
        ],
    ],
    ids=["one day", "time zones", "dates in the future", "six formats"],
)
def test_dates_that_are_few_or_odd_give_a_result_or_a_sentence(tmp_path: Path, days: list[str]) -> None:
    published = Published()
    for number, day in enumerate(days):
        published.add(day, garment_colour="red" if number % 2 else "blue")
    run_trends(tmp_path, published, min_pictures=10)
    summary = json.loads((tmp_path / "trends.json").read_text())
    assert summary["series"] or summary["reason"]
    assert summary["coverage"]["sites"] == 1
    assert (summary["coverage"]["last"] or "") < "2025"
    assert all(one["note"] for one in summary["series"]), "a series too short for a model says so"


def test_the_table_holds_past_and_forecast_of_each_series(outputs: Path) -> None:
    rows = read_table(outputs / "trends.parquet", TRENDS)
    red = rows[rows["series"] == "colour red"]
    assert red["forecast"].sum() == 12
    assert red.loc[~red["forecast"], "pictures"].tolist() == [120] * 60
    assert (red["share"] <= 1).all()


def test_the_page_asks_for_nothing_from_outside_and_names_its_series(outputs: Path) -> None:
    page = (outputs / "trends.html").read_text()
    assert "colour red" in page
    assert "▲ rises" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_the_same_pictures_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "again"):
        (tmp_path / name).mkdir()
        run_trends(tmp_path / name, rising_red(25), by="month", min_pictures=50)
    for name in ("trends.parquet", "trends.json", "trends.html"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


@pytest.mark.parametrize(
    ("days", "expected"),
    [([], "None of 0 pictures"), ([None, "soon"], "None of 2 pictures"), (["2024-01-01"], "Only 1 of 1 pictures have a date")],
)
def test_without_dates_every_output_is_there_and_says_why(tmp_path: Path, days: list[str | None], expected: str) -> None:
    published = Published()
    for day in days:
        published.add(day)
    run_trends(tmp_path, published)
    assert len(read_table(tmp_path / "trends.parquet", TRENDS)) == 0
    assert json.loads((tmp_path / "trends.json").read_text())["reason"].startswith(expected)
    assert expected in (tmp_path / "trends.html").read_text()


def test_dates_are_days_in_utc_and_anything_else_is_none() -> None:
    assert str(day_of("2024-03-01T00:30:00+02:00")) == "2024-02-29 00:00:00"
    assert str(day_of("2024-03-01")) == "2024-03-01 00:00:00"
    assert day_of("03/04/2024") is None
    assert day_of(None) is None


def test_dates_long_after_all_others_or_after_until_are_stray() -> None:
    days = pd.Series(pd.DatetimeIndex([*pd.date_range("2024-01-01", periods=400, freq="D"), "2099-01-01", "1970-01-01"]))
    assert np.flatnonzero(stray_dates(days, None)).tolist() == [400, 401]
    assert stray_dates(days, "2024-01-10").sum() == 392


def test_duplicates_count_once_at_their_first_date() -> None:
    published = Published()
    published.add("2024-02-01", group="g")
    published.add("2024-01-01", group="g")
    for reason in ("not clothing", "irrelevant", "irrelevant by words", "by hand", "undecodable"):
        published.add("2024-01-05", reason=reason)
    rows, coverage = observations_of(published.frame(), until=None, styles=0, seed=0)
    assert [str(day.date()) for day in rows["day"]] == ["2024-01-01"]
    assert (coverage.pictures, coverage.dated) == (1, 1)


def test_a_group_is_stray_if_it_has_a_date_that_cannot_be_true_and_no_other() -> None:
    published = Published()
    published.add(None, group="undated and stray")
    published.add("1970-01-01", group="undated and stray")
    published.add("1970-01-01", group="stray and dated")
    published.add("2024-01-01", group="stray and dated")
    published.add("some day", group="no date")
    _, coverage = observations_of(published.frame(), until="2025-01-01", styles=0, seed=0)
    assert (coverage.pictures, coverage.dated, coverage.stray) == (3, 1, 1)


def test_the_page_counts_the_weeks_without_any_picture_not_those_of_a_series(tmp_path: Path) -> None:
    published = Published()
    for week, monday in enumerate(pd.date_range("2024-01-01", periods=10, freq="7D")):
        colours = ("red", "red", "blue") if week < 5 else (None, None)  # unknown in the second half
        for colour in colours if week != 7 else ():
            published.add(str((monday + pd.Timedelta(days=6)).date()), garment_colour=colour)
    run_trends(tmp_path, published, by="week", min_pictures=5)
    assert "1 weeks hold no dated picture" in (tmp_path / "trends.html").read_text()


def test_price_bands_are_thirds_of_each_group_and_sites_are_hosts() -> None:
    found = price_bands(pd.Series([1.0, 2.0, 3.0, 100.0, None]), pd.Series(["a", "a", "a", "b", "a"]))
    assert found.tolist() == ["low", "middle", "high", "high", None]
    assert site_of("https://www.one.example/p", "", "list") == "one.example"
    assert site_of(None, "file:a.jpg", "folder") == "folder"
    assert site_of("http://[bad", "https://two.example/a.jpg", "list") == "two.example"
