"""Thumbnails for a page, decoded from the shards."""

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
from pipeline.pages.pictures import letterbox
from pipeline.storage.shards import read_shard
from pipeline.tracking.progress import progress

log = logging.getLogger(__name__)


def pixel_counts(rows: pd.DataFrame, wanted: set[str]) -> dict[str, int]:
    """Number of pixels, by SHA-256, of each image in `wanted` that `inspect` decoded.

    `rows` has the columns sha256, decoded, width and height; tables of earlier versions lack the last two.
    """
    decoded = rows[rows["sha256"].isin(wanted) & rows["decoded"].eq(True)]
    areas = (decoded["width"].astype(np.float64) * decoded["height"].astype(np.float64)).fillna(UNKNOWN_PIXELS)
    return dict(zip(decoded["sha256"], areas.astype(np.int64).tolist(), strict=True))


def _tile(content: bytes, max_pixels: int, side_px: int) -> NDArray[np.uint8] | SandboxFailure:
    try:
        return letterbox(decode(content, max_pixels).image, side_px)
    except UndecodableError as error:
        return SandboxFailure(str(error))


def load_tiles(shards: list[Path], pixels: Mapping[str, int], side_px: int) -> dict[str, NDArray[np.uint8]]:
    """Thumbnails (side_px, side_px, 4) by SHA-256 of the images in `pixels`, which has their numbers of pixels.

    Decoding runs in a sandbox. An image that can no longer be decoded is left out, with a warning.
    """

    def members() -> Iterator[tuple[str, bytes]]:
        for shard in progress(sorted(shards), what="examples", unit="shards"):
            for name, content in read_shard(shard):
                if (sha256 := Path(name).stem) in pixels:
                    yield sha256, content

    found: dict[str, NDArray[np.uint8]] = {}
    max_pixels = max(pixels.values(), default=0)
    work = partial(_tile, max_pixels=max_pixels, side_px=side_px)
    with closing(sandboxed_map_by_key(work, members(), limits_of_inspected(max_pixels), processes=1)) as tiles:
        for sha256, tile in tiles:
            if isinstance(tile, SandboxFailure):
                log.warning("%s can no longer be decoded as in inspect (%s); run inspect again", sha256, tile.reason)
            else:
                found[sha256] = tile
    return found
