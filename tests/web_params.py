"""Parameters for the web's tests: loopback open, no pauses."""

from typing import Any

from pipeline.sources.web.params_draft import WebParams

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


def web(**changes: Any) -> WebParams:
    """QUICK with `changes`."""
    return WebParams(**{**QUICK, **changes})
