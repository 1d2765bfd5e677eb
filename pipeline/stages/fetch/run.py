"""Fetch the bytes of one shard's pictures."""

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from pipeline.imaging.formats import picture_extension
from pipeline.imaging.metadata_stripping import MetadataError, without_metadata
from pipeline.sources import FetchOutcome
from pipeline.sources.forgotten import Forgotten, read_forgotten
from pipeline.sources.registry import Reader, Row, reader_for
from pipeline.stages.fetch.content_store import ContentBuffer
from pipeline.stages.fetch.params import FetchParams
from pipeline.storage.reasons import rows_missing
from pipeline.storage.shards import write_shard
from pipeline.storage.tables import MANIFEST, RAW, read_table, write_table
from pipeline.tracking.progress import Progress
from pipeline.tracking.tracker import Tracker
from pipeline.web.responses import NotFetchedError
from pipeline.web.scratch import BodyStore, disk_full_as_error

WEB_SCHEMES = ("http", "https")
UNKNOWN_EXTENSION = "bin"  # extension of bytes that are no known picture format
FORGOTTEN = FetchOutcome("refused", "forgotten on request")
OUTCOME = [field.name for field in dataclasses.fields(FetchOutcome)]

log = logging.getLogger(__name__)


def outcome_before_fetch(row: Row, params: FetchParams, forgotten: Forgotten) -> FetchOutcome | None:
    """The outcome of a row that need not be fetched, or none."""
    if row["status"] != "listed":
        return FetchOutcome(row["status"], row["reason"])
    if forgotten.has_url(row["url"]):
        return FORGOTTEN
    if params.licences is not None and row["licence"] not in params.licences:
        return FetchOutcome("refused", f"licence {row['licence'] or 'unknown'} is not among those allowed")
    return None


def read_outcome(row: Row, reader: Reader | None, strip_metadata: bool, contents: ContentBuffer) -> FetchOutcome:
    """The outcome of reading `row` through `reader`; its bytes are stored in `contents`."""
    if reader is None:
        return FetchOutcome("refused", "no source reads this URL scheme")
    try:
        content = reader(row)
    except NotFetchedError as error:
        return FetchOutcome(error.status, error.reason)
    if not content:
        return FetchOutcome("failed", "empty")
    extension = picture_extension(content) or UNKNOWN_EXTENSION
    if strip_metadata and extension != UNKNOWN_EXTENSION:
        try:
            content = without_metadata(content, extension)
        except MetadataError as error:
            return FetchOutcome("refused", f"its metadata cannot be removed: {error}")
    return FetchOutcome("ok", None, contents.put(content), extension, len(content))


def _fetch_web(rows: list[Row], params: FetchParams, scratch: Path, shard: str, progress: Callable[[int], object]) -> Mapping:
    """The outcome of fetching `rows` from the web, by key; their bytes are in the scratch folder."""
    if not rows:
        return {}
    from pipeline.stages.fetch import web_fetcher as fetcher  # imports an HTTP client, which other sources do not need

    terms = fetcher.FetchSettings(params.web, params.max_bytes, params.strip_metadata, params.refresh)
    wanted = [fetcher.Target(row["key"], row["url"]) for row in rows]
    return fetcher.fetch_targets(wanted, terms, scratch, shard, progress=progress)


def _tar_members(outcomes: Mapping[str, FetchOutcome], contents: ContentBuffer, bodies: Path) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every fetched picture, sorted by name."""
    kept = {outcome.sha256: outcome.extension for outcome in outcomes.values() if outcome.sha256 is not None}
    fetched = BodyStore(bodies) if any(sha256 not in contents for sha256 in kept) else None
    for sha256, extension in sorted(kept.items()):
        yield f"{sha256}.{extension}", fetched.get(sha256) if fetched and sha256 not in contents else contents.get(sha256)


def run(
    params: FetchParams,
    *,
    manifest: Path,
    forgotten: Path,
    downloads: Path,
    shard: Path,
    table: Path,
    scratch: Path,
    track: Tracker,
) -> None:
    """Write the tar of the shard and its table, for the rows of the manifest that are in the shard.

    Data sets are under `downloads`, where collect unpacked them. `scratch` keeps responses for this run and later ones.
    """
    frame = read_table(manifest, MANIFEST)
    gone = read_forgotten(forgotten)
    rows: list[Row] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    outcomes = {row["key"]: outcome for row in rows if (outcome := outcome_before_fetch(row, params, gone)) is not None}
    left = [row for row in rows if row["key"] not in outcomes]
    schemes = {row["key"]: row["url"].partition(":")[0] for row in left}
    shown = Progress(len(rows), f"fetch {shard.stem}", "pictures", initial=len(outcomes))
    with disk_full_as_error(shard.parent), shown, ContentBuffer(shard.parent) as contents:
        web_rows = [row for row in left if schemes[row["key"]] in WEB_SCHEMES]
        outcomes |= _fetch_web(web_rows, params, scratch, shard.stem, shown.update)
        readers = {
            scheme: reader_for(scheme, downloads, params.max_bytes) for scheme in sorted({*schemes.values()} - {*WEB_SCHEMES})
        }
        for row in left:
            if row["key"] not in outcomes:
                outcomes[row["key"]] = read_outcome(row, readers[schemes[row["key"]]], params.strip_metadata, contents)
                shown.update()
        outcomes = {key: FORGOTTEN if gone.has_content(outcome.sha256) else outcome for key, outcome in outcomes.items()}
        write_shard(shard, _tar_members(outcomes, contents, scratch / "bodies"))
    columns = pd.DataFrame([vars(outcomes[row["key"]]) for row in rows], columns=OUTCOME, dtype=object)
    fetched = pd.concat([frame.drop(columns=["status", "reason"]), columns], axis=1)
    write_table(table, fetched, RAW)
    distinct = fetched["sha256"].nunique()
    log.info("%d rows, %d distinct pictures, %d bytes", len(fetched), distinct, fetched["size_bytes"].fillna(0).sum())
    for line in rows_missing(fetched):
        log.info("%s", line)
    counts = {f"status_{status}": count for status, count in fetched["status"].value_counts().items()}
    track.metrics({"rows": len(fetched), "distinct": distinct, **counts})
