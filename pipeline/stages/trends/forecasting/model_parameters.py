"""What each model of a forecast is set to, for the record of a run."""

from pipeline.stages.trends.forecasting import correction, gaussian_process, library_models

Parameters = dict[str, float | str | bool]

_GAUSSIAN_PROCESS: Parameters = {
    "constant_variance": gaussian_process.CONSTANT,
    "reversion_years": gaussian_process.REVERSION_YEARS,
    "deviation_years": gaussian_process.DEVIATION_YEARS,
    "grid_points": len(gaussian_process.GRID),
    "iterations": gaussian_process.ITERATIONS,
}

PARAMETERS: dict[str, Parameters] = {
    "naive": {},
    "seasonal naive": {},
    "gaussian process": _GAUSSIAN_PROCESS,
    "corrected": {
        **_GAUSSIAN_PROCESS,
        "ridge": correction.RIDGE,
        "shrinkage": correction.SHRINKAGE,
        **{f"boosting_{name}": value for name, value in correction.BOOSTING.items()},
    },
    "stl-ets": {"stl_seasonal": library_models.STL_SEASONAL, "trend": "add", "damped_trend": True},
    "theta": {"method": library_models.THETA_METHOD},
}
