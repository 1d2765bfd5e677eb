"""Forget a picture: the next run removes it from every table and shard, and no later run fetches it again."""

import argparse
import re
import sys
from pathlib import Path

from pipeline.errors import InputError
from pipeline.sources.forgotten import Forgotten, fingerprints_of, read_forgotten, write_forgotten
from pipeline.storage import tables
from pipeline.storage.content_memo import drop_contents
from pipeline.storage.encodings import is_text
from pipeline.storage.known_pictures import drop_known
from pipeline.storage.running import other_registrations
from pipeline.web.scratch import BodyStore, remove_records
from pipeline.workflow.source_files import FORGOTTEN_FILE, KNOWN_FOLDER

RAW = Path("data/raw")
SCRATCH = Path(".scratch/web")
MEASURES = Path(".scratch/inspect")
KEY_DIGITS = 16
TARGET = re.compile(r"[0-9a-fA-F]{64}|[A-Za-z][A-Za-z0-9+.-]*:.+")
NEXT = """\
Now run snakemake (or dvc repro): what was made from it is made again without it. Older versions stay in DVC's cache until
`dvc gc --workspace` (with --cloud for the remote), and whoever trained on it has to train again.
"""


def clear_scratch(forgotten: Forgotten, scratch: Path) -> None:
    """Remove the bytes and the records of what is forgotten from what fetch keeps for later runs."""
    if not scratch.is_dir():
        return
    bodies = BodyStore(scratch / "bodies")
    for sha256 in forgotten.contents:
        bodies.remove(sha256)
    remove_records(scratch / "journal", {digest[:KEY_DIGITS] for digest in forgotten.urls})


def refuse_while_a_job_runs() -> None:
    """Raise InputError while a job of this project runs: what it notes while its records are rewritten would be lost."""
    running = [registration for registration in other_registrations() if registration.holds_its_lock()]
    if running:
        raise InputError(f"{running[0].name} is running here; wait until it has ended, or end it, and run this again")


def configure(command: argparse.ArgumentParser) -> None:
    """Add the options of `python -m pipeline forget`."""
    command.add_argument("target", metavar="URL|SHA256", help="as in the manifest, or the SHA-256 of a picture's bytes")


def run(options: argparse.Namespace) -> None:
    """Add every address and content of the picture to forgotten.csv. Raises InputError."""
    if not (TARGET.fullmatch(options.target) and is_text(options.target)):
        raise InputError(f"{options.target}: give a URL as it stands in the manifest, or the 64 hex digits of a SHA-256")
    refuse_while_a_job_runs()
    raw = tables.read_tables(sorted(RAW.glob("[!.]*.parquet")), tables.RAW, ["url", "sha256"])
    found = fingerprints_of(options.target, raw)
    write_forgotten(FORGOTTEN_FILE, read_forgotten(FORGOTTEN_FILE).union(found))
    clear_scratch(found, SCRATCH)
    drop_known(KNOWN_FOLDER, set(found.contents))
    drop_contents(MEASURES, found.contents)
    here = int((raw["url"].eq(options.target) | raw["sha256"].eq(options.target.lower())).sum())
    summary = f"{len(found.urls)} addresses and {len(found.contents)} contents" if here else "not among the pictures here"
    sys.stdout.write(f"Forgotten: {summary}; recorded in {FORGOTTEN_FILE}.\n{NEXT}")
