"""Collect: a row for every picture, the same rows every time."""

import hashlib
from pathlib import Path

import pytest

from pipeline.collect import key_of, manifest_of
from pipeline.errors import SourceError
from pipeline.sources import Listed
from pipeline.store.tables import MANIFEST, read_table
from tests.stages import DataStages, by_file, tiny_params


def test_the_key_is_a_hash_of_the_url() -> None:
    assert key_of("file:a/b.jpg") == hashlib.sha256(b"file:a/b.jpg").hexdigest()[:16]


def test_what_a_source_does_not_know_stays_empty() -> None:
    rows = manifest_of([Listed(url="file:a.png", category="dress")], "folder")
    assert list(rows.columns) == MANIFEST.names
    assert rows.iloc[0].dropna().to_dict() == {
        "key": key_of("file:a.png"),
        "url": "file:a.png",
        "source": "folder",
        "category": "dress",
    }


def test_every_picture_of_the_folder_has_a_row(wardrobe: Path, tmp_path: Path) -> None:
    stages = DataStages(tiny_params(wardrobe), tmp_path / "data").up_to("collect")
    rows = read_table(stages.manifest, MANIFEST)
    assert rows["category"].value_counts().to_dict() == dict.fromkeys(["shirt", "trousers", "dress", "hat", "shoe"], 8)
    assert rows["key"].is_unique
    assert rows["url"].is_monotonic_increasing
    assert set(rows["source"]) == {"folder"}


def test_the_same_folder_gives_the_same_bytes(wardrobe: Path, tmp_path: Path) -> None:
    first, second = (DataStages(tiny_params(wardrobe), tmp_path / name).up_to("collect") for name in ("a", "b"))
    assert first.manifest.read_bytes() == second.manifest.read_bytes()


def test_an_empty_folder_leaves_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    stages = DataStages(tiny_params(tmp_path / "nothing"), tmp_path / "data")
    with pytest.raises(SourceError, match=r"collect\.folder\.path"):
        stages.collect()
    assert not stages.manifest.exists()


def test_pictures_above_the_categories_have_none(wardrobe: Path, tmp_path: Path) -> None:
    wardrobe.rename(tmp_path / "train")
    (tmp_path / "all").mkdir()
    (tmp_path / "train").rename(tmp_path / "all" / "train")
    (tmp_path / "all" / "train" / "hat" / "000.png").rename(tmp_path / "all" / "train" / "loose.png")
    stages = DataStages(tiny_params(tmp_path / "all"), tmp_path / "data").up_to("collect")
    rows = read_table(stages.manifest, MANIFEST)
    assert set(rows["split"]) == {"train"}
    assert [name for name, row in by_file(rows).items() if not isinstance(row["category"], str)] == ["train/loose.png"]
