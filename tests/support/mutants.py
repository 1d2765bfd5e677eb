"""Switch off one guard after the other in this copy of the project, and say whether its test notices.

    python -B -m tests.support.mutants

To be run in a copy, whose files it rewrites. Prints, as JSON, the exit status of pytest with each of guard_cases.ALL off.
Every mutant is a fork of one process that has imported the large libraries and nothing of ours. One that never ends is ended
by pytest-timeout from a thread: what catches everything cannot catch that.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

import aiohttp  # noqa: F401 (imported once, for all mutants)
import faiss  # noqa: F401
import pandas as pd  # noqa: F401
import pyarrow.parquet as pq  # noqa: F401
import pydantic  # noqa: F401
import pytest
import scrapy  # noqa: F401
from PIL import Image  # noqa: F401

from tests.support.guard_cases import ALL, Fault

ERROR = 99


def status_without(fault: Fault) -> int:
    """Pytest's exit status for the test of `fault`, run in a fork, with its guard switched off."""
    path = Path("pipeline", fault.file)
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace(fault.guard, fault.without), encoding="utf-8")
    try:
        child = os.fork()
        if child == 0:
            status = ERROR
            with Path(os.devnull).open("w") as nothing, contextlib.redirect_stdout(nothing):
                status = pytest.main(
                    ["-q", "-x", "-p", "no:cacheprovider", "--timeout=60", "--timeout-method=thread", f"tests/{fault.test}"]
                )
            os._exit(int(status))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        path.write_text(whole, encoding="utf-8")


if __name__ == "__main__":
    sys.stdout.write(json.dumps([status_without(fault) for fault in ALL]))
