"""Thumbnails and sketches in files while dedup runs: those of a million pictures take 4 GB, and as Python objects ten."""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.imaging.resizing import THUMBNAIL_SIDE_PX
from pipeline.imaging.sketches import SKETCH_SIDE_PX

DIGEST_BYTES = 16
PIXELS = ["thumbnail", "sketch"]

Indices = NDArray[np.int64]


class PixelRows:
    """Pictures (N, `side_px`, `side_px`) uint8: those of `file` at `places`, read when they are indexed."""

    def __init__(self, file: IO[bytes], places: Indices, side_px: int) -> None:
        self._file, self._places, self._side_px = file, places, side_px

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, which: slice | Indices) -> NDArray[np.uint8]:
        places = self._places[which]
        shape = (self._side_px, self._side_px)
        if not len(places):
            return np.empty((0, *shape), dtype=np.uint8)
        # Mapped anew each time: pages that were read earlier would count as memory of this process.
        stored = np.memmap(self._file, dtype=np.uint8, mode="r").reshape(-1, *shape)
        return np.array(stored[places])


class PixelFiles:
    """The pixels of pictures, in files in `folder` without a name, which the system removes even after a kill.

    Sketches are stored only if `sketches`.
    """

    def __init__(self, folder: Path, *, sketches: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._count = 0
        with ExitStack() as stack:
            self._sides_px = {"thumbnail": THUMBNAIL_SIDE_PX} | ({"sketch": SKETCH_SIDE_PX} if sketches else {})
            self._files = {
                name: stack.enter_context(tempfile.TemporaryFile(dir=folder, prefix=f"{name}-")) for name in self._sides_px
            }
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Remove the files."""
        self._stack.close()

    def take(self, pictures: pd.DataFrame) -> pd.DataFrame:
        """`pictures` with `place`, `likeness` and `sketched` instead of their pixels, which are stored at `place`.

        `likeness` is equal for pictures with the same hashes and the same sketches or, without sketches, thumbnails; `sketched`
        says whether a picture has a sketch.
        """
        if "decoded" not in pictures:
            pictures = pictures.assign(decoded=True)  # as is whatever an earlier run kept
        for name, file in self._files.items():
            file.write(b"".join(_filled(pictures[name], self._sides_px[name] ** 2)))
        places = np.arange(self._count, self._count + len(pictures))
        self._count += len(pictures)
        kept = pictures.drop(columns=PIXELS)
        return kept.assign(place=places, likeness=list(_likenesses(pictures)), sketched=pictures["sketch"].notna())

    def thumbnails(self, places: Indices) -> NDArray[np.uint8]:
        """The thumbnails (N, 16, 16) at `places`."""
        return self._rows("thumbnail", places)[:]

    def sketches(self, places: Indices) -> PixelRows:
        """The sketches (N, 64, 64) at `places`."""
        return self._rows("sketch", places)

    def _rows(self, name: str, places: Indices) -> PixelRows:
        file = self._files[name]
        file.flush()
        return PixelRows(file, places, self._sides_px[name])


def _filled(column: "pd.Series[bytes]", size_bytes: int) -> Iterable[bytes]:
    blank = bytes(size_bytes)  # of a picture that could not be decoded
    return (pixels if isinstance(pixels, bytes) else blank for pixels in column)


def _likenesses(pictures: pd.DataFrame) -> Iterator[bytes]:
    hashes = pictures[["phash", "phash_mirrored"]].fillna(0).astype(np.uint64).to_numpy()
    seen = pictures["sketch"].where(pictures["sketch"].notna(), pictures["thumbnail"])
    for decoded, first, pixels, sha256 in zip(pictures["decoded"], hashes, seen, pictures["sha256"], strict=True):
        yield hashlib.blake2b(first.tobytes() + pixels, digest_size=DIGEST_BYTES).digest() if decoded else sha256.encode()
