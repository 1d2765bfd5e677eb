"""Remember the pictures of this run, so that later runs keep near-duplicates in the same split."""

import argparse
import sys
from pathlib import Path

from pipeline.errors import InputError
from pipeline.imaging.inspect_schema import INSPECT
from pipeline.storage.known_pictures import add_known, read_known
from pipeline.storage.tables import CURATED, KNOWN, RAW, read_table, read_tables
from pipeline.workflow.source_files import KNOWN_FOLDER

DATA = Path("data")


def configure(command: argparse.ArgumentParser) -> None:
    """`python -m pipeline remember` has no options."""


def run(_: argparse.Namespace) -> None:
    """Add what is kept to data/known/. Raises InputError where nothing was curated yet."""
    curated = read_table(DATA / "curated.parquet", CURATED, ["key", "kept", "split"])
    kept = curated.loc[curated["kept"], ["key", "split"]]
    raw = read_tables(sorted((DATA / "raw").glob("[!.]*.parquet")), RAW, ["key", "sha256", "licence", "size_bytes"])
    inspected = read_tables(sorted((DATA / "inspect").glob("[!.]*.parquet")), INSPECT)
    measures = ["key", *(name for name in KNOWN.names if name in INSPECT.names and name not in ("key", "sha256"))]
    pictures = kept.merge(raw, on="key", validate="one_to_one").merge(inspected[measures], on="key", validate="one_to_one")
    if len(pictures) < len(kept):
        raise InputError("data/curated.parquet is not of the pictures in data/raw and data/inspect; run snakemake first")
    new = add_known(KNOWN_FOLDER, pictures)
    sys.stdout.write(f"{new} pictures remembered, {len(read_known(KNOWN_FOLDER))} in all, in {KNOWN_FOLDER}/.\n")
