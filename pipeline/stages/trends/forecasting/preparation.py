"""Series as models take them: on a logarithmic scale, without gaps, with outliers bounded.

Everything here looks at the values it is given and at nothing later, so a prefix of a series is prepared as if it were all.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HARMONICS = 8
LEVEL_PENALTY = 50.0  # on the squared steps of the level, relative to the squared residuals
SEASON_PENALTY = 2.0  # on the squared coefficients of the yearly shape, growing with the harmonic
OUTLIER_DEVIATIONS = 2.5
OFFSET = 0.1  # of the median, added before the logarithm
TINY = 1e-12

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LogScale:
    """log(value + offset), with an offset for each series, so that zeros have a place and noise is even."""

    offset: Array  # (N, 1)

    @classmethod
    def of(cls, values: Array) -> "LogScale":
        """The scale of `values` (N, T), which may hold NaN; negative values count as 0."""
        typical = [float(np.median(series[series > 0])) if (series > 0).any() else 1.0 for series in values]
        return cls(OFFSET * np.array(typical)[:, None] + TINY)

    def to(self, values: Array) -> Array:
        """`values` on the logarithmic scale."""
        return np.log(np.maximum(values, 0) + self.offset)

    def back(self, logs: Array) -> Array:
        """`logs` as values, at least 0."""
        return np.maximum(np.exp(np.minimum(logs, 700)) - self.offset, 0)


def _design(weeks: int, year: float) -> tuple[Array, Array]:
    """The matrix (T, T + 2 HARMONICS) of a level for each step and a Fourier series, and the penalty on its coefficients."""
    harmonics = np.arange(1, HARMONICS + 1)
    angles = 2 * np.pi * np.outer(np.arange(weeks), harmonics) / year
    design = np.concatenate([np.eye(weeks), np.cos(angles), np.sin(angles)], axis=1)
    penalty = np.zeros((design.shape[1],) * 2)
    steps = np.diff(np.eye(weeks), axis=0)
    penalty[:weeks, :weeks] = LEVEL_PENALTY * steps.T @ steps
    penalty[weeks:, weeks:] = np.diag(SEASON_PENALTY * np.tile(harmonics, 2))
    return design, penalty


def smoothed(values: Array, year: float) -> Array:
    """The fitted level and yearly shape at every step of `values` (N, T), also where they are NaN.

    Penalised least squares: a random walk of the level, a ridge on the season's Fourier coefficients (Harvey 1989, chapter 2).
    """
    design, penalty = _design(values.shape[1], year)
    fitted = np.empty_like(values)
    known = ~np.isnan(values)
    centre = np.nanmean(values, axis=1, keepdims=True)
    patterns, pattern_of = np.unique(known, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        rows = np.flatnonzero(pattern_of.reshape(-1) == number)
        seen = design[pattern]
        coefficients = np.linalg.solve(seen.T @ seen + penalty, seen.T @ (values[rows][:, pattern] - centre[rows]).T)
        fitted[rows] = (design @ coefficients).T + centre[rows]
    return fitted


def prepared(values: Array, year: float) -> Array:
    """`values` (N, T), on a logarithmic scale, with gaps filled and residuals of the fit bounded at 2.5 robust deviations."""
    fitted = smoothed(values, year)
    residual = np.where(np.isnan(values), 0.0, values - fitted)
    deviation = 1.4826 * np.nanmedian(np.where(np.isnan(values), np.nan, np.abs(residual)), axis=1, keepdims=True)
    bound = OUTLIER_DEVIATIONS * deviation
    return fitted + np.clip(residual, -bound, bound)
