"""Fixtures of many tests."""

import logging
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.garments import draw_wardrobe

PHOTOGRAPHS = Path(__file__).parent / "photographs"
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def wardrobe(tmp_path: Path) -> Path:
    """A folder of 5 categories with 8 drawn garments each."""
    folder = tmp_path / "wardrobe"
    draw_wardrobe(folder, ["shirt", "trousers", "dress", "hat", "shoe"], 8, seed=0)
    return folder


@pytest.fixture
def shared_data() -> Path:
    """The folder of photographs and weights that developers have beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def photographs() -> list[Path]:
    """40 photographs of garments, sorted by category; a category is a folder."""
    return sorted(PHOTOGRAPHS.glob("*/*.jpg"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Captured output as UTF-8: names that are not UTF-8 are logged in some tests, and pytest-xdist cannot send them."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode("utf-8")) for name, text in report.sections]
    return report


@pytest.fixture(autouse=True)
def _logging_as_before() -> Generator[None]:
    """Undoes what a command that ran in the test did to logging: levels, and handlers on a terminal captured no more."""
    root, ours = logging.getLogger(), logging.getLogger("pipeline")
    root.setLevel(logging.WARNING)  # Python's own defaults: a fixture of the module may have run a command, too
    ours.setLevel(logging.NOTSET)
    yield
    root.setLevel(logging.WARNING)
    ours.setLevel(logging.NOTSET)
    for handler in [each for each in root.handlers if type(each).__module__.startswith("pipeline")]:
        root.removeHandler(handler)
        handler.close()
