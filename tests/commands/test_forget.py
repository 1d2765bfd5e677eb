"""Forget: a picture named once leaves the tables, the shards and what fetch keeps, whatever address it comes back under."""

import fcntl
import hashlib
import json
import os
import platform
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from pipeline.__main__ import main
from pipeline.commands import forget
from pipeline.sources.forgotten import read_forgotten
from pipeline.storage.content_memo import ContentMemo
from pipeline.storage.running import Registration
from pipeline.web.scratch import BodyStore, Journal
from tests.support.web_fetch_run import fetch_shard, list_urls
from tests.support.web_pictures import jpeg
from tests.support.web_server import Reply, serving

PICTURE = jpeg(0)
SHA256 = hashlib.sha256(PICTURE).hexdigest()


@pytest.mark.parametrize("by", ["url", "sha256"])
def test_a_picture_from_the_web_is_gone_with_all_its_addresses(
    by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    manifest, shard, scratch = Path("manifest.parquet"), Path("data/raw/00000.tar"), forget.SCRATCH
    with serving({"/a.jpg": Reply(PICTURE), "/same.jpg": Reply(PICTURE), "/b.jpg": Reply(jpeg(1))}) as server:
        urls = [f"{server.url}/{name}" for name in ("a.jpg", "same.jpg", "b.jpg")]
        list_urls(urls, manifest)
        fetch_shard(manifest, scratch, shard, {})
        assert main(["forget", urls[0] if by == "url" else SHA256.upper()]) == 0
        assert "2 addresses and 1 contents" in capsys.readouterr().out
        assert not BodyStore(scratch / "bodies").has(SHA256, len(PICTURE))
        with Journal(scratch / "journal", "other") as journal:
            assert [record["validators"]["url"] for record in journal.latest().values()] == [urls[2]]
        asked = len(server.requests)
        fetch_shard(manifest, scratch, shard, {})
        assert len(server.requests) == asked
    assert SHA256.encode() not in shard.read_bytes()
    forgotten = read_forgotten(forget.FORGOTTEN_FILE)
    assert all(forgotten.has_url(url) for url in urls[:2])
    assert not forgotten.has_url(urls[2])


def test_the_measures_of_a_forgotten_picture_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    memo = ContentMemo(forget.MEASURES, "a" * 64, pa.schema([("sha256", pa.string())]), "00000")
    memo.add(pd.DataFrame({"sha256": [SHA256, "0" * 64]}))
    assert main(["forget", SHA256]) == 0
    assert memo.known([SHA256, "0" * 64])["sha256"].tolist() == ["0" * 64]


def test_while_a_job_runs_nothing_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    job = Registration("fetch-00000", "one", platform.node(), os.getppid(), 0.0)
    job.path().parent.mkdir(parents=True)
    job.path().write_text(json.dumps(asdict(job)))
    with job.path().open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert main(["forget", SHA256]) == 1
    assert "fetch-00000 is running here" in caplog.text
    assert not Path(forget.FORGOTTEN_FILE).exists()
    assert main(["forget", SHA256]) == 0


def test_what_was_never_here_is_noted_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["forget", "https://shop.example/hat.jpg"]) == 0
    assert read_forgotten(forget.FORGOTTEN_FILE).has_url("https://shop.example/hat.jpg")
