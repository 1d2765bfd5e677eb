"""Captions of drawn pictures, embedded without an encoder."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.captions import write_captions

DIM = 6


def unit_rows(count: int, dim: int = DIM, seed: int = 0) -> NDArray[np.float32]:
    """`count` unit vectors (N, dim)."""
    rows = np.random.default_rng(seed).standard_normal((count, dim), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def write_two_captions(folder: Path, pictures: int, splits: tuple[str, ...] = ("train",)) -> None:
    """Captions of `pictures` pictures, alternately `dark` and `bright`, with the second column empty in every fifth."""
    rows = np.stack([np.arange(pictures) % 2, np.arange(pictures) % 2 + 2], axis=1).astype(np.int32)
    rows[::5, 1] = -1
    texts = ["dark", "bright", "a dark one", "a bright one"]
    write_captions(folder, "drawn", texts, unit_rows(len(texts)), dict.fromkeys(splits, rows))
