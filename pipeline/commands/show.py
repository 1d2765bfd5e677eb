"""Count the pictures, trace one to its sources, or print the columns of every table."""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa

from pipeline.errors import InputError
from pipeline.imaging.inspect_schema import INSPECT
from pipeline.storage import tables
from pipeline.storage.encodings import is_text

MANIFEST = Path("data/manifest.parquet")
RAW = Path("data/raw")
PROVENANCE = ["url", "source", "page", "title", "licence", "also", "status", "reason", "sha256", "size_bytes"]
SCHEMAS = {
    "data/manifest.parquet": tables.MANIFEST,
    "data/raw/SHARD.parquet": tables.RAW,
    "data/inspect/SHARD.parquet": INSPECT,
    "data/duplicates.parquet": tables.DUPLICATES,
    "data/curated.parquet": tables.CURATED,
    "data/trends.parquet": tables.TRENDS,
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
    title = "# Tables between stages\n\nPrinted by `python -m pipeline show schemas` from the schemas in the code.\n"
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


def picture_as_text(target: str, raw: pd.DataFrame) -> str:
    """One picture, a URL or the SHA-256 of its bytes, with every place it was found at and how each ended.

    Equal bytes are one picture, whatever addresses they have. `raw` has PROVENANCE of every row fetched. Raises InputError.
    """
    named = raw[raw["url"].eq(target) | raw["sha256"].eq(target.lower())] if is_text(target) else raw[:0]
    if named.empty:
        raise InputError(f"{target}: not among the pictures fetched; give a URL as it stands in {MANIFEST}, or a SHA-256")
    contents = named["sha256"].dropna()
    rows = raw[raw["sha256"].isin(contents) | raw["url"].isin(named["url"])].sort_values(["source", "url"])
    places: list[str] = []
    for row in rows.astype(object).where(rows.notna(), None).to_dict("records"):
        first = {"source": row["source"], "page": row["page"], "title": row["title"]}
        ended = row["status"] if row["reason"] is None else f"{row['status']}: {row['reason']}"
        for place in [first, *json.loads(row["also"] or "[]")]:
            words = [place["source"], row["url"], f"on {place['page']}" if place["page"] else "", place["title"] or ""]
            places.append("  ".join(["", *filter(None, [*words, f"licence {row['licence'] or 'unknown'}", ended])]))
    name = f"{contents.iloc[0]}, {rows['size_bytes'].max():,.0f} bytes" if len(contents) else "no bytes"
    return "\n".join([f"{name}, found at {len(places)} {'place' if len(places) == 1 else 'places'}", *places, ""])


def configure(command: argparse.ArgumentParser) -> None:
    """Add the options of `python -m pipeline show`."""
    command.add_argument("what", choices=["manifest", "picture", "schemas"], help="counts; one picture; all columns")
    command.add_argument("target", nargs="?", metavar="URL|SHA256", help="the picture that `show picture` looks up")


def run(options: argparse.Namespace) -> None:
    """Print. Raises InputError where there is no manifest yet, or no such picture."""
    if options.target is not None and options.what != "picture":
        raise InputError(f"show {options.what}: takes nothing further; only `show picture` takes a URL or a SHA-256")
    if options.what == "schemas":
        sys.stdout.write(schemas_as_markdown())
        return
    fetched = sorted(RAW.glob("[!.]*.parquet"))
    if options.what == "picture":
        if options.target is None:
            raise InputError("show picture: name one, by its URL or its SHA-256")
        sys.stdout.write(picture_as_text(options.target, tables.read_tables(fetched, tables.RAW, PROVENANCE)))
        return
    raw = tables.read_tables(fetched, tables.RAW, ["status"]) if fetched else None
    manifest = tables.read_table(MANIFEST, tables.MANIFEST, ["source", "category", "licence", "status"])
    sys.stdout.write(manifest_counts(manifest, raw))
