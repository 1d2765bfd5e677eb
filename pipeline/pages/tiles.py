"""Small pictures for a page, from the shards that hold the large ones."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.imaging.decoding import UNKNOWN_PIXELS, UndecodableError, decode, limits_of_inspected
from pipeline.imaging.sandbox import SandboxFailure, sandboxed_map_by_key
from pipeline.pages.pictures import framed
from pipeline.storage.shards import read_shard
from pipeline.tracking.progress import progress

log = logging.getLogger(__name__)


def shown_pixels(rows: pd.DataFrame, wanted: set[str]) -> dict[str, int]:
    """Pixels of each picture among `wanted`, by SHA-256, that `inspect` has decoded.

    `rows` have the columns sha256, decoded, width and height; the last two may be empty in a table of an earlier version.
    """
    there = rows[rows["sha256"].isin(wanted) & rows["decoded"].eq(True)]
    areas = (there["width"].astype(np.float64) * there["height"].astype(np.float64)).fillna(UNKNOWN_PIXELS)
    return dict(zip(there["sha256"], areas.astype(np.int64).tolist(), strict=True))


def _tile(content: bytes, max_pixels: int, side_px: int) -> NDArray[np.uint8] | SandboxFailure:
    try:
        return framed(decode(content, max_pixels).image, side_px)
    except UndecodableError as error:
        return SandboxFailure(str(error))


def tiles_of(shards: list[Path], pixels: Mapping[str, int], side_px: int) -> dict[str, NDArray[np.uint8]]:
    """Small pictures (side_px, side_px, 4) by SHA-256 of those in `pixels`, which `inspect` has decoded to so many.

    They are decoded in a process with limits. One that cannot be decoded any more is left out, and the log says so.
    """

    def members() -> Iterator[tuple[str, bytes]]:
        for shard in progress(sorted(shards), what="examples", unit="shards"):
            for name, content in read_shard(shard):
                if (sha256 := Path(name).stem) in pixels:
                    yield sha256, content

    found: dict[str, NDArray[np.uint8]] = {}
    most = max(pixels.values(), default=0)
    work = partial(_tile, max_pixels=most, side_px=side_px)
    with closing(sandboxed_map_by_key(work, members(), limits_of_inspected(most), processes=1)) as tiles:
        for sha256, tile in tiles:
            if isinstance(tile, SandboxFailure):
                log.warning("%s was decoded by inspect and cannot be any more (%s); run inspect again", sha256, tile.reason)
            else:
                found[sha256] = tile
    return found
