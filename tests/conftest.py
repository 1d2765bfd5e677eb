"""Fixtures of many tests."""

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests that run whole graphs first: they take minutes, and would otherwise end on one core, with the other idle."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)
