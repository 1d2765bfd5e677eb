"""Print what a table holds: `show manifest` counts its pictures, `show schemas` says what every column means."""

import argparse
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa

from pipeline.store import tables

MANIFEST = Path("data/manifest.parquet")
RAW = Path("data/raw")
SCHEMAS = {
    "data/manifest.parquet": tables.MANIFEST,
    "data/raw/SHARD.parquet": tables.RAW,
    "data/inspect/SHARD.parquet": tables.INSPECT,
    "data/duplicates.parquet": tables.DUPLICATES,
    "data/curated.parquet": tables.CURATED,
    "data/known/NUMBER-DIGEST.parquet": tables.KNOWN,
}


def schema_as_markdown(path: str, schema: pa.Schema) -> str:
    """A heading and a Markdown table of a schema's columns."""
    rows = [
        f"| {field.name} | {field.type}{'' if field.nullable else ', always set'} | {field.metadata[b'meaning'].decode()} |"
        for field in schema
    ]
    return "\n".join([f"## {path}", "", "| column | type | meaning |", "|---|---|---|", *rows, ""])


def schemas_as_markdown() -> str:
    """docs/tables.md: every table between stages."""
    title = "# Tables between stages\n\nPrinted by `python -m pipeline show schemas` from pipeline/store/tables.py.\n"
    return "\n".join([title, *(schema_as_markdown(path, schema) for path, schema in SCHEMAS.items())])


def manifest_counts(manifest: pd.DataFrame, raw: pd.DataFrame | None) -> str:
    """Counts of a manifest's pictures by source, category and licence, and by status: as listed, or as fetched."""
    blocks = [f"{len(manifest):,} pictures"]
    columns = [(manifest, "source"), (manifest, "category"), (manifest, "licence")]
    columns.append((manifest if raw is None else raw, "status"))
    for frame, column in columns:
        counts = frame[column].fillna("(none)").value_counts().sort_index()
        blocks.append("\n".join([column, *(f"  {count:>9,}  {name}" for name, count in counts.items())]))
    return "\n\n".join(blocks) + "\n"


def configure(command: argparse.ArgumentParser) -> None:
    """Add the options of `python -m pipeline show`."""
    command.add_argument("what", choices=["manifest", "schemas"])


def run(options: argparse.Namespace) -> None:
    """Print. Raises InputError where there is no manifest yet."""
    if options.what == "schemas":
        sys.stdout.write(schemas_as_markdown())
        return
    fetched = sorted(RAW.glob("*.parquet"))
    raw = tables.read_tables(fetched, tables.RAW, ["status"]) if fetched else None
    manifest = tables.read_table(MANIFEST, tables.MANIFEST, ["source", "category", "licence", "status"])
    sys.stdout.write(manifest_counts(manifest, raw))
