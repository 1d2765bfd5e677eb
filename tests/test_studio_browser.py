"""The page in a real browser, Debian's Chromium: it draws the wall, and nothing it needs is refused."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.studio_server import served_studio

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = "--no-first-run --disable-background-networking --disable-component-update --disable-sync"
FLAGS = f"--headless --no-sandbox --disable-gpu {QUIET}"


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (apt-get install chromium)")
@pytest.mark.parametrize(("room", "expected"), [("wall", 16), ("taste", 8)])
def test_the_page_draws_garments(tmp_path: Path, room: str, expected: int) -> None:
    with served_studio(tmp_path) as client:
        command = [str(CHROMIUM), *FLAGS.split(), f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr"]
        command += ["--virtual-time-budget=20000", "--dump-dom", f"http://127.0.0.1:{client.port}/#{room}"]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    grid = shown.stdout.split(f'id="{room}-grid"')[1].split("</section>")[0]
    assert len(re.findall("<canvas", grid)) == expected
    assert "CONSOLE" not in shown.stderr, shown.stderr  # neither an error nor a refusal of the content security policy
