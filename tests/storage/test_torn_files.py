"""Journals and state files with a torn end, as a kill, a full disk or a power cut leaves them: read past, and gone on with."""

import math
import platform
from pathlib import Path

import pytest
from torch import nn

from pipeline.errors import InputError
from pipeline.gan.checkpoints import GeneratorCard
from pipeline.gan.watchdog import Event
from pipeline.sources.forgotten import read_forgotten
from pipeline.stages.train.run_folder import RunFolder, append_event, best_swd
from pipeline.storage.overrides import read_overrides
from pipeline.tracking.tracker import Tracker
from pipeline.web.scratch import Journal
from pipeline.web.sites import _load_record
from pipeline.workflow import snakemake_dvc_sync as sync
from studio.database import StudioDatabase

NO_PROCESS = (1 << 22) + 1  # Linux counts to 2²²
TORN = [b"", b"\0" * 64, b"{", b'{"key": "a", "wri', b"null", b"[]", b"{}", b"7", b"\xff\xfe"]


@pytest.mark.parametrize("torn", TORN)
def test_a_journal_goes_on_behind_a_torn_end(tmp_path: Path, torn: bytes) -> None:
    with Journal(tmp_path, "one") as journal:
        journal.append({"key": "a", "value": 1})
    with (tmp_path / "one.jsonl").open("ab") as file:
        file.write(torn)
    with Journal(tmp_path, "one") as journal:
        journal.append({"key": "b", "value": 2})
        assert {key: record["value"] for key, record in journal.latest().items()} == {"a": 1, "b": 2}


@pytest.mark.parametrize("torn", TORN)
def test_damaged_state_files_count_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: bytes) -> None:
    monkeypatch.chdir(tmp_path)
    sync.STATE_FILE.parent.mkdir()
    sync.STATE_FILE.write_bytes(torn)
    assert sync._state() == {}
    assert sync._pending() == {}
    sync._remember(pending={"train": ["models/gan"]})
    assert sync._pending() == {"train": ["models/gan"]}
    for name in ("site.json", "score.json"):
        (tmp_path / name).write_bytes(torn)
    assert _load_record(tmp_path / "site.json") is None
    assert best_swd(tmp_path / "score.json") == math.inf


def test_the_best_generator_is_found_again_where_its_replacement_was_killed(tmp_path: Path) -> None:
    set_aside = tmp_path / f".best.{platform.node()}.{NO_PROCESS}.old.partial"
    set_aside.mkdir()
    (set_aside / "score.json").write_text('{"swd": 1.0}')
    card = GeneratorCard("dcgan", {}, ["hat"], 8, 8, 1, 4, images_seen=100)
    RunFolder(tmp_path, 1, Tracker()).keep_if_best(2.0, nn.Identity(), card, {})
    assert best_swd(tmp_path / "best" / "score.json") == 1.0


@pytest.mark.parametrize("torn", [b"", b"\0" * 64, b"200,colla", b"200,colla\0\0\n", b"\xff"])
def test_events_are_added_behind_a_torn_end(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "events.csv"
    append_event(path, Event(100, "collapse", "hat"))
    with path.open("ab") as file:
        file.write(torn)
    for _ in range(2):
        append_event(path, Event(200, "collapse", "dress"))
    assert path.read_text() == "images,name,message\n100,collapse,hat\n200,collapse,dress\n"


@pytest.mark.parametrize("torn", [b"bytes,0123", b"\0" * 64, b"\xff\xfe", b"bytes"])
def test_a_torn_table_of_people_s_decisions_names_the_file_and_is_not_guessed_at(tmp_path: Path, torn: bytes) -> None:
    forgotten, overrides = tmp_path / "forgotten.csv", tmp_path / "overrides.csv"
    forgotten.write_bytes(b"kind,sha256\n" + torn)
    overrides.write_bytes(b"sha256,decision,category,reason\n" + torn)
    for path, read in ((forgotten, read_forgotten), (overrides, read_overrides)):
        with pytest.raises(InputError, match=path.name):
            read(path)


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_torn_database_of_the_studio_is_begun_anew_or_one_line(tmp_path: Path, size: int) -> None:
    path = tmp_path / "studio.sqlite"
    shelf = StudioDatabase(path)
    shelf.new_collection("summer")
    shelf.close()
    path.write_bytes(path.read_bytes()[:size])
    if size == 0:
        shelf = StudioDatabase(path)
        assert shelf.collections() == []
        shelf.close()
    else:
        with pytest.raises(InputError, match=path.name):
            StudioDatabase(path)
