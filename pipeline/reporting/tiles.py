"""Small pictures for a page, from the shards that hold the large ones."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.images.decoding import decoded
from pipeline.reporting.pictures import framed
from pipeline.store.shards import read_shard

MAX_PIXELS = 1 << 28  # shown pictures have passed `inspect`, which has a limit of its own


def tiles_of(shards: list[Path], wanted: set[str], side_px: int) -> dict[str, NDArray[np.uint8]]:
    """Small pictures (side_px, side_px, 4) of those `wanted` by SHA-256."""
    found: dict[str, NDArray[np.uint8]] = {}
    for shard in tqdm(sorted(shards), desc="look for examples", unit="shard", mininterval=1.0):
        for name, content in read_shard(shard):
            sha256 = Path(name).stem
            if sha256 in wanted:
                found[sha256] = framed(decoded(content, MAX_PIXELS).image, side_px)
    return found
