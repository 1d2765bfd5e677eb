"""List the pictures of the sources in a manifest."""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import SourceError
from pipeline.sources import ListedPicture
from pipeline.sources.forgotten import Forgotten, read_forgotten
from pipeline.sources.pages.crawled import merge_duplicates
from pipeline.sources.registry import SOURCES, Context, section_name
from pipeline.stages.collect.params import CollectParams
from pipeline.storage.files import sha256_of_file, whole_folder
from pipeline.storage.reasons import most_frequent, rows_missing
from pipeline.storage.tables import MANIFEST, write_table
from pipeline.tracking.progress import progress
from pipeline.tracking.tracker import Tracker
from pipeline.web.values import encodable

log = logging.getLogger(__name__)


def row_key(url: str) -> str:
    """The first 16 hex digits of the SHA-256 of `url`."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def build_manifest(pictures: Iterable[ListedPicture], forgotten: Forgotten) -> pd.DataFrame:
    """A row of tables.MANIFEST for each picture, in order; duplicates are merged.

    A forgotten picture has no row, because its address must not be kept either.
    """
    kept = (picture for picture in map(_encodable_texts, pictures) if not forgotten.has_url(picture.url))
    rows = [vars(picture) | {"key": row_key(picture.url)} for picture in merge_duplicates(kept, lambda url: url)]
    return pd.DataFrame(rows, columns=MANIFEST.names, dtype=object)


def _encodable_texts(picture: ListedPicture) -> ListedPicture:
    fields = vars(picture).items()
    odd: dict[str, Any] = {name: encodable(value) for name, value in fields if isinstance(value, str) and not value.isascii()}
    return replace(picture, **odd) if odd else picture


def list_all(params: CollectParams, context: Context) -> Iterator[ListedPicture]:
    """The pictures of every chosen source, one source after the other."""
    for name in params.source:
        yield from SOURCES[name].list_pictures(getattr(params, section_name(name)), context)


def _nothing_listed(params: CollectParams, rows: pd.DataFrame) -> str:
    """One line that says why there is nothing to fetch."""
    where = ", ".join(getattr(getattr(params, section_name(name)), "path", None) or name for name in params.source)
    if rows.empty:
        return f"collect.source: {where}: no rows; the lists are empty, or every picture in them is in forgotten.csv"
    return f"collect.source: {where}: none of {len(rows)} rows can be fetched; {'; '.join(rows_missing(rows))}"


def shard_numbers(rows: int, shards: int, rows_per_turn: int) -> NDArray[np.int64]:
    """The shard of each row of a manifest: `rows_per_turn` rows go to the first, as many to the next, and round again.

    Rows that are added at the end leave those before them where they are, so that only the shards that get one are new.
    """
    return np.arange(rows) // rows_per_turn % shards


def run(
    params: CollectParams, *, forgotten: Path, manifest: Path, by_shard: Path, downloads: Path, scratch: Path, track: Tracker
) -> None:
    """Write the manifest, and the folder `by_shard` with a table for each shard, of its rows.

    Data sets are unpacked under `downloads`; `scratch` caches the pages of a crawl.
    """
    pictures = list_all(params, Context(downloads, scratch, params.web))
    shown = progress(pictures, what="collect", unit="pictures")
    rows = build_manifest(shown, read_forgotten(forgotten))
    if not rows["status"].eq("listed").any():
        raise SourceError(_nothing_listed(params, rows))
    numbers = shard_numbers(len(rows), params.shards, params.rows_per_turn)
    with whole_folder(by_shard) as folder:
        for number in range(params.shards):
            write_table(folder / f"{number:05d}.parquet", rows[numbers == number], MANIFEST)
    write_table(manifest, rows, MANIFEST)
    counts = {
        "pictures": len(rows),
        "categories": rows["category"].nunique(),
        "without_category": int(rows["category"].isna().sum()),
        "refused": int((rows["status"] == "refused").sum()),
        "failed": int((rows["status"] == "failed").sum()),
    }
    log.info("%(pictures)d pictures in %(categories)d categories, %(without_category)d without one", counts)
    for line in most_frequent((rows["split"].fillna("") + " " + rows["category"]).value_counts(sort=False).to_dict()):
        log.info("%s", line.strip())
    for line in most_frequent(rows.loc[rows["category"].isna(), "site_category"].value_counts().to_dict()):
        log.info("no category for the word %s", line)
    for line in rows_missing(rows):
        log.info("%s", line)
    track.metrics(counts)
    track.dataset("manifest", sha256_of_file(manifest), manifest, context="collected", profile=counts)
