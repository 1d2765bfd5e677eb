"""Collect: a row for every picture, the same rows every time."""

import hashlib
import json
from pathlib import Path

import pytest

from pipeline.errors import SourceError
from pipeline.sources import ListedPicture
from pipeline.sources.forgotten import Forgotten
from pipeline.stages.collect.run import build_manifest, row_key
from pipeline.storage.tables import MANIFEST, RAW, read_table, read_tables, write_table
from tests.support.data_stages import DataStages, by_file, tiny_params
from tests.support.web_params import QUICK


def test_the_key_is_a_hash_of_the_url() -> None:
    assert row_key("file:a/b.jpg") == hashlib.sha256(b"file:a/b.jpg").hexdigest()[:16]


def test_what_a_source_does_not_know_stays_empty() -> None:
    rows = build_manifest([ListedPicture("file:a.png", "folder", category="dress")], Forgotten())
    assert list(rows.columns) == MANIFEST.names
    assert rows.iloc[0].dropna().to_dict() == {
        "key": row_key("file:a.png"),
        "url": "file:a.png",
        "source": "folder",
        "category": "dress",
        "status": "listed",
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


def test_the_same_address_from_two_sources_is_one_row_with_two_provenances() -> None:
    url = "https://shop.example/hat.jpg"
    bare = ListedPicture(url, "list", title="Hat", extra='{"colour": "red"}')
    rich = ListedPicture(url, "crawl", page="https://shop.example/p/1", title="A felt hat", category="hat", licence="CC0-1.0")
    for order in ([bare, rich], [rich, bare]):
        [row] = build_manifest(order, Forgotten()).to_dict("records")
        assert (row["source"], row["category"], row["extra"]) == ("crawl", "hat", '{"colour": "red"}')
        assert json.loads(row["also"]) == [{"source": "list", "page": None, "title": "Hat"}]


def test_several_sources_make_one_manifest(wardrobe: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("url,colour\nhttps://shop.example/1.jpg,red\nno url,blue\n", encoding="utf-8")
    sources = {"source": ["folder", "list"], "list": {"path": str(tmp_path / "list.csv"), "columns": {}}}
    params = tiny_params(wardrobe, collect=sources, fetch={"web": QUICK})
    stages = DataStages(params, tmp_path / "data").up_to("collect")
    rows = read_table(stages.manifest, MANIFEST)
    assert rows["source"].value_counts().to_dict() == {"folder": 40, "list": 2}
    listed, refused = rows[rows["source"] == "list"].to_dict("records")
    assert (listed["status"], json.loads(listed["extra"])) == ("listed", {"colour": "red"})
    assert (refused["url"], refused["status"]) == ("row:list.csv#2", "refused")


def test_a_forgotten_address_has_no_row() -> None:
    url = "https://shop.example/hat.jpg"
    forgotten = Forgotten(urls=frozenset({hashlib.sha256(url.encode()).hexdigest()}))
    rows = build_manifest([ListedPicture(url, "crawl"), ListedPicture("https://shop.example/coat.jpg", "crawl")], forgotten)
    assert rows["url"].tolist() == ["https://shop.example/coat.jpg"]


def test_a_lone_surrogate_becomes_a_question_mark(tmp_path: Path) -> None:
    half = "\ud83d"  # of a pair, as JSON lets it stand alone
    odd = ListedPicture(
        f"row:{half}", "list", title=f"Hat {half}", extra=f'{{"colour": "{half}"}}', status="refused", reason=half
    )
    rows = build_manifest([odd, ListedPicture("file:b.png", "folder", title="Hüte 👒")], Forgotten(urls=frozenset({"0" * 64})))
    write_table(tmp_path / "manifest.parquet", rows, MANIFEST)
    assert read_table(tmp_path / "manifest.parquet", MANIFEST)["title"].tolist() == ["Hat ?", "Hüte 👒"]


def list_stages(wardrobe: Path, path: Path, data: Path, source: list[str] | None = None) -> DataStages:
    """The stages over the list at `path`."""
    sources = {"source": source or ["list"], "list": {"path": str(path), "columns": {}}}
    return DataStages(tiny_params(wardrobe, collect=sources, fetch={"web": QUICK}), data)


def test_thousands_of_bad_rows_and_categories_are_a_few_lines(
    wardrobe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [f",nice dress,category {n}" for n in range(2000)] + [f"https://x.example/{n},,category {n}" for n in range(2000)]
    (tmp_path / "list.csv").write_text("url,caption,category\n" + "\n".join(rows) + "\n", encoding="utf-8")
    stages = list_stages(wardrobe, tmp_path / "list.csv", tmp_path / "data")
    with caplog.at_level("INFO"):
        stages.collect()
    assert "refused: no url: 2000 (list.csv#1, list.csv#2, list.csv#3, …)" in caplog.messages
    assert len(caplog.messages) < 30


def test_a_list_without_a_header_leaves_no_manifest(wardrobe: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("".join(f"https://x.example/{n}.jpg,nice\n" for n in range(2000)), encoding="utf-8")
    stages = list_stages(wardrobe, tmp_path / "list.csv", tmp_path / "data")
    with pytest.raises(SourceError, match=r"list\.csv.*https://x\.example/0\.jpg.*header"):
        stages.collect()
    assert not stages.manifest.exists()


@pytest.mark.parametrize("content", ["", "url,caption\n"])
def test_a_list_without_rows_is_named(wardrobe: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "list.csv").write_text(content, encoding="utf-8")
    stages = list_stages(wardrobe, tmp_path / "list.csv", tmp_path / "data")
    with pytest.raises(SourceError, match=r"list\.csv: no rows"):
        stages.collect()


def test_a_list_of_bad_rows_only_is_one_line_with_their_reasons(wardrobe: Path, tmp_path: Path) -> None:
    (tmp_path / "list.jsonl").write_text('{"link": 1}\n' * 2000, encoding="utf-8")
    stages = list_stages(wardrobe, tmp_path / "list.jsonl", tmp_path / "data")
    with pytest.raises(SourceError, match=r"list\.jsonl.*no url: 2000 \(list\.jsonl#1, ") as caught:
        stages.collect()
    assert "\n" not in str(caught.value)


def test_pictures_beside_a_list_are_fetched(wardrobe: Path, tmp_path: Path) -> None:
    (wardrobe / "list.csv").write_text("url,category\nhat/000.png,hat\n../list.csv,hat\nhat/none.png,hat\n", encoding="utf-8")
    stages = list_stages(wardrobe, wardrobe / "list.csv", tmp_path / "data").up_to("fetch")
    raw = read_tables(stages.raw_tables, RAW)
    assert sorted(raw["status"]) == ["ok", "refused", "refused"]
    assert raw.loc[raw["status"] == "ok", "size_bytes"].tolist() == [(wardrobe / "hat" / "000.png").stat().st_size]
