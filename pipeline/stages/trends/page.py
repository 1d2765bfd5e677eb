"""reports/trends.html: what rises and falls, series by series, with intervals, coverage and the pictures behind them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.pages.charts import Fan, fan_chart
from pipeline.pages.page import Table, render_html
from pipeline.pages.pictures import Picture, strip
from pipeline.stages.trends.forecasting.forecast import COMBINED, Forecasts
from pipeline.stages.trends.observations import Coverage
from pipeline.stages.trends.outlook import FALLS, RISES, Outlook

TEMPLATE = Path(__file__).parent / "templates" / "trends.html.j2"
TILE_SIDE_PX = 96
SITES_SHOWN = 12
MARKS = {RISES: "▲ rises", FALLS: "▼ falls"}
MODELS = {
    "seasonal naive": "last year again",
    "gaussian process": "level, season and short deviations, averaged over their strengths",
    "corrected": "the Gaussian process, corrected by what all series' past errors teach",
    "stl-ets": "STL's season, and exponential smoothing with a damped trend",
    "theta": "the theta method",
    COMBINED: "the forecast shown: each series' models, weighted by their past errors",
}


@dataclass(frozen=True)
class Trends:
    """What the page is about."""

    shown: list[Outlook]
    outlooks: list[Outlook]
    forecasts: Forecasts | None  # None without series
    coverage: Coverage
    reason: str  # why there are no series
    scores: dict[str, float]  # MASE by model
    unit: str
    dates: list[pd.Timestamp]
    ahead: list[pd.Timestamp]
    empty_steps: int  # of `dates`, without a picture


@dataclass(frozen=True)
class ShownSeries:
    """A series as the page shows it."""

    name: str
    verdict: str
    detail: str
    svg: Markup
    pictures: Picture | None


@dataclass(frozen=True)
class Content:
    """The page, ready to be rendered."""

    reason: str
    facts: list[tuple[str, str]]
    rising: list[str]
    falling: list[str]
    series: list[ShownSeries]
    unit: str
    missing: int
    models: Table | None
    all_series: Table | None
    sites: Table


def percent(value: float) -> str:
    """`value` as a signed percentage; an en dash where unknown."""
    return f"{round(100 * value):+d} %".replace("-", "−") if np.isfinite(value) else "–"


def sentence(outlook: Outlook) -> str:
    """What is expected of a series and how sure that is, in a sentence."""
    if not np.isfinite(outlook.change):
        return outlook.note or "No year before to compare with."
    interval = f"{percent(outlook.low)} to {percent(outlook.high)} with 80 % certainty"
    return f"{percent(outlook.change)} against the same months of the year before ({interval}). {outlook.note}".strip()


def ticks_of(dates: list[pd.Timestamp]) -> list[tuple[int, str]]:
    """The first step of each year, or of each quarter if there are less than two years; every other where there are many."""
    by_year = len({date.year for date in dates}) > 2
    found, seen = [], set()
    for step, date in enumerate(dates):
        key = date.year if by_year else (date.year, date.quarter)
        if key not in seen:
            seen.add(key)
            found.append((step, str(date.year) if by_year else f"{date.year}-{date.month:02d}"))
    found = found[1:] if len(found) > 2 else found  # the first is seldom whole
    return found[:: -(-len(found) // 8)]


def _drawn(outlook: Outlook, content: Trends, tiles: list[NDArray[np.uint8]]) -> ShownSeries:
    assert content.forecasts is not None
    series, row = outlook.series, outlook.row
    intervals = [content.forecasts.intervals[coverage] for coverage in (0.95, 0.8)]
    bands = [(low[row].tolist(), high[row].tolist()) for low, high in intervals]
    fan = Fan(series.share.tolist(), series.low.tolist(), series.high.tolist(), content.forecasts.median[row].tolist(), bands)
    detail = sentence(outlook)
    svg = fan_chart(f"{series.name}: {detail}", fan, ticks_of(content.dates + content.ahead))
    pictures = strip(np.stack(tiles), len(tiles), f"Latest pictures of {series.name}") if tiles else None
    return ShownSeries(series.name, MARKS.get(outlook.direction, "● unclear"), detail, svg, pictures)


def _model_table(scores: dict[str, float]) -> Table:
    rows = [[name, MODELS[name], f"{score:.3f}"] for name, score in sorted(scores.items(), key=lambda pair: pair[1])]
    caption = "MASE at past origins, over all series: 1 is the error of the seasonal naive forecast before the origin."
    return Table(caption, ["model", "what it is", "MASE"], rows, 2)


def _series_table(outlooks: list[Outlook]) -> Table:
    rows = []
    for one in outlooks:
        changes = [percent(value) for value in (one.change, one.low, one.high)]
        rows.append([one.series.name, MARKS.get(one.direction, "unclear"), f"{int(one.series.count.sum()):,}", *changes])
    caption = "Every series: the coming half-year against the year before"
    return Table(caption, ["series", "", "pictures", "change", "80 % from", "to"], rows, 2)


def _facts(content: Trends) -> list[tuple[str, str]]:
    coverage = content.coverage
    share = f" ({100 * coverage.dated / coverage.pictures:.0f} %)" if coverage.pictures else ""
    return [
        ("pictures with a date", f"{coverage.dated:,} of {coverage.pictures:,}{share}"),
        ("sites", f"{coverage.sites:,}"),
        ("from", coverage.first or "–"),
        ("to", coverage.last or "–"),
        ("dates that cannot be true", f"{coverage.stray:,}"),
    ]


def page_of(content: Trends, examples: Mapping[str, list[str]], tiles: Mapping[str, NDArray[np.uint8]]) -> str:
    """The page as HTML; `examples` are the SHA-256 behind each series, `tiles` their thumbnails (H, W, 4)."""
    shown = [
        _drawn(one, content, [tiles[sha256] for sha256 in examples.get(one.series.name, []) if sha256 in tiles])
        for one in content.shown
    ]
    sites = list(content.coverage.sites_by_pictures.items())
    site_rows = [[name, f"{count:,}"] for name, count in sites[:SITES_SHOWN]]
    page = Content(
        content.reason,
        _facts(content),
        [f"{one.series.name}: {sentence(one)}" for one in content.outlooks if one.direction == RISES],
        [f"{one.series.name}: {sentence(one)}" for one in content.outlooks if one.direction == FALLS],
        shown,
        content.unit,
        content.empty_steps,
        _model_table(content.scores) if content.scores else None,
        _series_table(content.outlooks) if content.outlooks else None,
        Table(
            f"Sites by dated pictures{', the first ' + str(SITES_SHOWN) if len(sites) > SITES_SHOWN else ''}",
            ["site", "pictures"],
            site_rows,
        ),
    )
    return render_html(page, TEMPLATE)
