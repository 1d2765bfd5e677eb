"""The studio's API under schemathesis: every request, valid or not, gets a response that the schema allows."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio import service as service
from studio.jobs import Progress
from tests.support.studio_server import served_studio

# 503 is how the studio says that as much is waiting as may: its sentence, not an accident.
CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 503]

[checks.negative_data_rejection]
expected-statuses = ["4xx", 503]
"""
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
]
MAX_S = 240
PROGRAM = Path(sys.executable).parent / "schemathesis"


def dressed_at_once(*_: Any) -> Iterator[Progress]:
    """A stand-in for minutes of painting."""
    yield Progress(1.0, np.zeros((64, 64, 3), np.uint8))


@pytest.mark.slow
@pytest.mark.timeout(3 * MAX_S)
@pytest.mark.skipif(not PROGRAM.exists(), reason="no schemathesis here")
def test_every_response_conforms_to_the_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "dressed", dressed_at_once)
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    with served_studio(tmp_path) as client:
        body = {"seed": 1, "count": 1, "category": "dress"}
        address = client.request("POST", "/api/grid", body).json["addresses"][0]
        known = {"STUDIO_ADDRESS": address, "SCHEMATHESIS_HOOKS": "tests.support.studio_fuzz"}
        done = subprocess.run(
            [
                *(str(PROGRAM), "run", f"http://127.0.0.1:{client.port}/openapi.json", "--checks", ",".join(CHECKS)),
                *("--phases", "examples,coverage,fuzzing", "--max-time", str(MAX_S), "--seed", "1", "--no-color"),
                *("--continue-on-failure", "--suppress-health-check", "all"),
                *("--request-timeout", "60"),  # a category's first move searches its sliders, seconds of all cores
            ],
            cwd=tmp_path,
            env=os.environ | known | {"PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
        assert client.request("POST", "/api/grid", {"seed": 1}).status == 200
