"""Inspect: a row of measures for every fetched picture, and a reason for every undecodable one."""

import io
import itertools
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from pipeline.errors import InputError
from pipeline.imaging.garment_kinds import Kind
from pipeline.imaging.inspect_schema import INSPECT
from pipeline.imaging.measures import inspected_measures
from pipeline.stages.inspect.params import InspectParams
from pipeline.stages.inspect.run import kinds_of, rows_of, same_kind
from pipeline.storage.shards import read_shard
from pipeline.storage.tables import RAW, read_table, read_tables
from tests.support.data_stages import DataStages, by_file, tiny_params
from tests.support.garments import draw_wardrobe

ON_DEMAND = (
    "sketch",
    "text",
    "face",
    "faces",
    "clothing",
    "features",
    "garment",
    *(name for name in INSPECT.names if name.startswith("garment_")),
    *(measure.name for measure in inspected_measures() if measure.detector),
)


@pytest.fixture
def inspected(wardrobe: Path, tmp_path: Path) -> DataStages:
    """A wardrobe with odd files in it, inspected."""
    hats = wardrobe / "hat"
    whole = (hats / "000.png").read_bytes()
    (hats / "half.png").write_bytes(whole[: len(whole) // 2])
    (hats / "text.jpg").write_text("no picture")
    (hats / "empty.png").write_bytes(b"")
    shutil.copy(hats / "000.png", hats / "copy.png")
    Image.open(hats / "001.png").resize((600, 300)).save(hats / "large.webp", lossless=True)
    Image.open(hats / "001.png").convert("CMYK").save(hats / "print.jpg")
    Image.open(hats / "001.png").resize((1100, 1000)).save(hats / "huge.png")
    params = tiny_params(wardrobe, inspect={"max_pixels": 1_000_000})
    return DataStages(params, tmp_path / "data").up_to("inspect")


def _files(stages: DataStages) -> dict[str, dict[Any, Any]]:
    raw = read_tables(stages.raw_tables, RAW, ["key", "url"]).drop(columns="shard")
    return by_file(read_tables(stages.inspect_tables, INSPECT).merge(raw, on="key"))


def test_tables_have_one_row_per_fetched_picture(inspected: DataStages) -> None:
    for raw_table, table in zip(inspected.raw_tables, inspected.inspect_tables, strict=True):
        raw = read_table(raw_table, RAW).dropna(subset="sha256")
        rows = read_table(table, INSPECT)
        assert rows[["key", "sha256"]].to_numpy().tolist() == raw[["key", "sha256"]].to_numpy().tolist()


def test_undecodable_file_has_a_reason_and_no_measures(inspected: DataStages) -> None:
    rows = read_tables(inspected.inspect_tables, INSPECT)
    measures = [name for name in INSPECT.names if name not in ("key", "sha256", "decoded", "reason", *ON_DEMAND)]
    assert rows.loc[~rows["decoded"], measures].isna().all(axis=None)
    assert rows.loc[rows["decoded"], measures].notna().all(axis=None)
    reasons = {name: row["reason"] for name, row in _files(inspected).items() if not row["decoded"]}
    assert sorted(reasons) == ["hat/half.png", "hat/huge.png", "hat/text.jpg"]
    assert reasons["hat/huge.png"] == "more than 1000000 pixels"
    assert reasons["hat/text.jpg"] == "not a picture of a known format"


def test_measures_describe_the_picture(inspected: DataStages) -> None:
    files = _files(inspected)
    large, printed, copy = (files[name] for name in ("hat/large.webp", "hat/print.jpg", "hat/copy.png"))
    assert (large["format"], large["mode"], large["width"], large["height"]) == ("WEBP", "RGB", 600, 300)
    assert (printed["format"], printed["mode"]) == ("JPEG", "CMYK")
    original = pd.Series(files["hat/000.png"])
    pd.testing.assert_series_equal(original.drop(["key", "url", "shard"]), pd.Series(copy).drop(["key", "url", "shard"]))
    rows = read_tables(inspected.inspect_tables, INSPECT)
    limits = {"brightness": 1, "contrast": 0.5, "entropy_bits": 8, "levels": 1, "background": 1}
    assert all(rows[name].dropna().between(0, limit).all() for name, limit in limits.items())


def test_hashes_are_imagehashs_bit_for_bit(inspected: DataStages) -> None:
    contents = {name.partition(".")[0]: content for shard in inspected.shards for name, content in read_shard(shard)}
    whole = [row for row in _files(inspected).values() if row["decoded"]]
    for row in whole:
        picture = Image.open(io.BytesIO(contents[row["sha256"]])).convert("RGB")
        assert f"{row['phash']:016x}" == str(imagehash.phash(picture))
        assert f"{row['phash_mirrored']:016x}" == str(imagehash.phash(ImageOps.mirror(picture)))
        assert len(row["thumbnail"]) == 256
    assert max(row["phash"] for row in whole) > 2**63  # all 64 bits survive the table


def test_rows_do_not_depend_on_the_batch(wardrobe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = [(path.name, path.read_bytes()) for path in sorted(wardrobe.rglob("*.png"))]
    members.insert(5, ("bad.png", b""))
    params = InspectParams(
        max_pixels=10_000, max_memory_bytes=10**9, timeout_s=30.0, background_tolerance=12, detect=[], sketch=True
    )
    together = list(rows_of(members, params))
    monkeypatch.setattr("pipeline.stages.inspect.run.BATCH", 3)
    assert list(rows_of(members, params)) == together
    assert isinstance(together[0]["phash"], np.uint64)


def test_inspecting_again_gives_the_same_bytes(inspected: DataStages) -> None:
    before = [path.read_bytes() for path in inspected.inspect_tables]
    inspected.inspect()
    assert [path.read_bytes() for path in inspected.inspect_tables] == before


def _measured_anew(stages: DataStages, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run inspect and return the number of pictures that were measured."""
    seen: list[str] = []

    def counted(
        members: Iterable[tuple[str, bytes]], params: InspectParams, kinds: Mapping[str, Kind | None]
    ) -> Iterator[dict[str, object]]:
        return rows_of((seen.append(member[0]) or member for member in members), params, kinds)  # type: ignore[func-returns-value]

    monkeypatch.setattr("pipeline.stages.inspect.run.rows_of", counted)
    stages.inspect()
    return len(seen)


def test_only_new_pictures_are_measured_whichever_shards_the_others_are_in(
    wardrobe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = tiny_params(wardrobe, inspect={"sketch": True}, collect={"shards": 4, "rows_per_turn": 5})
    stages = DataStages(params, tmp_path / "data").up_to("fetch")
    assert _measured_anew(stages, monkeypatch) == 40
    draw_wardrobe(wardrobe, ["ascot"], 2, seed=1)  # listed first, so that the turns of all others move
    (wardrobe / "ascot" / "broken.jpg").write_text("no picture")
    (wardrobe / "hat" / "000.png").unlink()
    before = [set(read_table(table, RAW, ["key"])["key"]) for table in stages.raw_tables]
    stages.up_to("fetch")
    after = [set(read_table(table, RAW, ["key"])["key"]) for table in stages.raw_tables]
    assert all(now - then for now, then in zip(after, before, strict=True))
    assert _measured_anew(stages, monkeypatch) == 3
    assert _measured_anew(stages, monkeypatch) == 1, "undecodable pictures are tried again"
    tables = [path.read_bytes() for path in stages.inspect_tables]
    shutil.rmtree(stages.scratch / "inspect")
    assert _measured_anew(stages, monkeypatch) == 42
    assert [path.read_bytes() for path in stages.inspect_tables] == tables


@pytest.mark.parametrize("sharding", [{"shards": 7}, {"rows_per_turn": 3}])
def test_another_sharding_measures_no_picture_again(
    wardrobe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sharding: dict[str, int]
) -> None:
    collect = {"shards": 4, "rows_per_turn": 5}
    DataStages(tiny_params(wardrobe, collect=collect), tmp_path / "data").up_to("inspect")
    stages = DataStages(tiny_params(wardrobe, collect=collect | sharding), tmp_path / "data").up_to("fetch")
    assert _measured_anew(stages, monkeypatch) == 0


def test_a_killed_job_keeps_the_batches_that_it_has_measured(
    wardrobe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = DataStages(tiny_params(wardrobe, collect={"shards": 1}), tmp_path / "data").up_to("fetch")
    monkeypatch.setattr("pipeline.stages.inspect.run.BATCH", 8)
    with monkeypatch.context() as killed:

        def stopped(members: Iterable[tuple[str, bytes]], params: InspectParams) -> Iterator[dict[str, object]]:
            yield from itertools.islice(rows_of(members, params), 20)
            raise KeyboardInterrupt

        killed.setattr("pipeline.stages.inspect.run.rows_of", stopped)
        with pytest.raises(KeyboardInterrupt):
            stages.inspect()
    assert _measured_anew(stages, monkeypatch) == 40 - 16


@pytest.mark.parametrize("change", [{"background_tolerance": 7}, {"sketch": True}])
def test_changed_parameters_measure_everything_again(
    wardrobe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    DataStages(tiny_params(wardrobe, inspect={"sketch": False}), tmp_path / "data").up_to("inspect")
    assert _measured_anew(DataStages(tiny_params(wardrobe, inspect=change), tmp_path / "data"), monkeypatch) == 40


def test_pictures_whose_category_means_another_kind_of_garment_are_measured_again() -> None:
    raw = pd.DataFrame({"sha256": ["a", "b", "c", "d"], "category": ["dress", "hat", None, "skirt"]})
    measured = pd.DataFrame({"sha256": ["a", "b", "c", "d"], "garment_kind": ["dress", None, None, "dress"]})
    assert same_kind(measured, kinds_of(raw)).tolist() == [True, True, True, False]
    assert same_kind(measured.assign(garment_kind=None), {}).all(), "no garment is looked for"


def test_bytes_in_two_categories_are_measured_as_the_first() -> None:
    assert kinds_of(pd.DataFrame({"sha256": ["a", "a"], "category": ["pants", "dress"]})) == {"a": "trousers"}


def test_damaged_memo_is_ignored(wardrobe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = DataStages(tiny_params(wardrobe, collect={"shards": 1}), tmp_path / "data").up_to("inspect")
    [memory] = (stages.scratch / "inspect").glob("*.sqlite")
    memory.write_bytes(memory.read_bytes()[:-5000])
    assert _measured_anew(stages, monkeypatch) == 40
    assert _measured_anew(stages, monkeypatch) == 0


def test_damaged_shard_is_an_input_error(inspected: DataStages) -> None:
    inspected.shards[0].write_bytes(inspected.shards[0].read_bytes()[:1000])
    with pytest.raises(InputError, match="not a whole shard"):
        inspected.inspect()


def test_detectors_fill_their_columns(wardrobe: Path, tmp_path: Path) -> None:
    for path in sorted(wardrobe.rglob("*.png"))[4:]:
        path.unlink()
    params = tiny_params(wardrobe, inspect={"detect": ["text", "faces", "clothing"]}, collect={"shards": 1})
    stages = DataStages(params, tmp_path / "data").up_to("inspect")
    rows = read_tables(stages.inspect_tables, INSPECT)
    assert len(rows) == 4
    assert (rows["face"] == 0).all()
    assert (rows["faces"] == "[]").all()
    assert rows["text"].between(0, 12).all()
    assert rows["clothing"].between(0, 1).all()
    assert {np.frombuffer(features, "<f2").shape for features in rows["features"]} == {(1280,)}
    before = stages.inspect_tables[0].read_bytes()
    shutil.rmtree(stages.scratch)
    stages.inspect()
    assert stages.inspect_tables[0].read_bytes() == before
