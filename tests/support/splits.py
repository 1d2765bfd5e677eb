"""Splits of training data written in one call, as small tests need them."""

from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.arrays import new_split


def write_split(folder: Path, split: str, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    """Write `images` (N, H, W, C) and `labels` (N,) of one split into `folder`."""
    with closing(new_split(folder, split, labels, images.shape[1:])) as file:
        if len(images):
            file.write(0, images)
