"""Forecasts of statsforecast for the series in a CSV file, as JSON. Run it with a Python that has statsforecast.

    python trends_rival.py FILE.csv MODEL,MODEL,… HORIZON OUTPUT

MODEL is a class of statsforecast.models, such as AutoETS, AutoTheta, MSTL or TBATS.
"""

import json
import sys
import time
from pathlib import Path


def main() -> None:
    import pandas as pd
    from statsforecast import StatsForecast, models  # type: ignore[import-not-found,unused-ignore]

    file, names, horizon, output = sys.argv[1:]
    table = pd.read_csv(file, index_col=0, parse_dates=True)
    long = table.rename_axis("ds").reset_index().melt("ds", var_name="unique_id", value_name="y").dropna()
    found = {}
    for name in names.split(","):
        started = time.process_time()
        model = getattr(models, name)(season_length=52)
        ahead = StatsForecast([model], freq="7D", n_jobs=1).forecast(df=long, h=int(horizon))
        forecasts = {str(key): rows[name].tolist() for key, rows in ahead.groupby("unique_id")}
        found[name] = {"cpu_s": time.process_time() - started, "forecasts": forecasts}
    Path(output).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
