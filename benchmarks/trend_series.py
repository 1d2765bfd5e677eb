"""Weekly series to compare forecasts on: drawn with known parts, and public ones that a wheel carries.

Each family of drawn series stresses one thing that series of fashion do: yearly shapes whose strength changes from year to
year, turning trends, bursts, counts of few pictures, and no season at all.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SEASON = 365.25 / 7
SUNDAY = "2014-01-05"

Series = NDArray[np.float64]


def _noise(rng: np.random.Generator, weeks: int, scale: float, memory: float = 0.4) -> Series:
    """AR(1) noise with a standard deviation of `scale`."""
    noise = rng.normal(0, scale * np.sqrt(1 - memory**2), weeks)
    for week in range(1, weeks):
        noise[week] += memory * noise[week - 1]
    return noise


def _shape(rng: np.random.Generator, harmonics: int) -> Callable[[Series], Series]:
    """A random yearly shape with a standard deviation of 1, as a function of years."""
    strength = rng.normal(size=(2, harmonics)) / np.arange(1, harmonics + 1) ** 0.8
    strength /= np.sqrt((strength**2).sum() / 2)
    order = np.arange(1, harmonics + 1)

    def at(years: Series) -> Series:
        angles = 2 * np.pi * np.outer(years, order)
        value: Series = np.cos(angles) @ strength[0] + np.sin(angles) @ strength[1]
        return value

    return at


def _season(rng: np.random.Generator, weeks: int, *, amplitude: float, change: float, shift_weeks: float) -> Series:
    """A yearly shape whose strength and position change from year to year."""
    years = np.arange(weeks) / SEASON
    knots = np.arange(int(years[-1]) + 2)
    strengths = amplitude * np.exp(rng.normal(0, change, len(knots)))
    shifts = rng.normal(0, shift_weeks / SEASON, len(knots))
    shape = _shape(rng, int(rng.integers(1, 7)))
    return np.interp(years, knots, strengths) * shape(years + np.interp(years, knots, shifts) + rng.uniform())


def _bursts(rng: np.random.Generator, weeks: int, per_year: float, height: float) -> Series:
    """Sudden rises that decay within weeks."""
    bursts = np.zeros(weeks)
    for start in rng.integers(0, weeks, rng.poisson(per_year * weeks / SEASON)):
        bursts[start:] += rng.exponential(height) * np.exp(-np.arange(weeks - start) / rng.uniform(1, 6))
    return bursts


def seasonal(rng: np.random.Generator, weeks: int) -> Series:
    """A strong season of changing strength around a slowly wandering level."""
    level = np.cumsum(rng.normal(0, 0.015, weeks))
    season = _season(rng, weeks, amplitude=rng.uniform(0.15, 0.7), change=0.25, shift_weeks=1.0)
    return np.exp(level + season + _noise(rng, weeks, rng.uniform(0.05, 0.25)))


def turning(rng: np.random.Generator, weeks: int) -> Series:
    """Trends that turn at random weeks, with a moderate season."""
    slopes = rng.normal(0, 0.006, weeks // 60 + 2)
    level = np.cumsum(np.interp(np.arange(weeks), np.arange(len(slopes)) * 60 + rng.uniform(-20, 20), slopes))
    season = _season(rng, weeks, amplitude=rng.uniform(0.1, 0.4), change=0.3, shift_weeks=1.0)
    return np.exp(level + season + _noise(rng, weeks, rng.uniform(0.05, 0.2)))


def bursting(rng: np.random.Generator, weeks: int) -> Series:
    """A season under bursts of attention and steps of the level."""
    steps = np.zeros(weeks)
    for start in rng.integers(0, weeks, rng.poisson(1.0)):
        steps[start:] += rng.normal(0, 0.4)
    season = _season(rng, weeks, amplitude=rng.uniform(0.1, 0.5), change=0.3, shift_weeks=1.0)
    level = np.cumsum(rng.normal(0, 0.01, weeks)) + steps + _bursts(rng, weeks, 1.5, 0.4)
    return np.exp(level + season + _noise(rng, weeks, rng.uniform(0.08, 0.25)))


def seasonless(rng: np.random.Generator, weeks: int) -> Series:
    """No season: a level that wanders or returns to its mean."""
    memory = rng.choice([1.0, 0.97, 0.9])
    level = np.zeros(weeks)
    for week in range(1, weeks):
        level[week] = memory * level[week - 1] + rng.normal(0, 0.04)
    return np.exp(level + _noise(rng, weeks, rng.uniform(0.05, 0.2), memory=0.0))


def counted(rng: np.random.Generator, weeks: int) -> Series:
    """Shares of few pictures: a binomial count over a sample of hundreds."""
    sample = int(rng.integers(100, 1500))
    season = _season(rng, weeks, amplitude=rng.uniform(0.2, 0.6), change=0.2, shift_weeks=1.0)
    share = rng.uniform(0.01, 0.1) * np.exp(np.cumsum(rng.normal(0, 0.01, weeks)) + season)
    return rng.binomial(sample, np.clip(share, 0, 1)) / sample


def emerging(rng: np.random.Generator, weeks: int) -> Series:
    """A trend that rises from little to saturation, or fades, with a season in proportion."""
    middle, width = rng.uniform(0.3, 1.2) * weeks, rng.uniform(15, 50)
    growth = 1 / (1 + np.exp(-(np.arange(weeks) - middle) / width))
    level = np.log(0.1 + (growth if rng.uniform() < 0.5 else 1 - growth))
    season = _season(rng, weeks, amplitude=rng.uniform(0.1, 0.4), change=0.25, shift_weeks=1.0)
    return np.exp(level + season + _noise(rng, weeks, rng.uniform(0.08, 0.2)))


def surveyed(rng: np.random.Generator, weeks: int) -> Series:
    """Shares whose noise and steps calm down as the sample grows from year to year."""
    calm = np.exp(-np.arange(weeks) / weeks * rng.uniform(0.3, 1.5))
    level = np.cumsum(rng.normal(0, 0.03, weeks) * calm)
    season = _season(rng, weeks, amplitude=rng.uniform(0.1, 0.5), change=0.25, shift_weeks=1.0)
    return np.exp(level + season + _noise(rng, weeks, rng.uniform(0.15, 0.4)) * calm)


FAMILIES: dict[str, Callable[[np.random.Generator, int], Series]] = {
    function.__name__: function for function in (seasonal, turning, bursting, seasonless, counted, emerging, surveyed)
}


def drawn(family: str, count: int, weeks: int, seed: int) -> pd.DataFrame:
    """`count` series of `family` as columns, an index of Sundays."""
    rng = np.random.default_rng([seed, sorted(FAMILIES).index(family)])
    columns = {f"{family}-{number:03d}": FAMILIES[family](rng, weeks) for number in range(count)}
    return pd.DataFrame(columns, index=pd.date_range(SUNDAY, periods=weeks, freq="7D", name="date"))


def co2_windows(weeks: int = 260, step: int = 104) -> pd.DataFrame:
    """Windows of the weekly CO2 at Mauna Loa, 1958 to 2001, that statsmodels carries, all dated as the first one."""
    from statsmodels.datasets import co2

    values = co2.load_pandas().data["co2"].interpolate().to_numpy()
    starts = range(0, len(values) - weeks, step)
    columns = {f"co2-{start}": values[start : start + weeks] for start in starts}
    return pd.DataFrame(columns, index=pd.date_range(SUNDAY, periods=weeks, freq="7D", name="date"))
