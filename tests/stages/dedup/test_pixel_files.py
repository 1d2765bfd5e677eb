"""Pixels in files while dedup runs."""

import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.stages.dedup.pixel_files import PixelFiles
from pipeline.stages.dedup.run import read_pictures
from pipeline.storage.tables import KNOWN, write_table

COUNT = 2000


@pytest.fixture
def pixels(tmp_path: Path) -> Iterator[PixelFiles]:
    with closing(PixelFiles(tmp_path / "scratch", sketches=True)) as files:
        yield files


def _pictures(count: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    numbers = range(count)
    return pd.DataFrame(
        {
            "sha256": [f"{number:064x}" for number in numbers],
            "split": "train",
            "size_bytes": 1,
            "phash": np.arange(count, dtype=np.uint64),
            "phash_mirrored": np.arange(count, dtype=np.uint64),
            "thumbnail": [rng.bytes(256) for _ in numbers],
            "sketch": [rng.bytes(4096) for _ in numbers],
            **dict.fromkeys(["licence", "width", "height", "sharpness"]),
        }
    )


def test_pixels_come_back_in_the_order_that_is_asked_for(pixels: PixelFiles) -> None:
    pictures = _pictures(5)
    kept = pd.concat([pixels.take(pictures[:3]), pixels.take(pictures[3:])])
    assert kept["place"].tolist() == [0, 1, 2, 3, 4]
    assert not {"thumbnail", "sketch"} & set(kept)
    assert [row.tobytes() for row in pixels.thumbnails(np.array([4, 0]))] == list(pictures["thumbnail"][[4, 0]])
    sketches = pixels.sketches(np.array([3, 1, 2]))
    assert len(sketches) == 3
    assert [row.tobytes() for row in sketches[np.array([2, 0])]] == list(pictures["sketch"][[2, 3]])
    assert sketches[1:].shape == (2, 64, 64)
    assert pixels.sketches(np.array([], dtype=np.int64))[:].shape == (0, 64, 64)


def test_pictures_of_equal_hashes_and_pixels_have_one_likeness(pixels: PixelFiles) -> None:
    pictures = _pictures(1).loc[[0] * 6].reset_index(drop=True).assign(sha256=list("abcdef"), decoded=True)
    pictures.loc[1, "phash"] = 9
    pictures.loc[2, "sketch"] = bytes(4096)
    pictures.loc[3, "thumbnail"] = bytes(256)  # the sketch decides
    pictures.loc[[4, 5], "sketch"] = None
    pictures.loc[5, "thumbnail"] = bytes(256)
    assert pd.factorize(pixels.take(pictures)["likeness"])[0].tolist() == [0, 1, 2, 0, 3, 4]


def test_a_picture_that_could_not_be_decoded_is_like_its_own_bytes_only(pixels: PixelFiles) -> None:
    empty = dict.fromkeys(("phash", "phash_mirrored", "thumbnail", "sketch"))
    kept = pixels.take(pd.DataFrame([empty | {"sha256": sha256, "decoded": False} for sha256 in "aab"], dtype=object))
    assert pd.factorize(kept["likeness"])[0].tolist() == [0, 0, 1]
    assert not kept["sketched"].any()
    assert not pixels.thumbnails(kept["place"].to_numpy()).any()


def test_the_files_have_no_names_that_a_kill_could_leave_behind(tmp_path: Path, pixels: PixelFiles) -> None:
    pixels.take(_pictures(3))
    assert not list((tmp_path / "scratch").iterdir())


def test_a_table_is_never_in_memory_as_a_whole(tmp_path: Path, pixels: PixelFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(tmp_path / "known.parquet", _pictures(COUNT), KNOWN)
    monkeypatch.setattr("pipeline.storage.tables.BATCH_ROWS", COUNT // 20)
    tracemalloc.start()
    kept = read_pictures([tmp_path / "known.parquet"], KNOWN, KNOWN.names, pixels)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == COUNT
    assert peak_bytes < COUNT * 4096 / 2
