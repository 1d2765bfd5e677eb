"""The web fetcher over a list of URLs, and the stage fetch in a process of its own, to be killed."""

import sys
from pathlib import Path
from typing import Any

from pipeline.errors import AtelierError
from pipeline.sources import FetchOutcome, ListedPicture
from pipeline.sources.forgotten import Forgotten
from pipeline.stages.collect.run import build_manifest, row_key
from pipeline.stages.fetch import run as fetch
from pipeline.stages.fetch import web_fetcher as fetcher
from pipeline.storage.tables import MANIFEST, write_table
from pipeline.tracking.tracker import Tracker
from tests.support.web_params import fetch_params


def fetched(urls: list[str], scratch: Path, **changes: Any) -> list[FetchOutcome]:
    """How each of `urls` ends."""
    params = fetch_params(**changes)
    terms = fetcher.FetchSettings(params.web, params.max_bytes, params.strip_metadata, params.refresh)
    rows = [fetcher.Target(row_key(url), url) for url in urls]
    outcomes = fetcher.fetch_targets(rows, terms, scratch, "0", progress=lambda _: None)
    return [outcomes[row.key] for row in rows]


def list_urls(urls: list[str], manifest: Path) -> None:
    """Write a manifest of `urls`."""
    write_table(manifest, build_manifest([ListedPicture(url, "manifest") for url in urls], Forgotten()), MANIFEST)


def fetch_shard(manifest: Path, scratch: Path, shard: Path, changes: dict[str, Any]) -> None:
    """Write `shard` (tar) and its table beside it; ends the process with one line where that cannot be done."""
    try:
        fetch.run(
            fetch_params(**changes),
            manifest=manifest,
            forgotten=manifest.with_name("forgotten.csv"),
            downloads=manifest.with_name("sources"),
            shard=shard,
            table=shard.with_suffix(".parquet"),
            scratch=scratch,
            track=Tracker(),
        )
    except AtelierError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
