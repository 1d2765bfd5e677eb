"""Forecasts by Gaussian processes with a level, a season and short-lived deviations, averaged over a grid of their strengths.

All series share the grid, so each covariance is factorised once for all of them. The weight of a point of the grid is its
marginal likelihood for the series, times how often the series of the file favour it (empirical Bayes): a short or noisy series
leans on the others. Corani, Benavoli and Zaffalon 2021, "Time series forecasting with Gaussian processes needs priors".
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

CONSTANT = 50.0  # variance of the mean, relative to that of the noise: as good as unknown
REVERSION_YEARS = 57.5  # a level this slow to return is a random walk
DEVIATION_YEARS = 0.0575  # three weeks
ITERATIONS = 20
SMALLEST_WEIGHT = 1e-3

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Strengths:
    """A point of the grid; variances are relative to that of the noise."""

    level_step: float  # variance of the level's steps, a week
    season: float  # variance of the season
    season_years: float  # how long a yearly shape lasts
    season_width: float  # how smooth it is, in radians
    deviation: float  # variance of deviations that last some weeks


def _grid() -> list[Strengths]:
    seasons = [(0.0, 1.0, 1.0), *itertools.product((0.1, 0.4, 1.5, 6.0), (2.0, 6.0, 30.0), (0.4, 0.8, 1.5))]
    steps, deviations = (0.0005, 0.003, 0.02, 0.1), (0.0, 0.5, 2.0)
    return [Strengths(step, *season, deviation) for season in seasons for step in steps for deviation in deviations]


GRID = _grid()


@dataclass(frozen=True)
class Posterior:
    """Normal forecasts, on the scale of the values."""

    mean: Array  # (N, horizon)
    deviation: Array  # (N, horizon)


def covariance(distance: NDArray[np.intp], strengths: Strengths, year: float) -> Array:
    """Covariance, without noise, of values `distance` steps apart."""
    memory = REVERSION_YEARS * year
    weeks = 365.25 / 7 / year  # in a step
    total = CONSTANT + strengths.level_step * weeks * memory / 2 * np.exp(-distance / memory)
    if strengths.season:
        turn = np.sin(np.pi * distance / year) / strengths.season_width
        total = total + strengths.season * np.exp(-2 * turn**2 - distance / (strengths.season_years * year))
    if strengths.deviation:
        total = total + strengths.deviation * np.exp(-distance / (DEVIATION_YEARS * year))
    return np.asarray(total)


def _weights(log_likelihoods: Array) -> Array:
    """Posterior weights (grid, N) under the prior over the grid that maximises the likelihood of all series."""
    points, count = log_likelihoods.shape
    relative = log_likelihoods - log_likelihoods.max(axis=0)
    prior = np.full(points, 1 / points)
    weights = np.empty_like(relative)
    for _ in range(ITERATIONS):
        weights = np.exp(relative) * prior[:, None]
        weights /= weights.sum(axis=0)
        prior = weights.sum(axis=1) + 0.5 * count / points
        prior /= prior.sum()
    return weights


def posterior(values: Array, horizon: int, year: float) -> Posterior:
    """Forecasts of the `horizon` steps after `values` (N, T), which hold no NaN."""
    length = values.shape[1]
    steps = np.arange(length + horizon)
    distance = np.abs(steps[:, None] - steps)  # an index into covariances by distance
    centre = values.mean(axis=1, keepdims=True)
    centred = (values - centre).T  # (T, N)
    log_likelihoods = np.empty((len(GRID), values.shape[0]))
    noise = np.empty_like(log_likelihoods)  # its variance, the scale of all others, by maximum likelihood
    for number, strengths in enumerate(GRID):
        factor = np.linalg.cholesky(covariance(steps, strengths, year)[distance[:length, :length]] + np.eye(length))
        whitened = solve_triangular(factor, centred, lower=True, check_finite=False)
        noise[number] = (whitened**2).mean(axis=0) + 1e-12
        log_likelihoods[number] = -length / 2 * np.log(noise[number]) - np.log(np.diag(factor)).sum()
    weights = _weights(log_likelihoods)
    mean = np.zeros((values.shape[0], horizon))
    square, kept = np.zeros_like(mean), np.zeros((values.shape[0], 1))
    for number, strengths in enumerate(GRID):
        if weights[number].max() <= SMALLEST_WEIGHT:
            continue
        whole = covariance(steps, strengths, year)[distance]
        factor = np.linalg.cholesky(whole[:length, :length] + np.eye(length))
        whitened = solve_triangular(factor, centred, lower=True, check_finite=False)
        ahead = solve_triangular(factor, whole[:length, length:], lower=True, check_finite=False)
        expected = (ahead.T @ whitened).T
        variance = np.diag(whole)[length:] + 1 - (ahead**2).sum(axis=0)
        weight = weights[number][:, None]
        mean += weight * expected
        square += weight * (expected**2 + noise[number][:, None] * variance)
        kept += weight
    mean, square = mean / kept, square / kept
    return Posterior(mean + centre, np.sqrt(np.maximum(square - mean**2, 1e-12)))
