"""The packed training data: one uint8 array a split, memory-mapped, with its labels and a description."""

import json
import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.storage.checksums import SUMS, check_folder, damaged
from pipeline.storage.files import sha256_of_file, write_json

ATTRIBUTES = "train_attributes.npy"
UNREADABLE_ARRAY = (OSError, EOFError, ValueError)  # what numpy.load raises; EOFError where a file is empty
SPLITS = ("train", "reference_train", "reference_validation", "reference_test")


def has_alpha(channels: int) -> bool:
    """Whether the last of so many channels is alpha: 2 are grey with alpha, 4 RGBA."""
    return channels in (2, 4)


def colour_channels(channels: int) -> int:
    """The number of channels besides alpha: 1 or 3."""
    return channels - has_alpha(channels)


@dataclass(frozen=True)
class DatasetCard:
    """What data/train/ holds; stands in passports."""

    categories: list[str]
    height: int
    width: int
    channels: int  # 1 and 3, or 2 and 4 with alpha
    resize_filter: str
    counts: dict[str, int]  # pictures per split
    sha256: dict[str, str]  # of each split's images
    attributes: dict[str, list[str]] = field(default_factory=dict)  # values of each, a column of train_attributes.npy each

    @property
    def colours(self) -> str:
        """What the channels are, in words."""
        return ("grey" if colour_channels(self.channels) == 1 else "colour") + (
            " with alpha" if has_alpha(self.channels) else ""
        )

    def profile(self, split: str) -> dict[str, int | str]:
        """The number, shape and categories of the pictures of one of SPLITS, to accompany its hash."""
        shape = f"{self.height}×{self.width}×{self.channels}"
        return {"pictures": self.counts[split], "shape": shape, "categories": ", ".join(self.categories)}


class SplitFile:
    """Images (N, H, W, C) uint8 of one split on disk, written in any order.

    It writes by system calls, because an array of gigabytes that is written in random order through a memory map would stay in
    memory as a whole.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self._offset = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape).offset
        self._picture_bytes = math.prod(shape[1:])
        self._descriptor = os.open(path, os.O_WRONLY)

    def write(self, first: int, images: NDArray[np.uint8]) -> None:
        """Write `images` (M, H, W, C) to the positions from `first` on."""
        content = np.ascontiguousarray(images).data.cast("B")
        place = self._offset + first * self._picture_bytes
        while content:
            written = os.pwrite(self._descriptor, content, place)
            content, place = content[written:], place + written

    def close(self) -> None:
        """Release the file."""
        os.close(self._descriptor)


def new_split(folder: Path, split: str, labels: NDArray[np.int64], shape: tuple[int, ...]) -> SplitFile:
    """Images of one split in `folder`, to be filled in; `shape` is (H, W, C), `labels` (N,)."""
    np.save(folder / f"{split}_labels.npy", labels)
    return SplitFile(folder / f"{split}_images.npy", (len(labels), *shape))


def read_split(folder: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, H, W, C) uint8, memory-mapped, and labels (N,) int64 of one of SPLITS. Raises InputError."""
    try:
        images = np.load(folder / f"{split}_images.npy", mmap_mode="r")
        return images, np.load(folder / f"{split}_labels.npy")
    except UNREADABLE_ARRAY as error:
        raise InputError(f"{folder}: split {split} cannot be read ({error}); run augment again") from error


def write_attributes(folder: Path, flags: NDArray[np.uint8], split: str = "train") -> None:
    """Write which attributes the pictures of `split` have, (N, A) zeros and ones, into `folder`."""
    np.save(folder / f"{split}_attributes.npy", flags)


def read_attributes(folder: Path, split: str = "train") -> NDArray[np.uint8]:
    """Which attributes the pictures of `split`, train or reference_test, have, (N, A) zeros and ones. Raises InputError."""
    path = folder / f"{split}_attributes.npy"
    try:
        flags: NDArray[np.uint8] = np.load(path)
    except UNREADABLE_ARRAY as error:
        raise InputError(f"{path}: cannot be read ({error}); run augment again") from error
    return flags


def write_card(folder: Path, card: DatasetCard) -> None:
    """Write `card` as dataset.json."""
    write_json(folder / "dataset.json", asdict(card))


def read_card(folder: Path) -> DatasetCard:
    """The description of the data in `folder`. Raises InputError."""
    try:
        return DatasetCard(**json.loads((folder / "dataset.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{folder}/dataset.json cannot be read ({error}); run augment again") from error


def check_dataset(folder: Path) -> None:
    """Raise InputError unless the files in `folder` are as augment wrote them."""
    check_folder(folder, "augment")
    if (folder / SUMS).exists():
        return
    # An older version recorded only the SHA-256 of the images, in dataset.json.
    for split, sha256 in read_card(folder).sha256.items():
        path = folder / f"{split}_images.npy"
        if path.exists() and sha256_of_file(path) != sha256:
            raise damaged(path, "augment", "its SHA-256 is not the one in dataset.json")


def split_sha256(folder: Path, split: str) -> str:
    """SHA-256 of a split's image file."""
    return sha256_of_file(folder / f"{split}_images.npy")
