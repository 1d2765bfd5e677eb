"""The studio's API under schemathesis: whatever is asked, in or out of its schema, no answer is a server's error."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.studio_server import served_studio

# 503 is how the studio says that as much is waiting as may: its sentence, not an accident.
CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 503]
"""
PROGRAM = Path(sys.executable).parent / "schemathesis"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not PROGRAM.exists(), reason="no schemathesis here")
def test_nothing_that_is_asked_ends_in_a_500(tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    with served_studio(tmp_path) as client:
        command = [str(PROGRAM), "run", f"http://127.0.0.1:{client.port}/openapi.json", "--checks", "not_a_server_error"]
        command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "40", "--seed", "1", "--no-color"]
        told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stdout[-4000:]
        assert client.ask("POST", "/api/wall", {"seed": 1}).status == 200
