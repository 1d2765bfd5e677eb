"""The web fetcher over a list of URLs, and the stage fetch in a process of its own, to be killed."""

import sys
from pathlib import Path
from typing import Any

from pipeline.errors import AtelierError
from pipeline.sources import Listed, Outcome
from pipeline.sources.forgotten import Forgotten
from pipeline.stages.collect.run import key_of, manifest_of
from pipeline.stages.fetch import run as fetch
from pipeline.stages.fetch import web_fetcher as fetcher
from pipeline.storage.tables import MANIFEST, write_table
from pipeline.tracking.tracker import Tracker
from tests.support.web_params import fetch_params


def fetched(urls: list[str], scratch: Path, **changes: Any) -> list[Outcome]:
    """How each of `urls` ends."""
    params = fetch_params(**changes)
    terms = fetcher.Terms(params.web, params.max_bytes, params.strip_metadata, params.refresh)
    rows = [fetcher.Wanted(key_of(url), url) for url in urls]
    outcomes = fetcher.fetch(rows, terms, scratch, "0", progress=lambda _: None)
    return [outcomes[row.key] for row in rows]


def list_urls(urls: list[str], manifest: Path) -> None:
    """Write a manifest of `urls`."""
    write_table(manifest, manifest_of([Listed(url, "manifest") for url in urls], Forgotten()), MANIFEST)


def fetch_shard(manifest: Path, scratch: Path, shard: Path, changes: dict[str, Any]) -> None:
    """Write `shard` (tar) and its table beside it; ends the process with one line where that cannot be done."""
    try:
        fetch.run(
            fetch_params(**changes),
            manifest=manifest,
            forgotten=manifest.with_name("forgotten.csv"),
            shard=shard,
            table=shard.with_suffix(".parquet"),
            scratch=scratch,
            track=Tracker(),
        )
    except AtelierError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
