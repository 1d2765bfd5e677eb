"""Counts of a manifest, and the documentation of the tables."""

import hashlib
from pathlib import Path

import pandas as pd
import pytest

from pipeline.commands.show import PROVENANCE, manifest_counts, picture_as_text, schemas_as_markdown
from pipeline.errors import InputError
from pipeline.storage.tables import DUPLICATES, RAW, read_table, read_tables
from tests.support.data_stages import DataStages, tiny_params
from tests.support.web_params import QUICK
from tests.support.web_server import Reply, serving

ROOT = Path(__file__).parents[2]


def test_counts_by_source_category_licence_and_status() -> None:
    manifest = pd.DataFrame(
        {"source": ["a", "a", "b"], "category": ["hat", None, "hat"], "licence": ["MIT", "MIT", None], "status": "listed"}
    )
    output = manifest_counts(manifest, pd.DataFrame({"status": ["ok", "ok", "failed"]}))
    assert output.startswith("3 pictures\n")
    lines = [line.split() for line in output.splitlines()]
    assert ["2", "a"] in lines
    assert ["1", "(none)"] in lines
    assert ["2", "hat"] in lines
    assert ["1", "failed"] in lines
    assert ["3", "listed"] in [line.split() for line in manifest_counts(manifest, None).splitlines()]


def test_the_documented_schemas_are_the_ones_in_force() -> None:
    assert (ROOT / "docs/tables.md").read_text(encoding="utf-8") == schemas_as_markdown()


def test_the_same_picture_from_two_sources_is_one_with_two_provenances(wardrobe: Path, tmp_path: Path) -> None:
    hat = wardrobe / "hat" / "000.png"
    with serving({"/hat.png": Reply(hat.read_bytes())}) as server:
        lines = ["url,caption,license", f"{server.url}/hat.png,A hat,CC0-1.0", f"{server.url}/hat.png,The same hat,"]
        (tmp_path / "list.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        sources = {"source": ["folder", "list"], "list": {"path": str(tmp_path / "list.csv"), "columns": {}}}
        stages = DataStages(tiny_params(wardrobe, collect=sources, fetch={"web": QUICK}), tmp_path / "data").up_to("dedup")
        raw = read_tables(stages.raw_tables, RAW)
        output = picture_as_text(f"{server.url}/hat.png", raw)
        sha256 = hashlib.sha256(hat.read_bytes()).hexdigest()
        assert output == picture_as_text(sha256.upper(), raw)
        head, folder, first, second, end = output.split("\n")
        assert head == f"{sha256}, {hat.stat().st_size:,} bytes, found at 3 places"
        assert folder.startswith("  folder  file:")
        assert first == f"  list  {server.url}/hat.png  A hat  licence CC0-1.0  ok"
        assert second == f"  list  {server.url}/hat.png  The same hat  licence CC0-1.0  ok"
        assert end == ""
    same = read_table(stages.duplicates, DUPLICATES).query("sha256 == @sha256")
    assert len(same) == 2
    assert same["representative"].sum() == 1  # one picture goes on
    assert same["group"].nunique() == 1


def test_a_picture_that_is_not_here_is_one_line() -> None:
    with pytest.raises(InputError, match="not among the pictures fetched"):
        picture_as_text("https://shop.example/hat.jpg", pd.DataFrame(columns=PROVENANCE))
