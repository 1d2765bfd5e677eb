"""The table of faults in docs/collecting.md: it is the one in force, its tests exist, and each misses its guard."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.guard_cases import ALL, ROOT, Fault, as_markdown

TESTS_FAILED = 1  # pytest's exit status
DOCUMENT = ROOT / "docs/collecting.md"


def test_the_documented_faults_are_the_ones_that_are_tested() -> None:
    assert as_markdown() in DOCUMENT.read_text(encoding="utf-8")
    assert len(ALL) >= 40


def test_every_guard_and_every_test_is_there() -> None:
    for fault in ALL:
        source = (ROOT / "pipeline" / fault.file).read_text(encoding="utf-8")
        assert source.count(fault.guard) == 1, f"{fault.comes}: pipeline/{fault.file} has not once {fault.guard!r}"
        ast.parse(source.replace(fault.guard, fault.without))
        file, name = fault.test.split("::")
        assert f"\ndef {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), fault.test


@pytest.fixture(scope="module")
def statuses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Pytest's exit status for each fault's test in a copy of the project with that guard switched off."""
    copy: Path = tmp_path_factory.mktemp("mutants") / "project"
    for folder in ("pipeline", "tests", "presets"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    done = subprocess.run(
        [sys.executable, "-B", "-m", "tests.support.mutants"], cwd=copy, capture_output=True, text=True, check=True
    )
    return dict(zip((fault.comes for fault in ALL), json.loads(done.stdout), strict=True))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", ALL, ids=[fault.comes for fault in ALL])
def test_without_its_guard_the_test_fails(statuses: dict[str, int], fault: Fault) -> None:
    assert statuses[fault.comes] == TESTS_FAILED
