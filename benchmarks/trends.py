"""Forecasts of weekly series one year ahead, beside the seasonal naive forecast and statsforecast's models.

    python -m benchmarks.trends FILE.csv
    python -m benchmarks.trends --drawn 14 --seed 0 --rival-python RIVAL/bin/python --page docs/benchmarks/trends.md

FILE.csv has dates in its first column and a series in each other one. The last 52 weeks are held out. Without a file the series
are drawn (benchmarks/trend_series.py), and windows of statsmodels' weekly CO2 at Mauna Loa. RIVAL is an environment with
statsforecast, which cannot be installed beside pandas 3 (docs/decisions.md).
"""

import argparse
import json
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.trend_series import FAMILIES, co2_windows, drawn
from pipeline.stages.trends.forecasting.errors import covered, mase, pinball, seasonal_naive_error, smape
from pipeline.stages.trends.forecasting.forecast import Forecasts, forecast
from pipeline.stages.trends.forecasting.library_models import seasonal_naive
from pipeline.stages.trends.series_file import SeriesTable, read_series
from pipeline.storage.files import write_text

HELD_OUT = 52
RIVALS = "AutoETS,AutoTheta,MSTL,TBATS,MFLES"
RIVAL_SCRIPT = Path(__file__).with_name("trends_rival.py")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """How one model did."""

    model: str
    forecast: Array
    cpu_s: float


def rivals_of(table: SeriesTable, python: Path) -> list[Row]:
    """The forecasts of statsforecast's models for the known part of `table`."""
    with tempfile.TemporaryDirectory() as folder:
        known, output = Path(folder) / "known.csv", Path(folder) / "rivals.json"
        frame = pd.DataFrame(table.values[:, :-HELD_OUT].T, index=table.dates[:-HELD_OUT], columns=table.names)
        frame.to_csv(known, index_label="date")
        subprocess.run([python, RIVAL_SCRIPT, known, RIVALS, str(HELD_OUT), output], check=True)
        found = json.loads(output.read_text(encoding="utf-8"))
    return [
        Row(name, np.array([one["forecasts"][series] for series in table.names]), one["cpu_s"]) for name, one in found.items()
    ]


def lines_of(table: SeriesTable, rows: list[Row], ours: Forecasts) -> list[str]:
    """A Markdown table of `rows`, and the coverage of our intervals."""
    history, truth = table.values[:, :-HELD_OUT], table.values[:, -HELD_OUT:]
    unit = seasonal_naive_error(history, table.calendar.season)
    lines = ["| model | MASE | better than naive | sMAPE | pinball loss | CPU seconds |", "|---|---|---|---|---|---|"]
    naive = mase(truth, rows[0].forecast, unit)
    for row in rows:
        error = mase(truth, row.forecast, unit)
        better = "–" if row is rows[0] else f"{np.nanmean(error < naive):.2f}"
        loss = np.nanmean(pinball(truth, row.forecast, 0.5, unit))
        lines.append(
            f"| {row.model} | {np.nanmean(error):.4f} | {better} | {np.nanmean(smape(truth, row.forecast)):.1f} | {loss:.4f}"
            f" | {row.cpu_s:.1f} |"
        )
    lines.append("")
    for coverage, (low, high) in ours.intervals.items():
        tail = (1 - coverage) / 2
        losses = [np.nanmean(pinball(truth, end, level, unit)) for end, level in ((low, tail), (high, 1 - tail))]
        lines.append(
            f"{100 * coverage:.0f} % intervals cover {100 * np.nanmean(covered(truth, low, high)):.1f} % of the weeks;"
            f" pinball loss {losses[0]:.4f} below, {losses[1]:.4f} above."
        )
    return lines


def compared(table: SeriesTable, rival_python: Path | None, seed: int) -> list[str]:
    """The lines on `table`."""
    history = table.values[:, :-HELD_OUT]
    started = time.process_time()
    ours = forecast(history, HELD_OUT, table.calendar, seed=seed)
    seconds = time.process_time() - started
    rows = [Row("seasonal naive", seasonal_naive(history, HELD_OUT, table.calendar.season), 0.0)]
    rows += rivals_of(table, rival_python) if rival_python else []
    return lines_of(table, [*rows, Row("**trends**", ours.median, seconds)], ours)


def as_table(frame: pd.DataFrame, folder: Path) -> SeriesTable:
    """`frame`, an index of dates and a column a series, read as a file would be."""
    path = folder / "series.csv"
    frame.to_csv(path)
    return read_series(path)


def main() -> None:
    """Print the tables, and write them to the page if one is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--drawn", type=int, default=14, help="series of each family")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rival-python", type=Path)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    if options.file:
        tables = {options.file.name: read_series(options.file)}
    else:
        frames = {family: drawn(family, options.drawn, 260, options.seed) for family in FAMILIES}
        with tempfile.TemporaryDirectory() as folder:
            tables = {
                "All drawn series in one file": as_table(pd.concat(frames.values(), axis=1), Path(folder)),
                "Weekly CO2 at Mauna Loa, windows of five years": as_table(co2_windows(), Path(folder)),
            }
    lines = ["# Forecasts", "", f"`--drawn {options.drawn} --seed {options.seed}`", ""]
    for name, table in tables.items():
        lines += [
            f"## {name}",
            "",
            f"{len(table.names)} series of {table.values.shape[1]} weeks; the last {HELD_OUT} held out.",
            "",
        ]
        lines += [*compared(table, options.rival_python, options.seed), ""]
    print("\n".join(lines))
    if options.page:
        write_text(options.page, "\n".join(lines))


if __name__ == "__main__":
    main()
