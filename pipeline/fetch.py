"""Bring the bytes of one shard's pictures."""

import logging
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from pipeline.errors import InputError
from pipeline.params import FetchParams
from pipeline.sources import NotFetchedError, datasets, folder
from pipeline.store.contents import Contents
from pipeline.store.shards import write_shard
from pipeline.store.tables import MANIFEST, RAW, read_table, write_table
from pipeline.store.tracking import Tracker

# How each format begins, and the extension it is kept under; whether it is whole is for inspect to find out.
BEGINNINGS = (
    (b"\xff\xd8\xff", 0, "jpg"),
    (b"\x89PNG\r\n\x1a\n", 0, "png"),
    (b"GIF8", 0, "gif"),
    (b"WEBP", 8, "webp"),
    (b"BM", 0, "bmp"),
    (b"II*\0", 0, "tif"),
    (b"MM\0*", 0, "tif"),
    (b"ftypavi", 4, "avif"),
)

Reader = Callable[[str, str | None], bytes]

log = logging.getLogger(__name__)


def shard_of(key: str, shards: int) -> int:
    """Number of the shard that holds the row `key`."""
    return int(key, 16) % shards


def extension_of(content: bytes) -> str:
    """The extension for bytes that begin like a picture, else `bin`."""
    return next((extension for start, at, extension in BEGINNINGS if content.startswith(start, at)), "bin")


def _reader(scheme: str, params: FetchParams, downloads: Path) -> Reader | None:
    match scheme:
        case folder.SCHEME:
            return lambda url, page: folder.read_picture(url, page, params.max_bytes)
        case datasets.SCHEME:
            pictures = datasets.FashionMnist(datasets.fashion_mnist_folder(downloads))
            return lambda url, _: pictures.png_of(url)
        case _:
            return None


def outcome_of(url: str, page: str | None, reader: Reader | None, contents: Contents) -> dict[str, object]:
    """The columns that fetch adds to a row of the manifest; its bytes, when they came, are added to `contents`."""
    missing = {"sha256": None, "extension": None, "size_bytes": None}
    if reader is None:
        return missing | {"status": "refused", "reason": "no source reads such a url"}
    try:
        content = reader(url, page)
    except NotFetchedError as error:
        return missing | {"status": error.status, "reason": error.reason}
    if not content:
        return missing | {"status": "failed", "reason": "empty"}
    extension = extension_of(content)
    sha256 = contents.add(content, extension)
    return {"status": "ok", "reason": None, "sha256": sha256, "extension": extension, "size_bytes": len(content)}


def run(params: FetchParams, *, manifest: Path, shard: Path, table: Path, track: Tracker) -> None:
    """Write the shard's tar, and the table beside it."""
    number = int(shard.stem)
    if number >= params.shards:
        raise InputError(f"{shard}: fetch.shards is {params.shards}, so there is no shard {number}")
    rows = read_table(manifest, MANIFEST)
    rows = rows[[shard_of(key, params.shards) == number for key in rows["key"]]].reset_index(drop=True)
    schemes = [url.partition(":")[0] for url in rows["url"]]
    readers = {scheme: _reader(scheme, params, manifest.parent / "sources") for scheme in sorted(set(schemes))}
    with Contents(shard.parent) as contents:
        asked = zip(rows["url"], rows["page"], schemes, strict=True)
        shown = tqdm(asked, total=len(rows), desc=f"fetch {number}", unit=" pictures", mininterval=1.0)
        outcomes = [outcome_of(url, page, readers[scheme], contents) for url, page, scheme in shown]
        write_shard(shard, contents.members())
        distinct = len(contents)
    columns = ["status", "reason", "sha256", "extension", "size_bytes"]
    fetched = pd.concat([rows, pd.DataFrame(outcomes, columns=columns, dtype=object)], axis=1)
    write_table(table, fetched, RAW)
    log.info("%d rows, %d distinct pictures, %d bytes", len(fetched), distinct, fetched["size_bytes"].fillna(0).sum())
    missing = fetched[fetched["status"] != "ok"]
    for told, count in (missing["status"] + ": " + missing["reason"]).value_counts().items():
        log.info("%s: %d", told, count)
    counts = {f"status_{status}": count for status, count in fetched["status"].value_counts().items()}
    track.metrics({"rows": len(fetched), "distinct": distinct, **counts})
