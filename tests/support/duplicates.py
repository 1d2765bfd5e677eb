"""dedup on pictures in memory."""

import tempfile
from contextlib import closing
from pathlib import Path

import pandas as pd

from pipeline.stages.dedup.params import DedupParams
from pipeline.stages.dedup.pixel_files import PixelFiles
from pipeline.stages.dedup.run import Memory, duplicates_of


def duplicates_among(pictures: pd.DataFrame, params: DedupParams, memory: Memory | None = None) -> pd.DataFrame:
    """`duplicates_of` for `pictures` that have their pixels in the columns thumbnail and sketch."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(PixelFiles(Path(folder), sketches=params.edited is not None)) as pixels,
    ):
        return duplicates_of(pixels.take(pictures), pixels, params, memory=memory)
