"""Augment: each picture has its slot in the arrays, and its copies depend only on the seed and the key."""

import logging
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.errors import InputError, ParamsError
from pipeline.imaging.decoding import decode
from pipeline.stages.augment.attributes import attributes_of
from pipeline.stages.augment.params import AugmentParams
from pipeline.stages.augment.run import frame_of, preview_of
from pipeline.stages.augment.transforms import fit_to_frame, pixels_of
from pipeline.storage.arrays import SPLITS, read_card, read_split, split_sha256
from pipeline.storage.shards import read_shard, write_shard
from pipeline.storage.tables import CURATED, read_table, write_table
from tests.support.data_stages import DataStages, tiny_params
from tests.support.garments import draw_wardrobe

CHANGES = {
    "copies": 3,
    "rotate_degrees": 20.0,
    "min_scale": 0.9,
    "max_scale": 1.1,
    "translate": 0.1,
    "crop": 0.1,
    "flip_categories": ["*"],
    "brightness": 0.2,
    "saturation": 0.2,
    "contrast": 0.2,
    "hue": 0.05,
    "channels": 3,
    "height": 24,
    "width": 16,
}


@pytest.fixture
def curated(wardrobe: Path, tmp_path: Path) -> DataStages:
    """A wardrobe, curated into training, validation and test pictures."""
    params = tiny_params(wardrobe, curate={"validation_share": 0.2, "test_share": 0.2, "min_per_category": 1}, augment=CHANGES)
    return DataStages(params, tmp_path / "data").up_to("curate")


CUT_OUT = {"ground": "plain", "frame": "garment", "pad_value": [10, 200, 30], "garment_share": 0.9}


def _cut_out(wardrobe: Path, data: Path, **augment: object) -> DataStages:
    curate = {"validation_share": 0.2, "test_share": 0.2, "min_per_category": 1}
    params = tiny_params(wardrobe, inspect={"detect": ["garment"]}, curate=curate, augment=CHANGES | CUT_OUT | augment)
    stages = DataStages(params, data).up_to("curate")
    stages.augment()
    return stages


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_reference_sets_hold_each_kept_picture_in_key_order(curated: DataStages) -> None:
    curated.augment()
    contents = {name.partition(".")[0]: content for shard in curated.shards for name, content in read_shard(shard)}
    rows = read_table(curated.curated, CURATED)
    kept = rows[rows["kept"]].sort_values("key")
    assert set(kept["split"]) == {"train", "validation", "test"}
    for split, part in kept.groupby("split"):
        images, labels = read_split(curated.train, f"reference_{split}")
        assert (images.shape, images.dtype, labels.dtype) == ((len(part), 24, 16, 3), np.uint8, np.int64)
        assert labels.tolist() == part["label"].tolist()
        for image, sha256 in zip(images, part["sha256"], strict=True):
            picture = decode(contents[sha256], 10**6).image
            assert np.array_equal(image, pixels_of(fit_to_frame(picture, frame_of(curated.params.augment)), 3))


def test_first_copy_equals_the_reference_and_others_differ(curated: DataStages) -> None:
    curated.augment()
    reference, reference_labels = read_split(curated.train, "reference_train")
    images, labels = read_split(curated.train, "train")
    assert np.array_equal(images[::3], reference)
    assert labels.tolist() == np.repeat(reference_labels, 3).tolist()
    for second, third in zip(images[1::3], images[2::3], strict=True):
        assert not np.array_equal(second, third)


def test_copies_do_not_depend_on_shards_or_other_pictures(curated: DataStages, wardrobe: Path, tmp_path: Path) -> None:
    curated.augment()
    before = _files(curated.train)
    one_shard = DataStages(
        tiny_params(wardrobe, collect={"shards": 1}, curate=curated.params.curate.model_dump(), augment=CHANGES),
        tmp_path / "other",
    )
    assert _files(one_shard.up_to("augment").train) == before
    # Without the other categories, and with one copy fewer, what is left is the same.
    for category in ("dress", "hat", "shoe"):
        for path in (wardrobe / category).iterdir():
            path.unlink()
    fewer = tiny_params(wardrobe, curate=curated.params.curate.model_dump(), augment=CHANGES | {"copies": 2})
    alone = DataStages(fewer, tmp_path / "alone").up_to("augment")
    all_images, _ = read_split(curated.train, "train")
    images, _ = read_split(alone.train, "train")
    found = {image.tobytes() for image in all_images}
    assert len(images) >= 10
    assert all(image.tobytes() in found for image in images)


def test_another_seed_changes_only_the_copies(curated: DataStages, wardrobe: Path, tmp_path: Path) -> None:
    curated.augment()
    other = tiny_params(wardrobe, curate=curated.params.curate.model_dump(), augment=CHANGES | {"seed": 1})
    seeded = DataStages(other, tmp_path / "seeded").up_to("augment")
    before, after = (read_split(stages.train, "train")[0] for stages in (curated, seeded))
    assert np.array_equal(before[::3], after[::3])
    assert not np.array_equal(before[1::3], after[1::3])
    assert split_sha256(curated.train, "reference_test") == split_sha256(seeded.train, "reference_test")


def test_only_flip_categories_are_flipped(wardrobe: Path, tmp_path: Path) -> None:
    augment = {"copies": 9, "flip_categories": ["hat"], "rotate_degrees": 0.0}
    stages = DataStages(tiny_params(wardrobe, augment=augment), tmp_path / "data").up_to("augment")
    images, labels = read_split(stages.train, "train")
    hat = read_card(stages.train).categories.index("hat")
    for label, originals in ((label, np.flatnonzero(labels[::9] == label) * 9) for label in np.unique(labels)):
        mirrored = [np.array_equal(images[at + copy], images[at][:, ::-1]) for at in originals for copy in range(1, 9)]
        untouched = [np.array_equal(images[at + copy], images[at]) for at in originals for copy in range(1, 9)]
        assert all(flip or same for flip, same in zip(mirrored, untouched, strict=True))
        assert 0.25 < np.mean(mirrored) < 0.75 if label == hat else not any(mirrored)


def test_the_card_describes_the_arrays(curated: DataStages) -> None:
    curated.augment()
    card = read_card(curated.train)
    assert card.categories == ["dress", "hat", "shirt", "shoe", "trousers"]
    assert (card.height, card.width, card.channels, card.resize_filter) == (24, 16, 3, "lanczos")
    assert card.counts == {split: len(read_split(curated.train, split)[1]) for split in SPLITS}
    assert card.sha256 == {split: split_sha256(curated.train, split) for split in SPLITS}
    assert card.counts["train"] == 3 * card.counts["reference_train"]


def test_a_split_may_be_empty(wardrobe: Path, tmp_path: Path) -> None:
    stages = DataStages(tiny_params(wardrobe), tmp_path / "data").up_to("augment")
    images, labels = read_split(stages.train, "reference_validation")
    assert (images.shape, labels.shape) == ((0, 16, 16, 1), (0,))


def test_augmenting_again_gives_the_same_bytes(curated: DataStages) -> None:
    curated.augment()
    before = _files(curated.train)
    curated.shards.reverse()
    curated.augment()
    assert _files(curated.train) == before
    assert not list(curated.train.parent.glob(".*partial"))


def test_unknown_flip_category_is_a_params_error(wardrobe: Path, tmp_path: Path) -> None:
    params = tiny_params(wardrobe, augment={"flip_categories": ["hats"]})
    with pytest.raises(ParamsError, match=r"augment\.flip_categories: no category 'hats'; there are dress, hat, shirt"):
        DataStages(params, tmp_path / "data").up_to("augment")


def test_picture_missing_from_the_shards_is_an_input_error(curated: DataStages) -> None:
    write_shard(curated.shards[0], [])
    with pytest.raises(InputError, match="run fetch again"):
        curated.augment()
    assert not curated.train.exists()


@pytest.mark.parametrize("augment", [{"copies": 2, "flip_categories": [], "rotate_degrees": 0.0}, {"copies": 1, "crop": 0.1}])
def test_changes_without_copies_or_copies_without_changes_warn(
    wardrobe: Path, tmp_path: Path, augment: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        DataStages(tiny_params(wardrobe, augment=augment), tmp_path / "data").up_to("augment")
    assert "augment.copies" in caplog.text


def test_preview_with_copies_shows_each_picture_beside_its_copies(curated: DataStages) -> None:
    curated.augment()
    images, labels = read_split(curated.train, "train")
    sheet = np.asarray(Image.open(curated.train / "preview.png"))
    times = 64 // 16
    categories = [label for label in range(5) if (labels == label).any()]
    rows = sum(min(2, (labels == label).sum() // 3) for label in categories)
    assert sheet.shape == ((rows * (24 + 2) - 2) * times, (3 * (16 + 2) - 2) * times, 3)
    first = np.flatnonzero(labels == categories[0])[:3]
    for column, image in enumerate(images[first]):
        assert np.array_equal(sheet[: 24 * times : times, column * 18 * times : (column * 18 + 16) * times : times], image)


def test_the_preview_without_copies_has_ten_pictures_of_each_category() -> None:
    images = np.arange(24, dtype=np.uint8)[:, None, None, None] * np.ones((1, 64, 64, 1), np.uint8)
    labels = np.arange(24, dtype=np.int64) % 2
    sheet = np.asarray(preview_of(images, labels, copies=1))
    assert sheet.shape == (2 * 66 - 2, 10 * 66 - 2)
    assert sheet[0, ::66].tolist() == list(range(0, 20, 2))
    assert sheet[66, ::66].tolist() == list(range(1, 21, 2))


def test_memory_stays_small_beside_the_arrays(tmp_path: Path) -> None:
    draw_wardrobe(tmp_path / "pictures", ["dress", "hat"], 40, seed=0)
    changes = {"copies": 4, "height": 256, "width": 256, "channels": 3}
    stages = DataStages(tiny_params(tmp_path / "pictures", augment=changes), tmp_path / "data").up_to("curate")
    tracemalloc.start()
    stages.augment()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read_split(stages.train, "train")[0].nbytes > 40_000_000
    assert peak < 20_000_000


def _seen(**columns: list[object]) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    names = [f"garment_{name}{ending}" for name in ("colour", "pattern") for ending in ("", "_confidence")]
    empty = {name: [None] * count for name in ("extra", *names)}
    return pd.DataFrame({"split": ["train"] * count} | empty | columns)


def test_attributes_come_from_the_column_extra() -> None:
    extras: list[object] = [
        '{"colour": "red; blue", "year": 2020}',
        '{"colour": ["blue"]}',
        None,
        '{"season": "winter"}',
        '{"season": null}',
    ]
    kept = _seen(extra=extras, split=["train", "train", "train", "train", "test"])
    values, flags = attributes_of(kept, AugmentParams(attributes=["season", "colour"]))
    assert list(values.items()) == [("colour", ["blue", "red"]), ("season", ["winter"])]  # as JSON keeps them
    assert flags["train"].tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert flags["test"].tolist() == [[0, 0, 0]]
    with pytest.raises(ParamsError, match="attributes: sleeves has 0 values"):
        attributes_of(kept, AugmentParams(attributes=["sleeves"]))
    nothing, none = attributes_of(kept, AugmentParams())
    assert (nothing, none["train"].shape) == ({}, (4, 0))


def test_attributes_that_inspect_saw_are_unknown_below_the_least_confidence() -> None:
    kept = _seen(
        garment_colour=["red", "blue", None, "red"],
        garment_colour_confidence=[0.9, 0.1, None, 0.2],
        garment_pattern=["plain", "plain", "striped", "dotted"],
        garment_pattern_confidence=[0.9, 0.9, 0.9, 0.9],
        split=["train", "train", "train", "test"],
    )
    values, flags = attributes_of(kept, AugmentParams(garment_attributes=["colour", "pattern"]))
    assert values == {"colour": ["red"], "pattern": ["plain", "striped"]}
    assert flags["train"].tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert flags["test"].tolist() == [[1, 0, 0]]  # no training picture is dotted
    with pytest.raises(ParamsError, match=r"garment_attributes: colour is also in augment\.attributes"):
        attributes_of(kept, AugmentParams(attributes=["colour"], garment_attributes=["colour"]))


def test_cut_out_garments_stand_on_the_plain_ground_at_their_share(wardrobe: Path, tmp_path: Path) -> None:
    stages = _cut_out(wardrobe, tmp_path / "data", height=32, width=32)
    rows = read_table(stages.curated, CURATED)
    assert rows.loc[rows["kept"], "garment"].notna().all()
    images, _ = read_split(stages.train, "reference_train")
    ground = np.array(CUT_OUT["pad_value"])
    assert (images[:, [0, 0, -1, -1], [0, -1, 0, -1]] == ground).all()  # the corners
    garments = (np.abs(images.astype(int) - ground) > 24).any(-1)
    sides = [max(np.ptp(np.flatnonzero(garment.any(axis))) + 1 for axis in (0, 1)) for garment in garments]
    assert np.median(sides) == pytest.approx(0.9 * 32, abs=2)


def test_random_changes_leave_the_plain_ground_alone(wardrobe: Path, tmp_path: Path) -> None:
    stages = _cut_out(wardrobe, tmp_path / "data", hue=0.3, brightness=0.5)
    images, _ = read_split(stages.train, "train")
    copies = images.reshape(-1, 3, *images.shape[1:])[:, 1:]
    corners = copies[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == np.array(CUT_OUT["pad_value"])).mean() > 0.85  # a changed garment may reach a corner


def test_a_framed_garment_may_keep_its_background(wardrobe: Path, tmp_path: Path) -> None:
    shares = []
    for ground in ("plain", "keep"):
        images, _ = read_split(_cut_out(wardrobe, tmp_path / ground, ground=ground).train, "reference_train")
        shares.append((images == np.array(CUT_OUT["pad_value"])).all(-1).mean())
    assert shares[0] > 2 * shares[1]  # what reaches beyond the picture is padded in both


def test_a_picture_without_a_garment_stays_whole(wardrobe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    curate = {"validation_share": 0.2, "test_share": 0.2, "min_per_category": 1}
    params = tiny_params(wardrobe, inspect={"detect": ["garment"]}, curate=curate, augment=CHANGES | CUT_OUT)
    stages = DataStages(params, tmp_path / "data").up_to("curate")
    rows = read_table(stages.curated, CURATED)
    rows["garment"] = None
    write_table(stages.curated, rows, CURATED)
    with caplog.at_level(logging.WARNING):
        stages.augment()
    assert "no garment" in caplog.text
    found, _ = read_split(stages.train, "reference_train")
    whole, _ = read_split(_cut_out(wardrobe, tmp_path / "whole", ground="keep", frame="picture").train, "reference_train")
    np.testing.assert_array_equal(found, whole)
