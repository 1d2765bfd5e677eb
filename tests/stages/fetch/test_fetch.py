"""Fetch: every row ends with a status, every content is held once, and nothing depends on the order of things."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.imaging.formats import picture_extension
from pipeline.sources import ListedPicture
from pipeline.sources.forgotten import Forgotten, fingerprints_of, write_forgotten
from pipeline.stages.collect.run import build_manifest
from pipeline.storage.shards import read_shard
from pipeline.storage.tables import MANIFEST, RAW, read_table, read_tables, write_table
from tests.support.data_stages import DataStages, by_file, tiny_params
from tests.support.web_params import QUICK
from tests.support.web_pictures import SECRET, jpeg, telling
from tests.support.web_server import Reply, serving


@pytest.fixture
def fetched(wardrobe: Path, tmp_path: Path) -> DataStages:
    """A wardrobe with odd files in it, fetched in three shards."""
    hats = wardrobe / "hat"
    shutil.copy(hats / "000.png", hats / "copy.png")
    (hats / "empty.png").write_bytes(b"")
    (hats / "large.png").write_bytes(bytes(50_001))
    (hats / "text.jpg").write_text("no picture")
    (hats / "away.png").symlink_to(tmp_path / "away.png")
    (tmp_path / "away.png").write_bytes(b"elsewhere")
    params = tiny_params(wardrobe, collect={"shards": 3, "rows_per_turn": 7}, fetch={"max_bytes": 50_000})
    return DataStages(params, tmp_path / "data").up_to("fetch")


def test_every_row_of_the_manifest_is_in_the_shard_of_its_turn(fetched: DataStages) -> None:
    listed = list(read_table(fetched.manifest, MANIFEST)["key"])
    rows = read_tables(fetched.raw_tables, RAW)
    assert dict(zip(rows["key"], rows["shard"], strict=True)) == {
        key: f"{place // 7 % 3:05d}" for place, key in enumerate(listed)
    }


def test_every_row_ends_with_a_status(fetched: DataStages) -> None:
    rows = read_tables(fetched.raw_tables, RAW)
    files = by_file(rows)
    assert rows["status"].value_counts().to_dict() == {"ok": 42, "refused": 2, "failed": 1}
    assert files["hat/empty.png"]["reason"] == "empty"
    assert files["hat/large.png"]["reason"] == "50001 bytes, more than fetch.max_bytes (50000)"
    assert "a link out of" in files["hat/away.png"]["reason"]
    assert (files["hat/text.jpg"]["status"], files["hat/text.jpg"]["extension"]) == (
        "ok",
        "bin",
    )  # not a picture: inspect's to say
    missing = rows[rows["status"] != "ok"]
    assert missing[["sha256", "extension", "size_bytes"]].isna().all(axis=None)
    assert rows.loc[rows["status"] == "ok", "reason"].isna().all()


def test_members_are_named_by_their_content_and_held_once(fetched: DataStages) -> None:
    for shard, table in zip(fetched.shards, fetched.raw_tables, strict=True):
        members = list(read_shard(shard))
        rows = read_table(table, RAW).dropna(subset="sha256")
        assert [name for name, _ in members] == sorted({f"{row.sha256}.{row.extension}" for row in rows.itertuples()})
        assert all(hashlib.sha256(content).hexdigest() == name.partition(".")[0] for name, content in members)
        sizes = {name.partition(".")[0]: len(content) for name, content in members}
        assert [sizes[sha256] for sha256 in rows["sha256"]] == rows["size_bytes"].tolist()


def test_the_same_content_in_two_files_is_one_member_of_a_shard(wardrobe: Path, tmp_path: Path) -> None:
    shutil.copy(wardrobe / "hat" / "000.png", wardrobe / "dress" / "again.png")
    stages = DataStages(tiny_params(wardrobe, collect={"shards": 1}), tmp_path / "data").up_to("fetch")
    assert len(read_table(stages.raw_tables[0], RAW)) == 41
    assert len(list(read_shard(stages.shards[0]))) == 40


def test_fetching_again_gives_the_same_bytes(fetched: DataStages) -> None:
    files = [*fetched.shards, *fetched.raw_tables]
    before = [path.read_bytes() for path in files]
    fetched.fetch()
    assert [path.read_bytes() for path in files] == before
    assert sorted(path.name for path in fetched.shards[0].parent.iterdir()) == sorted(path.name for path in files)


def test_a_url_that_no_source_reads_is_refused(wardrobe: Path, tmp_path: Path) -> None:
    stages = DataStages(tiny_params(wardrobe, collect={"shards": 1}), tmp_path / "data")
    write_table(stages.listed[0], build_manifest([ListedPicture("gopher:hat.png", "folder")], Forgotten()), MANIFEST)
    stages.fetch()
    [row] = read_table(stages.raw_tables[0], RAW).itertuples()
    assert (row.status, row.reason) == ("refused", "no source reads this URL scheme")


def test_what_the_manifest_refuses_keeps_its_reason(wardrobe: Path, tmp_path: Path) -> None:
    stages = DataStages(tiny_params(wardrobe, collect={"shards": 1}), tmp_path / "data")
    lost = ListedPicture("row:list.csv#2", "list", status="refused", reason="row 2: no url", extra='{"colour": "red"}')
    write_table(stages.listed[0], build_manifest([lost], Forgotten()), MANIFEST)
    stages.fetch()
    [row] = read_table(stages.raw_tables[0], RAW).itertuples()
    assert (row.status, row.reason, row.extra) == ("refused", "row 2: no url", '{"colour": "red"}')


def test_only_licences_on_the_list_are_fetched(wardrobe: Path, tmp_path: Path) -> None:
    stages = DataStages(tiny_params(wardrobe, fetch={"licences": ["CC0-1.0"]}), tmp_path / "data").up_to("fetch")
    rows = read_tables(stages.raw_tables, RAW)
    assert set(rows["reason"]) == {"licence unknown is not among those allowed"}
    assert rows["sha256"].isna().all()


def test_a_forgotten_picture_leaves_every_table_and_shard(wardrobe: Path, tmp_path: Path) -> None:
    shutil.copy(wardrobe / "hat" / "000.png", wardrobe / "dress" / "again.png")
    stages = DataStages(tiny_params(wardrobe), tmp_path / "data").up_to("fetch")
    before = read_tables(stages.raw_tables, RAW)
    hat = by_file(before)["hat/000.png"]
    write_forgotten(stages.forgotten, fingerprints_of(hat["url"], before))
    shutil.copy(wardrobe / "hat" / "000.png", wardrobe / "shoe" / "new.png")  # it comes back under a new name
    stages.up_to("fetch")
    after = read_tables(stages.raw_tables, RAW)
    assert set(before["url"]) - set(after["url"]) == {hat["url"], by_file(before)["dress/again.png"]["url"]}
    assert by_file(after)["shoe/new.png"]["reason"] == "forgotten on request"
    members = [name for shard in stages.shards for name, _ in read_shard(shard)]
    assert not any(name.startswith(hat["sha256"]) for name in members)


def test_metadata_is_taken_out_of_files_too(wardrobe: Path, tmp_path: Path) -> None:
    (wardrobe / "hat" / "telling.jpg").write_bytes(telling("JPEG", 6))
    (wardrobe / "hat" / "unclean.tif").write_bytes(b"II*\x00" + SECRET)
    stages = DataStages(tiny_params(wardrobe, fetch={"strip_metadata": True}), tmp_path / "data").up_to("fetch")
    files = by_file(read_tables(stages.raw_tables, RAW))
    assert files["hat/telling.jpg"]["status"] == "ok"
    assert files["hat/unclean.tif"]["reason"] == "its metadata cannot be removed: no lossless method for .tif"
    assert not any(SECRET in path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())


def test_the_web_and_a_folder_share_a_shard_and_one_content(wardrobe: Path, tmp_path: Path) -> None:
    hat = wardrobe / "hat" / "000.png"
    with serving({"/hat.png": Reply(hat.read_bytes()), "/new.jpg": Reply(jpeg(3))}) as server:
        urls = [f"{server.url}/{name}" for name in ("hat.png", "new.jpg", "gone.png")]
        (tmp_path / "list.csv").write_text("url,category\n" + "".join(f"{url},hat\n" for url in urls), encoding="utf-8")
        params = tiny_params(
            wardrobe,
            collect={"source": ["folder", "list"], "list": {"path": str(tmp_path / "list.csv"), "columns": {}}},
            fetch={"web": QUICK},
        )
        stages = DataStages(params, tmp_path / "data").up_to("fetch")
        asked = len(server.requests)
        before = [path.read_bytes() for path in (*stages.shards, *stages.raw_tables)]
        stages.fetch()
        assert len(server.requests) == asked
    assert [path.read_bytes() for path in (*stages.shards, *stages.raw_tables)] == before
    rows = read_tables(stages.raw_tables, RAW).set_index("url")
    assert rows["source"].value_counts().to_dict() == {"folder": 40, "list": 3}
    assert rows.loc[urls, "status"].tolist() == ["ok", "ok", "failed"]
    same = rows[rows["sha256"] == rows.loc[urls[0], "sha256"]]
    assert set(same["source"]) == {"folder", "list"}  # one picture, two provenances


def test_fetching_files_needs_no_http_client(wardrobe: Path, tmp_path: Path) -> None:
    stages = DataStages(tiny_params(wardrobe), tmp_path / "data").up_to("collect")
    script = f"""
import sys
from pathlib import Path
from tests.support.data_stages import DataStages, tiny_params
stages = DataStages(tiny_params(Path({str(wardrobe)!r})), Path({str(stages.manifest.parent)!r}))
stages.collect()
stages.fetch()
print(sorted({{"extruct", "aiohttp"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr


def test_a_shard_may_be_empty(wardrobe: Path, tmp_path: Path) -> None:
    stages = DataStages(tiny_params(wardrobe, collect={"shards": 50}), tmp_path / "data").up_to("fetch")
    counts = [len(list(read_shard(shard))) for shard in stages.shards]
    assert min(counts) == 0
    assert sum(counts) == 40


def test_a_shard_of_another_configuration_is_refused(fetched: DataStages) -> None:
    fetched.listed[0] = fetched.listed[0].with_name("00003.parquet")
    with pytest.raises(InputError, match=r"00003\.parquet: no such table; run the stage that writes it"):
        fetched.fetch()


@pytest.mark.parametrize(
    ("beginning", "extension"),
    [
        (b"\xff\xd8\xff\xe1", "jpg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"GIF89a", "gif"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "webp"),
        (b"\x00\x00\x00\x1cftypavif", "avif"),
        (b"II*\x00", "tif"),
        (b"MM\x00*", "tif"),
        (b"BM", "bmp"),
        (b"RIFF\x10\x00\x00\x00WAVE", None),
        (b"<html>", None),
    ],
)
def test_the_extension_goes_by_the_first_bytes(beginning: bytes, extension: str | None) -> None:
    assert picture_extension(beginning + bytes(20)) == extension
