"""The packed training data: one uint8 array a split, memory-mapped, with its labels and a description."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.store.files import sha256_of_file, write_json

SPLITS = ("train", "reference_train", "reference_validation", "reference_test")


@dataclass(frozen=True)
class DatasetCard:
    """What data/train/ holds; stands in passports."""

    categories: list[str]
    height: int
    width: int
    channels: int
    resize_filter: str
    counts: dict[str, int]  # pictures per split
    sha256: dict[str, str]  # of each split's images


def write_split(folder: Path, split: str, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    """Write `images` (N, H, W, C) and `labels` (N,) of one split into `folder`."""
    new_split(folder, split, labels, images.shape[1:])[:] = images


def new_split(folder: Path, split: str, labels: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Images (N, H, W, C) of one split in `folder`, memory-mapped, to be filled in; `shape` is (H, W, C), `labels` (N,)."""
    np.save(folder / f"{split}_labels.npy", labels)
    path = folder / f"{split}_images.npy"
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(labels), *shape))


def read_split(folder: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, H, W, C) uint8, memory-mapped, and labels (N,) int64 of one of SPLITS. Raises InputError."""
    try:
        images = np.load(folder / f"{split}_images.npy", mmap_mode="r")
        return images, np.load(folder / f"{split}_labels.npy")
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: split {split} cannot be read ({error}); run augment again") from error


def write_card(folder: Path, card: DatasetCard) -> None:
    """Write `card` as dataset.json."""
    write_json(folder / "dataset.json", asdict(card))


def read_card(folder: Path) -> DatasetCard:
    """The description of the data in `folder`. Raises InputError."""
    try:
        return DatasetCard(**json.loads((folder / "dataset.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{folder}/dataset.json cannot be read ({error}); run augment again") from error


def split_sha256(folder: Path, split: str) -> str:
    """SHA-256 of a split's image file."""
    return sha256_of_file(folder / f"{split}_images.npy")
