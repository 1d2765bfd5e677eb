"""Follow what is published and forecast what will be worn: series, intervals, and a page."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.imaging.inspect_schema import INSPECT
from pipeline.pages.tiles import load_tiles, pixel_counts
from pipeline.stages.trends.forecasting.calendar import Calendar
from pipeline.stages.trends.forecasting.errors import mase, seasonal_naive_error
from pipeline.stages.trends.forecasting.forecast import Forecasts, forecast
from pipeline.stages.trends.forecasting.model_parameters import PARAMETERS
from pipeline.stages.trends.observations import Coverage, observations_of
from pipeline.stages.trends.outlook import FALLS, RISES, Outlook, half_year, mean_factor, outlook_of, ranked
from pipeline.stages.trends.page import TILE_SIDE_PX, Trends, page_of
from pipeline.stages.trends.params import TrendsParams
from pipeline.stages.trends.series_file import read_signals
from pipeline.stages.trends.shares import ShareSeries, chosen_calendar, share_series, steps_of, whole_steps
from pipeline.storage.checksums import with_digest
from pipeline.storage.files import write_json, write_text
from pipeline.storage.tables import CURATED, GARMENT_ATTRIBUTES, MANIFEST, TRENDS, read_table, read_tables, write_table
from pipeline.tracking.tracker import Tracker

FROM_INSPECT = ["key", "decoded", "features", *(field.name for field in GARMENT_ATTRIBUTES)]
FROM_MANIFEST = ["key", "source", "page", "published", "price", "currency"]
FROM_CURATED = ["key", "sha256", "shard", "category", "group", "reason", "url", "width", "height"]
EXAMPLES = 6  # pictures behind a series

log = logging.getLogger(__name__)


def nothing_to_follow(coverage: Coverage, min_pictures: int) -> str:
    """Why there is no series, and what to do; empty if there may be some."""
    if coverage.dated == 0:
        return (
            f"None of {coverage.pictures:,} pictures has a usable date of publication: give lists a column `published`; crawled"
            " pages state it in their structured data (docs/trends.md)."
        )
    if coverage.dated < min_pictures:
        counted = f"{coverage.dated:,} of {coverage.pictures:,} pictures"
        return f"Only {counted} have a date, fewer than trends.min_pictures, {min_pictures:,}."
    return ""


def _horizon(params: TrendsParams, calendar: Calendar) -> int:
    return max(1, round(params.horizon_weeks * 7 / 365.25 * calendar.year))


def backtest_scores(series: list[ShareSeries], forecasts: Forecasts, calendar: Calendar) -> dict[str, float]:
    """The MASE of each model, and of their combination, over all series and test origins; empty without a test."""
    values = np.stack([one.share for one in series])
    scores: dict[str, list[float]] = {}
    for test in forecasts.backtests:
        unit = seasonal_naive_error(values[test.rows, : test.step], calendar.season)
        for name, ahead in test.forecasts.items():
            scores.setdefault(name, []).extend(mase(test.truth, ahead, unit))
    return {name: float(np.nanmean(found)) for name, found in scores.items() if np.isfinite(found).any()}


def winner_of(forecasts: Forecasts) -> str:
    """The model with the largest weight over all series."""
    return max(forecasts.weights, key=lambda name: float(forecasts.weights[name].sum()))


def trend_rows(
    series: list[ShareSeries], dates: pd.DatetimeIndex, ahead: pd.DatetimeIndex, forecasts: Forecasts
) -> pd.DataFrame:
    """The rows of tables.TRENDS: for each series its past, then its forecast."""
    frames = []
    for row, one in enumerate(series):
        label = {"series": one.name, "dimension": one.dimension, "value": one.value, "category": one.category}
        past = {
            "forecast": False,
            "count": one.count,
            "pictures": one.pictures,
            "share": one.share,
            "low_95": one.low,
            "high_95": one.high,
        }
        bounds = {
            f"{end}_{coverage * 100:.0f}": bound[row]
            for coverage, pair in forecasts.intervals.items()
            for end, bound in zip(("low", "high"), pair, strict=True)
        }
        frames.append(pd.DataFrame({"date": dates.strftime("%Y-%m-%d"), **label, **past}))
        frames.append(
            pd.DataFrame(
                {"date": ahead.strftime("%Y-%m-%d"), **label, "forecast": True, "share": forecasts.median[row], **bounds}
            )
        )
    rows = pd.concat(frames, ignore_index=True).reindex(columns=TRENDS.names)
    return rows.astype({"count": "Int64", "pictures": "Int64", "forecast": bool})


def _clipped(forecasts: Forecasts) -> Forecasts:
    """`forecasts` of shares, none above 1."""
    np.minimum(forecasts.median, 1, out=forecasts.median)
    for pair in forecasts.intervals.values():
        for bound in pair:
            np.minimum(bound, 1, out=bound)
    return forecasts


def _rounded(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None


def summary_of(outlooks: list[Outlook], coverage: Coverage, reason: str, scores: dict[str, float], unit: str) -> dict[str, Any]:
    """What the report and the studio show: the outlook of each series, and what it rests on."""
    return {
        "coverage": {
            "pictures": coverage.pictures,
            "dated": coverage.dated,
            "sites": coverage.sites,
            "first": coverage.first,
            "last": coverage.last,
        },
        "reason": reason,
        "step": unit,
        "backtest_mase": {name: round(score, 4) for name, score in scores.items()},
        "series": [
            {
                "name": one.series.name,
                "dimension": one.series.dimension,
                "value": one.series.value,
                "category": one.series.category,
                "pictures": int(one.series.count.sum()),
                "direction": one.direction,
                "change": _rounded(one.change),
                "low_80": _rounded(one.low),
                "high_80": _rounded(one.high),
                "note": one.note,
            }
            for one in outlooks
        ],
    }


def examples_of(observations: pd.DataFrame, series: ShareSeries) -> list[str]:
    """SHA-256 of the latest pictures behind `series`."""
    rows = observations[observations[series.dimension] == series.value]
    if series.category is not None:
        rows = rows[rows["category"] == series.category]
    return list(rows.sort_values(["day", "sha256"], ascending=[False, True])["sha256"].head(EXAMPLES))


def _write_nothing(coverage: Coverage, reason: str, *, trends: Path, summary: Path, page: Path) -> None:
    write_table(trends, pd.DataFrame(columns=TRENDS.names), TRENDS)
    write_json(summary, with_digest(summary_of([], coverage, reason, {}, "")))
    write_text(page, page_of(Trends([], [], None, coverage, reason, {}, "", [], [], 0), {}, {}))


def run(
    params: TrendsParams,
    *,
    manifest: Path,
    inspect_tables: list[Path],
    curated: Path,
    shards: list[Path],
    signals: Path,
    trends: Path,
    summary: Path,
    page: Path,
    track: Tracker,
) -> None:
    """Write the series with their forecasts, what they come to, and the page; without dates, empty ones that say why."""
    listed = read_table(manifest, MANIFEST, FROM_MANIFEST)
    inspected = read_tables(inspect_tables, INSPECT, FROM_INSPECT).drop(columns="shard")
    pictures = (
        read_table(curated, CURATED, FROM_CURATED)
        .merge(listed, on="key", how="left", validate="one_to_one")
        .merge(inspected, on="key", how="left", validate="one_to_one")
    )
    observations, coverage = observations_of(pictures, until=params.until, styles=params.styles, seed=params.seed)
    reason = nothing_to_follow(coverage, params.min_pictures)
    series: list[ShareSeries] = []
    if not reason:
        calendar = chosen_calendar(observations["day"], params.by)
        dates = whole_steps(observations["day"], calendar)
        series = share_series(observations, dates, calendar, min_pictures=params.min_pictures, max_series=params.max_series)
        if not series:
            reason = f"No category, colour or other value has {params.min_pictures:,} dated pictures (trends.min_pictures)."
    if reason:
        log.warning("%s", reason)
        _write_nothing(coverage, reason, trends=trends, summary=summary, page=page)
        track.metrics({"series": 0, "dated": coverage.dated})
        return
    known = read_signals(signals, dates, calendar, [one.name for one in series])
    horizon = _horizon(params, calendar)
    values = np.stack([one.share for one in series])
    forecasts = _clipped(forecast(values, horizon, calendar, signals=known, seed=params.seed))
    ahead = calendar.dates(dates[0], len(dates) + horizon)[-horizon:]
    write_table(trends, trend_rows(series, dates, ahead, forecasts), TRENDS)
    factor = mean_factor(forecasts, half_year(forecasts, calendar))
    outlooks = ranked([outlook_of(one, row, forecasts, calendar, factor) for row, one in enumerate(series)])
    scores = backtest_scores(series, forecasts, calendar)
    write_json(summary, with_digest(summary_of(outlooks, coverage, "", scores, calendar.unit)))
    shown = outlooks[: params.shown]
    empty = len(set(range(len(dates))) - set(steps_of(observations["day"], dates, calendar)))
    examples = {one.series.name: examples_of(observations, one.series) for one in shown}
    content = Trends(shown, outlooks, forecasts, coverage, "", scores, calendar.unit, list(dates), list(ahead), empty)
    wanted = {sha256 for behind in examples.values() for sha256 in behind}
    write_text(page, page_of(content, examples, load_tiles(shards, pixel_counts(pictures, wanted), TILE_SIDE_PX)))
    rising = sum(one.direction == RISES for one in outlooks)
    falling = sum(one.direction == FALLS for one in outlooks)
    log.info(
        "%d series by %s of %d dated pictures: %d rise, %d fall", len(series), calendar.unit, coverage.dated, rising, falling
    )
    track.metrics(
        {"series": len(series), "dated": coverage.dated, "sites": coverage.sites, "rising": rising, "falling": falling}
    )
    track.metrics({f"mase_{name.replace(' ', '_').replace('-', '_')}": score for name, score in scores.items()})
    track.metrics(
        {f"weight_{name.replace(' ', '_').replace('-', '_')}": float(own.mean()) for name, own in forecasts.weights.items()}
    )
    winner = winner_of(forecasts)
    track.params({"winner": {"model": winner, **PARAMETERS[winner]}})
    track.artifact(page)
