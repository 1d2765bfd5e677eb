"""Parameters for the web's tests: loopback open, no pauses."""

from typing import Any

from pipeline.stages.fetch.params import FetchParams
from pipeline.web.params import WebParams

QUICK = {
    "contact": "crawler@atelier.example",
    "delay_s": 0.0,
    "connections": 16,
    "connections_per_host": 8,
    "timeout_s": 2.0,
    "max_wait_s": 5.0,
    "retries": 1,
    "allow_loopback": True,
}


def fetch_params(**changes: Any) -> FetchParams:
    """Fetch parameters for tests; what is not theirs goes to the web parameters."""
    ours = {name: value for name, value in changes.items() if name in FetchParams.model_fields}
    rest = {name: value for name, value in changes.items() if name not in ours}
    given = {"max_bytes": 100_000, "strip_metadata": False, "licences": None, "refresh": False}
    return FetchParams(**{**given, "web": web(**rest), **ours})


def web(**changes: Any) -> WebParams:
    """QUICK with `changes`."""
    return WebParams(**{**QUICK, **changes})
