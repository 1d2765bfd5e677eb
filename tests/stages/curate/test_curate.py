"""Curate: every picture is kept or dropped for one reason, and no duplicate group crosses a split."""

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.errors import InputError
from pipeline.imaging.garment_masks import packed
from pipeline.imaging.measures import limits
from pipeline.section import Quantile
from pipeline.stages.curate.params import CurateParams
from pipeline.stages.curate.run import (
    UNTRAINED,
    check_splits,
    curated_of,
    reasons_by_fault,
    splits_of,
    with_attributes,
    with_decisions,
    with_reasons,
)
from pipeline.storage.overrides import read_overrides
from pipeline.storage.tables import CURATED, DUPLICATES, GARMENT_ATTRIBUTES, MANIFEST, read_table
from tests.support.data_stages import DataStages, by_file, tiny_params
from tests.support.garments import draw_wardrobe

SOUND = {
    "status": "ok",
    "decoded": True,
    "category": "hat",
    "width": 100,
    "height": 100,
    "sharpness": 50.0,
    "brightness": 0.5,
    "shadow": 0.1,
    "highlight": 0.9,
    "contrast": 0.2,
    "entropy_bits": 6.0,
    "levels": 0.9,
    "colourfulness": 20.0,
    "background": 0.4,
    "cut_off": 0.1,
    "second": 0.0,
    "text": 0.0,
    "face": 0.0,
    "faces": "[]",
    "clothing": 0.9,
    "irrelevance": 1.0,
    "misplacement": -1.0,
    "garment_confidence": 0.9,
    "garment_coverage": 0.3,
    "garment_border": 0.0,
    "garment_pieces": 1,
    "garment_raggedness": 2.0,
    "garment": None,
    "page": None,
    "title": None,
    "alt": None,
    "decision": None,
    "representative": True,
    "difference": None,
    "split": None,
    "earlier_split": None,
}
MISSING = dict.fromkeys(SOUND.keys() - {"status", "category", "split", "earlier_split", "decision"})
# Each fault by one value that has it, in the order of precedence.
FAULTS: dict[str, dict[str, Any]] = {
    "fetch failed": MISSING | {"status": "failed"},
    "fetch refused": MISSING | {"status": "refused"},
    "undecodable": MISSING | {"decoded": False},
    "no category": {"category": None},
    "by hand": {"decision": "drop"},
    "too small": {"width": 31},
    "odd size": {"width": 1000, "height": 1000},
    "aspect": {"height": 301},
    "dark": {"brightness": 0.04},
    "bright": {"brightness": 0.96},
    "underexposed": {"highlight": 0.2},
    "washed out": {"shadow": 0.8},
    "flat": {"contrast": 0.01},
    "low information": {"entropy_bits": 0.9},
    "few levels": {"levels": 0.2},
    "grey": {"colourfulness": 1.0},
    "garment too small": {"background": 0.96},
    "cut off": {"cut_off": 0.91},
    "more than one": {"second": 0.81},
    "blurry": {"sharpness": 4.0},
    "text over it": {"text": 0.2},
    "face": {"face": 0.3},
    "not clothing": {"clothing": 0.01},
    "irrelevant": {"irrelevance": 3.0},
    "wrong category": {"misplacement": 0.6},
    "not cut out cleanly": {"garment_confidence": 0.2},
}


MEASURES = [
    "width",
    "height",
    "sharpness",
    "brightness",
    "shadow",
    "highlight",
    "contrast",
    "entropy_bits",
    "levels",
    "colourfulness",
    "background",
]
MEASURES += ["cut_off", "second", "difference", "text", "face", "clothing", "irrelevance", "misplacement"]
MEASURES += ["garment_confidence", "garment_coverage", "garment_border", "garment_pieces", "garment_raggedness"]


def _params(**changes: Any) -> CurateParams:
    limits: dict[str, Any] = {
        "min_side_px": 32,
        "max_aspect": 3.0,
        "min_sharpness": 5.0,
        "min_brightness": 0.05,
        "max_brightness": 0.95,
        "min_highlight": 0.3,
        "max_shadow": 0.7,
        "max_size_ratio": 5.0,
    }
    limits |= {
        "max_text": 0.1,
        "max_face": 0.2,
        "min_clothing": 0.1,
        "max_irrelevance": 2.0,
        "max_misplacement": 0.5,
        "min_garment_confidence": 0.6,
    }
    limits |= {"min_colourfulness": 2.0, "max_background": 0.95, "max_cut_off": 0.9, "max_second": 0.8}
    limits |= {"min_contrast": 0.02, "min_entropy_bits": 1.0, "min_levels": 0.4, "min_per_category": 1, "split": "hash"}
    return CurateParams(**(limits | {"validation_share": 0.0, "test_share": 0.2, "seed": 0} | changes))


def _pictures(*changes: dict[str, Any]) -> pd.DataFrame:
    rows = [SOUND | {"key": f"{number:016x}", "group": f"{number:016x}"} | change for number, change in enumerate(changes)]
    return pd.DataFrame([{"family": row["group"]} | row for row in rows]).astype(dict.fromkeys(MEASURES, float))


def test_each_fault_gives_its_reason() -> None:
    reasons = with_reasons(_pictures({}, *FAULTS.values()), _params())
    assert reasons.tolist() == [None, *FAULTS]


def test_faults_have_the_precedence_of_the_registry() -> None:
    assert list(reasons_by_fault(_pictures({}), _params())) == list(FAULTS)
    assert list(dict.fromkeys(limit.reason for _, _, limit in limits())) == list(FAULTS)[5:]
    own = list(FAULTS)[3:]
    for first, second in pairwise(own):
        if first != "dark":  # nothing is dark and bright
            reasons = with_reasons(_pictures(FAULTS[second] | FAULTS[first], {}, {}), _params())
            assert reasons.tolist() == [first, None, None]


@pytest.mark.parametrize(
    "change",
    [
        {"width": 32, "height": 32},
        {"width": 300},
        {"brightness": 0.05},
        {"brightness": 0.95},
        {"contrast": 0.02},
        {"entropy_bits": 1.0},
        {"sharpness": 5.0},
    ],
)
def test_limits_are_inclusive(change: dict[str, Any]) -> None:
    assert with_reasons(_pictures(change), _params()).tolist() == [None]


def test_size_ratio_is_relative_to_the_median_picture() -> None:
    pictures = _pictures(*({"width": side, "height": side} for side in (100, 100, 100, 501, 499, 20, 21)))
    reasons = with_reasons(pictures, _params(min_side_px=1))
    assert reasons.tolist() == [None, None, None, "odd size", None, None, None]
    assert with_reasons(pictures, _params(min_side_px=1, max_size_ratio=4.9)).tolist()[3:] == ["odd size"] * 3 + [None]


def test_group_keeps_its_representative() -> None:
    member = {"representative": False, "difference": 0.2, "group": "0" * 16}
    assert with_reasons(_pictures({}, member, member), _params()).tolist() == [None, "duplicate", "duplicate"]


def test_group_with_a_faulty_representative_keeps_its_closest_member() -> None:
    far = {"representative": False, "difference": 0.4, "group": "0" * 16}
    near = far | {"difference": 0.1}
    reasons = with_reasons(_pictures({"sharpness": 0.0}, far, near, near), _params())
    assert reasons.tolist() == ["blurry", "duplicate", None, "duplicate"]


def test_category_below_min_per_category_is_dropped() -> None:
    coats = [{"category": "coat"}] * 3 + [{"category": "coat", "sharpness": 0.0}]
    pictures = _pictures(*[{}] * 4, *coats)
    reasons = with_reasons(pictures, _params(min_per_category=4))
    assert reasons.tolist() == [None] * 4 + ["category too small"] * 3 + ["blurry"]
    rows = curated_of(pictures, _params(min_per_category=4))
    assert rows["label"].tolist() == [0] * 4 + [-1] * 4


def test_labels_are_alphabetical() -> None:
    rows = curated_of(_pictures(*({"category": category} for category in ("shoe", "dress", "hat", "dress"))), _params())
    assert rows["label"].tolist() == [2, 0, 1, 0]


def test_split_shares_are_met_and_stable_when_pictures_are_added() -> None:
    many = _pictures(*[{}] * 4000)
    params = _params(test_share=0.2, validation_share=0.1)
    splits = splits_of(many, params)
    assert splits.value_counts(normalize=True).to_dict() == pytest.approx(
        {"train": 0.7, "test": 0.2, "validation": 0.1}, abs=0.02
    )
    assert splits_of(many[:100], params).tolist() == splits[:100].tolist()
    assert splits_of(many, _params(test_share=0.2, validation_share=0.1, seed=1)).tolist() != splits.tolist()


def test_source_split_is_kept() -> None:
    pictures = _pictures(*[{"split": split} for split in ("train", "test", "validation", None)] * 50)
    splits = splits_of(pictures, _params(split="source", test_share=0.5, validation_share=0.2))
    assert [splits[start::4].unique().tolist() for start in range(3)] == [["train"], ["test"], ["validation"]]
    assert set(splits[3::4]) == {"train", "test", "validation"}


def test_split_missing_in_the_source_is_taken_from_training() -> None:
    pictures = _pictures(*[{"split": split} for split in ("train", "train", "train", "test")] * 100)
    splits = splits_of(pictures, _params(split="source", test_share=0.3, validation_share=0.3))
    train = splits[pictures["split"] == "train"]
    assert set(splits[pictures["split"] == "test"]) == {"test"}
    assert set(train) == {"train", "validation"}
    assert (train == "validation").mean() == pytest.approx(0.3, abs=0.06)


def test_family_with_several_splits_goes_to_test_or_validation() -> None:
    own = ["train", "test", "validation", "train", None, "validation", "train", None]
    pictures = _pictures(*[{"split": split} for split in own])
    pictures["family"] = ["a", "a", "b", "b", "c", "c", "d", "d"]
    splits = splits_of(pictures, _params(split="source", test_share=0.0, validation_share=0.0))
    assert splits.tolist() == ["test", "test", *["validation"] * 4, "train", "train"]


def test_a_picture_that_an_earlier_model_trained_on_does_not_enter_the_test_with_its_source() -> None:
    pictures = _pictures({"earlier_split": "train"}, {"earlier_split": "train"}, {"earlier_split": None})
    pictures["split"], pictures["family"] = "test", ["a", "a", "b"]
    splits = splits_of(pictures, _params(split="source", test_share=0.5, validation_share=0.0))
    assert splits.tolist() == ["train", "train", "test"]


@pytest.mark.parametrize("split", ["hash", "source"])
def test_look_alikes_of_earlier_pictures_stay_in_their_split(split: str) -> None:
    earlier = ["train", "validation", "test", "train", "test", None]
    pictures = _pictures(*[{"earlier_split": name} for name in earlier] * 20)
    pictures["split"] = "train"
    pictures["family"] = [f"{number}" for number in range(len(pictures))]
    splits = splits_of(pictures, _params(split=split, test_share=0.5, validation_share=0.0))
    assert splits[pictures["earlier_split"].notna()].tolist() == earlier[:-1] * 20
    assert set(splits[pictures["earlier_split"].isna()]) == {"train", "test"}


def _planted(folder: Path) -> None:
    """A wardrobe in which a third of the pictures come twice or thrice: as they are, and smaller, in other categories."""
    draw_wardrobe(folder, ["shirt", "trousers", "dress"], 30, seed=1)
    for number in range(0, 30, 3):
        picture = folder / "shirt" / f"{number:03d}.png"
        shutil.copy(picture, folder / "dress" / f"copy-{number}.png")
        Image.open(picture).resize((40, 40), Image.Resampling.BOX).save(folder / "shirt" / f"small-{number}.png")


@pytest.mark.parametrize("split", ["hash", "source"])
def test_no_duplicate_group_crosses_a_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str) -> None:
    monkeypatch.chdir(tmp_path)  # the split hashes URLs, and the temporary folder's name differs from run to run
    for part in ("train", "test"):
        _planted(tmp_path / "pictures" / part)  # the same pictures in both
    draw_wardrobe(tmp_path / "own", ["shirt", "trousers", "dress"], 3, seed=9)  # garments that are only in training
    for own in (tmp_path / "own").rglob("*.png"):
        own.rename(tmp_path / "pictures" / "train" / own.parent.name / f"own-{own.name}")
    changes = {"split": split, "test_share": 0.5, "validation_share": 0.2}
    stages = DataStages(tiny_params(Path("pictures"), curate=changes), tmp_path / "data").up_to("curate")
    rows = read_table(stages.curated, CURATED)
    groups = read_table(stages.duplicates, DUPLICATES)["group"].value_counts()
    assert groups.max() >= 4
    kept = rows[rows["kept"]]
    assert len(kept) >= 80
    assert kept.groupby("group")["split"].nunique().max() == 1
    assert set(kept["split"]) == {"train", "validation", "test"}


@pytest.mark.parametrize("split", ["hash", "source"])
def test_members_beyond_max_group_share_the_split_of_their_family(tmp_path: Path, split: str) -> None:
    """Twenty versions of one garment in groups of at most two: more than one is kept, and none in another split."""
    parts = [tmp_path / "pictures" / part for part in ("train", "test")]
    draw_wardrobe(parts[0], ["shirt", "dress"], 20, seed=1)
    shutil.copytree(parts[0] / "dress", parts[1] / "dress")
    draw_wardrobe(tmp_path / "own", ["shirt", "trousers", "dress"], 4, seed=9)  # dresses that are only in training
    for own in (tmp_path / "own" / "dress").iterdir():
        own.rename(parts[0] / "dress" / f"own-{own.name}")
    with Image.open(parts[0] / "shirt" / "000.png") as shirt:
        for number in range(20):
            version = shirt.resize((64 + number, 64 + number), Image.Resampling.BOX)
            version.save(parts[number % 2] / "dress" / f"version-{number}.png")
    curate = {"split": split, "test_share": 0.5, "validation_share": 0.0, "min_per_category": 1}
    params = tiny_params(tmp_path / "pictures", curate=curate, dedup={"max_group": 2})
    stages = DataStages(params, tmp_path / "data").up_to("curate")
    rows = read_table(stages.curated, CURATED)
    kept = rows[rows["kept"]]
    versions = kept[kept["url"].str.contains("version-")]
    assert versions["group"].nunique() >= 10
    assert versions["family"].nunique() == versions["split"].nunique() == 1
    assert set(kept["split"]) == {"train", "test"}


def test_every_row_of_the_manifest_has_a_row(wardrobe: Path, tmp_path: Path) -> None:
    (wardrobe / "hat" / "empty.png").write_bytes(b"")
    (wardrobe / "hat" / "text.png").write_text("no picture")
    shutil.copy(wardrobe / "hat" / "000.png", wardrobe / "hat" / "again.png")
    Image.new("RGB", (48, 48), "black").save(wardrobe / "hat" / "black.png")
    Image.new("RGB", (48, 48), (120, 120, 120)).save(wardrobe / "hat" / "grey.png")
    Image.new("RGB", (48, 8), "white").save(wardrobe / "hat" / "slip.png")
    stages = DataStages(tiny_params(wardrobe), tmp_path / "data").up_to("curate")
    rows = read_table(stages.curated, CURATED)
    assert rows["key"].tolist() == sorted(read_table(stages.manifest, MANIFEST)["key"])
    reasons = {name: row["reason"] for name, row in by_file(rows).items() if not row["kept"]}
    duplicate = reasons.keys() & {"hat/000.png", "hat/again.png"}
    assert len(duplicate) == 1
    assert reasons == {
        "hat/empty.png": "fetch failed",
        "hat/text.png": "undecodable",
        "hat/black.png": "dark",
        "hat/grey.png": "flat",
        "hat/slip.png": "too small",
        duplicate.pop(): "duplicate",
    }
    assert rows.loc[rows["kept"], ["split", "sha256", "group"]].notna().all(axis=None)
    assert rows.loc[~rows["kept"], "split"].isna().all()
    assert np.array_equal(rows["kept"], rows["label"] >= 0)


def test_curating_again_gives_the_same_bytes(wardrobe: Path, tmp_path: Path) -> None:
    stages = DataStages(tiny_params(wardrobe), tmp_path / "data").up_to("curate")
    before = stages.curated.read_bytes()
    stages.raw_tables.reverse()
    stages.curate()
    assert stages.curated.read_bytes() == before


def test_nothing_kept_is_an_input_error(wardrobe: Path, tmp_path: Path) -> None:
    stages = DataStages(tiny_params(wardrobe, curate={"min_side_px": 100}), tmp_path / "data").up_to("dedup")
    with pytest.raises(InputError, match="none of 40 pictures is kept; reasons: too small 40"):
        stages.curate()


def test_quantile_limit_is_taken_over_decoded_pictures() -> None:
    pictures = _pictures(*({"sharpness": float(value)} for value in range(100)), MISSING | {"decoded": False})
    reasons = with_reasons(pictures, _params(min_sharpness=Quantile(quantile=0.1)))
    assert (reasons == "blurry").sum() == 10
    assert set(pictures.loc[reasons == "blurry", "sharpness"]) == set(range(10))


def _overrides(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame([(*row, "seen") for row in rows], columns=["sha256", "decision", "category", "reason"])


def test_overrides_take_precedence() -> None:
    hashes = {"sha256": "a"}, {"sha256": "b", "sharpness": 0.0}, {"sha256": "c"}, {"sha256": "d"}
    by_hand = _overrides(("a", "drop", ""), ("b", "keep", ""), ("c", "category", "shoe"), ("z", "drop", ""))
    rows = curated_of(with_decisions(_pictures(*hashes).drop(columns="decision"), by_hand), _params())
    assert rows["reason"].tolist() == ["by hand", None, None, None]
    assert rows["category"].tolist() == ["hat", "hat", "shoe", "hat"]


def test_override_keeps_a_second_member_of_a_group() -> None:
    member = {"representative": False, "difference": 0.2, "group": "0" * 16}
    reasons = with_reasons(_pictures({}, member | {"decision": "keep"}, member), _params())
    assert reasons.tolist() == ["duplicate", None, "duplicate"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("abc,keep,,", "line 2: sha256 is not 64 hex digits"),
        (f"{'a' * 64},maybe,,", "line 2: decision is 'maybe'"),
        (f"{'a' * 64},category,,", "a category belongs to"),
        (f"{'a' * 64},keep,hat,", "a category belongs to"),
        (f"{'a' * 64},sleeve,puffed,", "sleeve is 'puffed', not one of none, short, long"),
        (f"{'a' * 64},keep,,\n{'a' * 64},drop,,", "line 3: aaaaaaaaaaaa… appears twice"),
    ],
)
def test_invalid_override_is_an_input_error_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "overrides.csv"
    path.write_text(f"sha256,decision,category,reason\n{line}\n")
    with pytest.raises(InputError, match=message):
        read_overrides(path)


def _worn(**changes: Any) -> pd.DataFrame:
    """A picture of a skirt, whose mask is a trapezium."""
    mask = np.zeros((128, 128), np.uint8)
    cv2.fillConvexPoly(mask, np.array([[50, 10], [78, 10], [100, 60], [28, 60]]), 1)
    unknown = dict.fromkeys(field.name for field in GARMENT_ATTRIBUTES)
    plain = {"sha256": "a" * 64, "category": "skirt", "garment": packed(mask), "garment_kind": "skirt"}
    return pd.DataFrame([unknown | plain | {"garment_length": "long", "garment_length_confidence": 0.5} | changes])


def test_an_attribute_by_hand_is_certain_and_one_without_a_value_is_unknown() -> None:
    by_hand = _overrides(("a" * 64, "length", "medium"), ("a" * 64, "colour", ""), ("b" * 64, "length", "short"))
    [row] = with_attributes(_worn(garment_colour="red", garment_colour_confidence=0.9), by_hand).to_dict("records")
    assert (row["garment_length"], row["garment_length_confidence"]) == ("medium", 1.0)
    assert (row["garment_colour"], row["garment_colour_confidence"]) == (None, None)


def test_a_category_by_hand_of_another_kind_measures_the_outline_anew() -> None:
    nothing = _overrides()
    assert with_attributes(_worn(), nothing)["garment_length"].tolist() == ["long"], "what inspect said stays"
    assert with_attributes(_worn(garment_kind="dress"), nothing)["garment_length"].tolist() == ["medium"]
    assert with_attributes(_worn(category="hat"), nothing)["garment_length"].tolist() == [None]


def test_a_picture_may_have_a_decision_and_attributes_but_each_once(tmp_path: Path) -> None:
    path, sha256 = tmp_path / "overrides.csv", "a" * 64
    lines = ["sha256,decision,category,reason", f"{sha256},keep,,", f"{sha256},Sleeve,LONG,", f"{sha256},colour,,too dark"]
    path.write_text("\n".join(lines))
    found = read_overrides(path)
    assert found[["decision", "category"]].to_numpy().tolist() == [["keep", ""], ["sleeve", "long"], ["colour", ""]]
    path.write_text("\n".join([*lines, f"{sha256},sleeve,short,"]))
    with pytest.raises(InputError, match="line 5: aaaaaaaaaaaa… appears twice"):
        read_overrides(path)


def test_overrides_survive_and_the_page_shows_groups_and_close_calls(tmp_path: Path) -> None:
    _planted(tmp_path / "pictures")
    stages = DataStages(tiny_params(tmp_path / "pictures", curate={"min_contrast": {"quantile": 0.2}}), tmp_path / "data")
    stages.up_to("curate")
    before, page = read_table(stages.curated, CURATED), stages.page.read_bytes()
    stages.curate()
    assert stages.page.read_bytes() == page
    dropped = before.loc[before["reason"] == "flat", "sha256"].iloc[0]
    stages.overrides.write_text(f"sha256,decision,category,reason\n{dropped},keep,,a fine one\n")
    stages.curate()
    after = read_table(stages.curated, CURATED)
    assert after.loc[after["sha256"] == dropped, "reason"].ne("flat").all()
    html = page.decode()
    assert html.count('class="group"') == (before[before["sha256"].notna()].groupby("group").size() > 1).sum()
    assert f'data-sha="{dropped}"' in html
    assert "http" not in html.replace("http-equiv", "")


def _in_splits(*rows: tuple[str, str]) -> pd.DataFrame:
    """Sound pictures of a category and a source's split each."""
    return _pictures(*({"category": category, "split": split} for category, split in rows))


def test_category_without_a_training_picture_is_dropped() -> None:
    pictures = _in_splits(("dress", "train"), ("dress", "test"), ("hat", "test"), ("hat", "validation"), ("shoe", "train"))
    rows = curated_of(pictures, _params(split="source"))
    assert rows["reason"].tolist() == [None, None, UNTRAINED, UNTRAINED, None]
    assert rows["label"].tolist() == [0, 0, -1, -1, 1]
    assert rows["split"].notna().tolist() == rows["kept"].tolist()


@pytest.mark.parametrize("split", ["test", "validation"])
def test_no_training_picture_is_an_input_error_with_counts_and_keys(split: str) -> None:
    rows = curated_of(_in_splits(("dress", split), ("hat", split)), _params(split="source"))
    with pytest.raises(InputError, match=rf"{split} 2.*curate\.split.*curate\.test_share"):
        check_splits(rows)


def test_single_family_in_the_test_split_is_an_input_error() -> None:
    rows = curated_of(_pictures(*[{"family": "one"}] * 5), _params(test_share=1.0))
    with pytest.raises(InputError, match=r"test 5"):
        check_splits(rows)


def test_no_test_picture_warns_with_the_key(caplog: pytest.LogCaptureFixture) -> None:
    check_splits(curated_of(_in_splits(("dress", "train"), ("hat", "train")), _params(split="source", test_share=0.0)))
    assert "curate.test_share" in caplog.text


def test_source_with_only_test_pictures_writes_no_table(tmp_path: Path) -> None:
    draw_wardrobe(tmp_path / "pictures" / "test", ["dress", "hat"], 8, seed=0)
    stages = DataStages(tiny_params(tmp_path / "pictures", curate={"split": "source"}), tmp_path / "data").up_to("dedup")
    with pytest.raises(InputError, match="curate"):
        stages.curate()
    assert not stages.curated.exists()


def test_several_limits_may_share_a_reason() -> None:
    changes = {"garment_confidence": 0.2}, {"garment_border": 0.9}, {"garment_pieces": 1.0}
    limits = _params(min_garment_confidence=0.6, max_garment_border=0.3)
    assert with_reasons(_pictures(*changes), limits).tolist() == ["not cut out cleanly", "not cut out cleanly", None]
