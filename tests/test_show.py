"""Counts of a manifest, and the documentation of the tables."""

from pathlib import Path

import pandas as pd

from pipeline.show import manifest_counts, schemas_as_markdown

ROOT = Path(__file__).parent.parent


def test_counts_by_source_category_licence_and_status() -> None:
    manifest = pd.DataFrame(
        {"source": ["a", "a", "b"], "category": ["hat", None, "hat"], "licence": ["MIT", "MIT", None], "status": "listed"}
    )
    told = manifest_counts(manifest, pd.DataFrame({"status": ["ok", "ok", "failed"]}))
    assert told.startswith("3 pictures\n")
    lines = [line.split() for line in told.splitlines()]
    assert ["2", "a"] in lines
    assert ["1", "(none)"] in lines
    assert ["2", "hat"] in lines
    assert ["1", "failed"] in lines
    assert ["3", "listed"] in [line.split() for line in manifest_counts(manifest, None).splitlines()]


def test_the_documented_schemas_are_the_ones_in_force() -> None:
    assert (ROOT / "docs/tables.md").read_text(encoding="utf-8") == schemas_as_markdown()
