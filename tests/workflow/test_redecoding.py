"""After inspect: what it refused is never decoded, and what it passed only in a process with limits."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.errors import InputError
from pipeline.imaging.decoding import limits_of_inspected
from pipeline.imaging.inspect_schema import INSPECT
from pipeline.imaging.sandbox import SandboxLimits
from pipeline.pages.tiles import load_tiles, pixel_counts
from pipeline.storage.shards import write_shard
from pipeline.storage.tables import CURATED, read_table, read_tables
from tests.stages.inspect.test_inspect_hostile import bomb
from tests.support.data_stages import DataStages, tiny_params
from tests.support.web_pictures import drawn, encoded

CURATE = {"validation_share": 0.2, "test_share": 0.2, "min_per_category": 1}


def _never(*_: object, **__: object) -> None:
    raise AssertionError("decoded outside the sandbox")


@pytest.fixture
def with_twins(wardrobe: Path, tmp_path: Path) -> DataStages:
    """A wardrobe with two copies of a cut picture and two of a bomb, up to dedup."""
    hats = wardrobe / "hat"
    whole = encoded(drawn(5, (64, 48)), "JPEG")
    for number in range(2):
        (hats / f"cut-{number}.jpg").write_bytes(whole[: len(whole) // 2])
        (hats / f"bomb-{number}.png").write_bytes(bomb())
    shutil.copy(hats / "000.png", hats / "copy.png")
    params = tiny_params(wardrobe, curate=CURATE, augment={"copies": 1, "flip_categories": []})
    return DataStages(params, tmp_path / "data").up_to("dedup")


def test_identical_undecodable_pictures_are_dropped_and_not_shown(with_twins: DataStages) -> None:
    with_twins.curate()
    rows = read_table(with_twins.curated, CURATED)
    undecodable = rows[rows["reason"] == "undecodable"]
    assert len(undecodable) == 4
    page = with_twins.page.read_text(encoding="utf-8")
    assert not [sha256 for sha256 in undecodable["sha256"] if sha256 in page]
    shown = rows[rows["reason"] == "duplicate"]["sha256"]
    assert [sha256 for sha256 in shown if sha256 not in page] == []


def test_curate_and_augment_decode_nothing_in_their_own_process(
    with_twins: DataStages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.Image.open", _never)
    with_twins.curate()
    with_twins.augment()
    assert (with_twins.train / "preview.png").stat().st_size > 0


def test_only_decoded_pictures_are_asked_for(with_twins: DataStages) -> None:
    rows = read_tables(with_twins.inspect_tables, INSPECT)
    pixels = pixel_counts(rows, set(rows["sha256"]))
    assert set(pixels) == set(rows.loc[rows["decoded"], "sha256"])
    assert set(pixels.values()) == {48 * 48}


def test_a_table_without_sizes_still_has_its_decoded_pictures_shown() -> None:
    rows = pd.DataFrame({"sha256": ["a", "b"], "decoded": [True, None], "width": None, "height": None})
    assert list(pixel_counts(rows, {"a", "b"})) == ["a"]


def test_a_picture_that_cannot_be_decoded_any_more_is_left_out_of_a_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_shard(tmp_path / "00000.tar", [("a.png", encoded(drawn(0), "PNG")), ("b.png", b"damaged")])
    tiles = load_tiles([tmp_path / "00000.tar"], {"a": 1200, "b": 1200}, 16)
    assert {name: tile.shape for name, tile in tiles.items()} == {"a": (16, 16, 4)}
    assert [record.args[0] for record in caplog.records if isinstance(record.args, tuple)] == ["b"]


def test_a_curated_picture_that_breaks_the_limits_of_augment_is_named(
    with_twins: DataStages, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_twins.curate()
    monkeypatch.setattr("pipeline.stages.augment.run.limits_of_inspected", lambda _: SandboxLimits(10**9, 1e-6))
    rows = read_table(with_twins.curated, CURATED)
    with pytest.raises(InputError) as error:
        with_twins.augment()
    assert [sha256 for sha256 in rows.loc[rows["kept"], "sha256"] if sha256 in str(error.value)]
    assert not with_twins.train.exists()


def test_limits_grow_with_the_pixels_that_a_picture_is_known_to_have() -> None:
    small, large = limits_of_inspected(1_000_000), limits_of_inspected(500_000_000)
    assert small.memory_bytes < 2_000_000_000 < 32_000_000_000 < large.memory_bytes


def test_augment_makes_the_same_pictures_whatever_the_batch(with_twins: DataStages, monkeypatch: pytest.MonkeyPatch) -> None:
    with_twins.curate()
    with_twins.augment()
    before = np.load(with_twins.train / "train_images.npy")
    monkeypatch.setattr("pipeline.stages.augment.run.BATCH_BYTES", 1)
    with_twins.augment()
    assert np.array_equal(np.load(with_twins.train / "train_images.npy"), before)


def test_a_report_opens_no_other_format_than_the_one_it_wrote(tmp_path: Path) -> None:
    from pipeline.stages.report.run import _sheet
    from pipeline.storage.arrays import DatasetCard

    path = tmp_path / "grid.png"
    Image.new("RGB", (8, 8)).save(path, "TIFF")
    with pytest.raises(InputError, match=r"grid\.png"):
        _sheet(path, DatasetCard(["dress"], 8, 8, 3, "box", {}, {}, {}))
