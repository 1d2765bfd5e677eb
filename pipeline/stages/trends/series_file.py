"""CSV files of series, a column a series, and of their forecasts."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.stages.trends.forecasting.calendar import Calendar, calendar_of
from pipeline.stages.trends.forecasting.forecast import MAX_LIBRARY_SERIES, Forecasts, forecast
from pipeline.storage.encodings import decoded_text
from pipeline.storage.files import output_file, refuse_output
from pipeline.web.values import iso_date

MAX_HORIZON_SEASONS = 3
BATCH_SERIES = 1000  # forecast together; more would make no model better, and memory would grow with them
MISSING = ("", "NA", "NaN", "nan")


@dataclass(frozen=True)
class SeriesTable:
    """Series on a common calendar."""

    names: list[str]
    dates: pd.DatetimeIndex  # one step apart
    values: NDArray[np.float64]  # (N, T), NaN where a value is missing
    calendar: Calendar

    def dates_after(self, horizon: int) -> pd.DatetimeIndex:
        """The dates of the `horizon` steps after the last."""
        return self.calendar.dates(self.dates[0], len(self.dates) + horizon)[-horizon:]


def _cells(path: Path) -> pd.DataFrame:
    try:
        text = decoded_text(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a CSV file, a column a series") from None
    try:
        cells = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, skip_blank_lines=True, sep=_separator(text))
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: not a CSV file ({' '.join(str(error).split())})") from None
    return cells


def _separator(text: str) -> str:
    header = text.partition("\n")[0]
    return max(",;\t", key=header.count)


def _dates(path: Path, cells: pd.Series) -> pd.DatetimeIndex:
    found = []
    for row, cell in enumerate(cells, start=2):
        day = iso_date(cell)
        if day is None:
            raise InputError(f"{path}: row {row}: {cell!r} is not a date; write it as 2026-03-30")
        found.append(pd.Timestamp(day[:10]))
    dates = pd.DatetimeIndex(found)
    if (repeated := dates[dates.duplicated()]).size:
        raise InputError(f"{path}: {repeated[0].date()} is there twice; give each date one row")
    return dates


def _numbers(path: Path, name: str, cells: pd.Series) -> NDArray[np.float64]:
    text = cells.str.strip()
    stated = ~text.isin(MISSING).to_numpy()
    values = np.full(len(cells), np.nan)
    values[stated] = pd.to_numeric(text[stated], errors="coerce").to_numpy(np.float64)
    wrong = np.flatnonzero(stated & ~np.isfinite(values))
    if len(wrong):
        raise InputError(f"{path}: column {name}, row {wrong[0] + 2}: {cells.iloc[wrong[0]]!r} is not a number")
    negative = np.flatnonzero(values < 0)
    if len(negative):
        raise InputError(
            f"{path}: column {name}, row {negative[0] + 2}: {cells.iloc[negative[0]]} is negative; shares and counts are not"
        )
    return values


def read_series(path: Path) -> SeriesTable:
    """The series in the CSV file at `path`; rows may be in any order, missing steps become NaN. Raises InputError."""
    return series_of(path, _cells(path))


def series_of(path: Path, cells: pd.DataFrame) -> SeriesTable:
    """The series in `cells`, all text, of the file at `path`. Raises InputError."""
    if cells.shape[1] < 2 or not len(cells):
        raise InputError(f"{path}: needs a header, a first column of dates and a column a series")
    names = [str(name) for name in cells.columns[1:]]
    dates = _dates(path, cells.iloc[:, 0])
    values = np.stack([_numbers(path, name, cells.iloc[:, number]) for number, name in enumerate(names, start=1)])
    order = np.argsort(dates)
    dates, values = dates[order], values[:, order]
    try:
        calendar = calendar_of(dates)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    positions = calendar.positions(dates)
    if len(set(positions)) < len(positions):
        raise InputError(f"{path}: two rows fall into one {calendar.unit}; give a row a {calendar.unit}")
    placed = np.full((len(names), positions[-1] + 1), np.nan)
    placed[:, positions] = values
    return SeriesTable(names, calendar.dates(dates[0], placed.shape[1]), placed, calendar)


def read_signals(path: Path, dates: pd.DatetimeIndex, calendar: Calendar, names: list[str]) -> NDArray[np.float64] | None:
    """External signals at `dates` as (N, T, S), standardised by their past; None if the file has a header alone.

    A column with the name of a series belongs to it, any other to all. Gaps hold the value before; steps before the first value
    are 0. Raises InputError.
    """
    cells = _cells(path)
    if not len(cells):
        return None
    signals = series_of(path, cells)
    if signals.calendar != calendar:
        raise InputError(f"{path}: has a row a {signals.calendar.unit}, the series one a {calendar.unit}")
    known = pd.DataFrame(signals.values.T, index=signals.dates).ffill().reindex(dates, method="ffill")
    past = known.expanding(min_periods=2)
    standard = ((known - past.mean()) / past.std().replace(0, np.nan)).fillna(0).to_numpy()  # nothing of the future
    shared = [number for number, name in enumerate(signals.names) if name not in names]
    own = {name: number for number, name in enumerate(signals.names) if name in names}
    found = np.zeros((len(names), len(dates), len(shared) + bool(own)))
    found[:, :, : len(shared)] = standard[:, shared]
    for row, name in enumerate(names):
        if name in own:
            found[row, :, -1] = standard[:, own[name]]
    return found


def forecast_rows(names: list[str], dates: pd.DatetimeIndex, found: Forecasts) -> pd.DataFrame:
    """A row for each series and step: date, series, forecast, the bounds of its intervals, and a note where there is one."""
    columns: dict[str, object] = {
        "date": np.tile(dates.strftime("%Y-%m-%d"), len(names)),
        "series": np.repeat(np.array(names, dtype=object), len(dates)),
        "forecast": found.median.reshape(-1),
    }
    for coverage, (low, high) in found.intervals.items():
        columns[f"low_{coverage * 100:.0f}"] = low.reshape(-1)
        columns[f"high_{coverage * 100:.0f}"] = high.reshape(-1)
    columns["note"] = np.repeat(np.array(found.notes, dtype=object), len(dates))
    return pd.DataFrame(columns)


def forecast_batches(table: SeriesTable, signals: NDArray[np.float64] | None, horizon: int) -> Iterator[pd.DataFrame]:
    """The rows of `forecast_rows`, BATCH_SERIES series at a time, each batch a competition of its own."""
    library = len(table.names) <= MAX_LIBRARY_SERIES
    for start in range(0, len(table.names), BATCH_SERIES):
        batch = slice(start, start + BATCH_SERIES)
        own = None if signals is None else signals[batch]
        found = forecast(table.values[batch], horizon, table.calendar, signals=own, library=library)
        yield forecast_rows(table.names[batch], table.dates_after(horizon), found)


def forecast_file(series: Path, signals: Path | None, horizon: int, out: Path) -> None:
    """Write forecasts of the series in the CSV file `series` to `out`, a row for each series and step. Raises InputError."""
    refuse_output(out)
    table = read_series(series)
    limit = MAX_HORIZON_SEASONS * table.calendar.season
    if not 1 <= horizon <= limit:
        raise InputError(f"--horizon {horizon}: must be 1 to {limit} {table.calendar.unit}s")
    known = None if signals is None else read_signals(signals, table.dates, table.calendar, table.names)
    with output_file(out) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        for number, rows in enumerate(forecast_batches(table, known, horizon)):
            rows.to_csv(file, index=False, header=number == 0, float_format="%.8g")
