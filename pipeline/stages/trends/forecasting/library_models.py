"""Per-series models of statsmodels, and the seasonal naive forecast that every other has to beat."""

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

STL_SEASONAL = 13  # seasons that STL smooths over
THETA_METHOD = "additive"

Array = NDArray[np.float64]


def seasonal_naive(values: Array, horizon: int, season: int) -> Array:
    """The last `season` steps of each of `values` (N, T), repeated."""
    repeats = -(-horizon // season)
    return np.tile(values[:, -season:], (1, repeats))[:, :horizon]


def _each(values: Array, horizon: int, season: int, forecast: Callable[[Array, int, int], Array]) -> Array:
    """`forecast` of each series; the seasonal naive one where it does not converge."""
    found = seasonal_naive(values, horizon, season)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence
        for row, series in enumerate(values):
            if np.ptp(series) > 0:
                ahead = forecast(series, horizon, season)
                if np.isfinite(ahead).all():
                    found[row] = ahead
    return found


def _stl_ets(series: Array, horizon: int, season: int) -> Array:
    from statsmodels.tsa.holtwinters import ExponentialSmoothing
    from statsmodels.tsa.seasonal import STL

    seasonal = STL(series, period=season, seasonal=STL_SEASONAL).fit().seasonal
    model = ExponentialSmoothing(series - seasonal, trend="add", damped_trend=True, initialization_method="estimated")
    adjusted = np.asarray(model.fit().forecast(horizon))
    return adjusted + np.resize(seasonal[-season:], horizon)


def _theta(series: Array, horizon: int, season: int) -> Array:
    from statsmodels.tsa.forecasting.theta import ThetaModel

    return np.asarray(ThetaModel(series, period=season, method=THETA_METHOD, use_test=False).fit().forecast(horizon))


def stl_ets(values: Array, horizon: int, season: int) -> Array:
    """STL's season plus an exponential smoothing of the rest with a damped trend; `values` (N, T) of at least two seasons."""
    return _each(values, horizon, season, _stl_ets)


def theta(values: Array, horizon: int, season: int) -> Array:
    """The theta method (Assimakopoulos and Nikolopoulos 2000) on `values` (N, T) of at least two seasons, adjusted for them."""
    return _each(values, horizon, season, _theta)


MODELS = {"stl-ets": stl_ets, "theta": theta}
