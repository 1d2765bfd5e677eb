"""What the documents say about the tests is there."""

import re
from pathlib import Path

import pytest

from tests.support.project import ROOT

NAMED_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_test_that_a_document_names_exists(document: Path) -> None:
    for file, name in NAMED_TEST.findall(document.read_text(encoding="utf-8")):
        assert f"\ndef {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), f"{file}::{name}"


def test_the_documents_name_what_proves_each_fault_of_the_web() -> None:
    assert len(NAMED_TEST.findall((ROOT / "docs/collecting.md").read_text(encoding="utf-8"))) >= 40
