"""Progress of long work on a terminal, on one that several jobs share, and without one."""

import fcntl
import logging
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.tracking import progress as module
from pipeline.tracking.progress import CLEAR_LINE, LOCK_FILE, Progress, progress

ROOT = Path(__file__).parents[2]
# Each update is one second of a clock that only the program moves.
PROGRAM = """
import logging
from types import SimpleNamespace
from pipeline.tracking import progress
now = [0.0]
progress.time = SimpleNamespace(monotonic=lambda: now[0])
logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[progress.TerminalHandler()])
for _ in progress.progress(range(40), what="inspect 00003", unit="pictures"):
    now[0] += 1.0
logging.getLogger("inspect").info("40 pictures measured")
"""


class Clock:
    """A stand-in for the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def _on_terminal(folder: Path) -> str:
    """What PROGRAM, run in `folder`, writes to a terminal."""
    terminal, its_end = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=folder, env=environment, stderr=its_end)
    os.close(its_end)
    written = b""
    try:
        while block := os.read(terminal, 4096):
            written += block
    except OSError:  # Linux reports the end of a pseudo-terminal so
        pass
    os.close(terminal)
    assert process.wait() == 0
    return written.decode()


def test_a_job_alone_on_a_terminal_redraws_one_line(tmp_path: Path) -> None:
    written = _on_terminal(tmp_path)
    lines = [line.rpartition(CLEAR_LINE)[2] for line in written.rstrip().split("\r\n")]
    assert lines == ["inspect 00003: 100%, 40 of 40 pictures, 1.0/s, after 40 s", "40 pictures measured"]
    assert written.count("inspect 00003: ") == 41


def test_a_job_on_a_terminal_that_another_job_draws_on_logs_a_line_every_ten_seconds(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).parent.mkdir()
    with (tmp_path / LOCK_FILE).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        written = _on_terminal(tmp_path)
    lines = written.rstrip().split("\r\n")
    assert all(line.startswith(CLEAR_LINE) for line in lines)
    assert [line.partition(": ")[2].partition(",")[0] for line in lines[:-1]] == ["25%", "50%", "75%", "100%"]


def test_without_a_terminal_a_job_logs_a_line_every_thirty_seconds(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == "inspect 00003: 75%, 30 of 40 pictures, 1.0/s, 10 s left\n40 pictures measured\n"
    assert list(tmp_path.iterdir()) == []


def test_a_log_line_says_share_count_rate_and_time_left(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pipeline")
    with Progress(100, "train", "images", initial=10) as shown:
        clock.now = 60.0
        shown.update(30)
    assert caplog.messages == ["train: 40%, 40 of 100 images, 0.5/s, 2 min left"]


def test_progress_passes_on_its_items_and_never_counts_beyond_the_total(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pipeline")
    starts = []
    for start in progress(range(0, 10, 4), 10, what="samples", unit="pictures", step=4):
        starts.append(start)
        clock.now += 40.0
    assert starts == [0, 4, 8]
    assert [message.split(",")[0] for message in caplog.messages] == ["samples: 40%", "samples: 80%", "samples: 100%"]


def test_progress_of_an_unknown_number_of_items_counts_them(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pipeline")
    for _ in progress(iter("abc"), what="collect", unit="pictures"):
        clock.now += 40.0
    assert caplog.messages[-1] == "collect: 3 pictures, 0.0/s, after 2 min"


def test_nothing_is_shown_where_progress_is_not_enabled(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pipeline")
    with Progress(10, "train", "images", enabled=False) as shown:
        clock.now = 60.0
        shown.move_to(10)
    assert caplog.messages == []


def test_an_unwritable_scratch_folder_leaves_log_lines(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".scratch").write_text("a file, not a folder")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    caplog.set_level(logging.INFO, "pipeline")
    with Progress(10, "train", "images") as shown:
        clock.now = 20.0
        shown.update()
    assert len(caplog.messages) == 1
