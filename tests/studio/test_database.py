"""The studio's database: what is stored comes back, limits hold, and a killed process loses nothing that was committed."""

import signal
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.errors import InputError
from studio import database as studio_database
from studio.database import FullError, StudioDatabase
from studio.database_file import APPLICATION_ID, VERSION

SCHEMA_1 = """
CREATE TABLE collection (id INTEGER PRIMARY KEY, name TEXT NOT NULL, created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE piece (
    id INTEGER PRIMARY KEY,
    collection INTEGER NOT NULL REFERENCES collection ON DELETE CASCADE,
    name TEXT NOT NULL, recipe TEXT NOT NULL, png BLOB NOT NULL, created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX piece_collection ON piece (collection, id);
CREATE TABLE direction_name (
    model TEXT NOT NULL, category TEXT NOT NULL, direction TEXT NOT NULL, name TEXT NOT NULL,
    PRIMARY KEY (model, category, direction)
);
CREATE TABLE vote (
    id INTEGER PRIMARY KEY, model TEXT NOT NULL, category TEXT NOT NULL,
    wall INTEGER NOT NULL, address TEXT NOT NULL, vote INTEGER NOT NULL CHECK (vote IN (-1, 0, 1))
);
CREATE INDEX vote_category ON vote (model, category, id);
PRAGMA user_version = 1;
INSERT INTO collection (name) VALUES ('Spring');
INSERT INTO piece (collection, name, recipe, png) VALUES (1, 'coat', '{"seed": 1}', x'89504e47');
INSERT INTO direction_name VALUES ('m', 'dress', 'closed-form-1', 'flowing');
INSERT INTO vote (model, category, wall, address, vote) VALUES ('m', 'dress', 3, 'a', 1);
"""
WRITER = """
import sys
from pathlib import Path
from studio.database import StudioDatabase
database = StudioDatabase(Path(sys.argv[1]))
collection = database.new_collection("killed")
for number in range(10_000):
    database.add_piece(collection, f"piece {number}", "{}", bytes(2000))
    print(number, flush=True)
    if number == 30:
        sys.stdin.read()
"""


def test_collections_names_and_votes_survive_reopening(tmp_path: Path) -> None:
    database = StudioDatabase(tmp_path / "deep" / "studio.sqlite")
    collection = database.new_collection("Spring")
    piece = database.add_piece(collection, "coat", '{"seed": 1}', b"png")
    assert piece is not None
    database.name_direction("m", "dress", "activation-1", "flowing")
    database.add_votes("m", "dress", [("a", 1), ("b", -1)])
    database.add_votes("m", "dress", [("c", 0)])
    database.close()
    again = StudioDatabase(tmp_path / "deep" / "studio.sqlite")
    assert [(one.name, one.pieces) for one in again.collections()] == [("Spring", 1)]
    assert [(one.name, one.recipe) for one in again.pieces(collection) or []] == [("coat", '{"seed": 1}')]
    assert again.png(collection, piece) == b"png"
    assert again.direction_names("m", "dress") == {"activation-1": "flowing"}
    assert [(vote.grid, vote.address, vote.vote) for vote in again.votes("m", "dress")] == [
        (1, "a", 1),
        (1, "b", -1),
        (2, "c", 0),
    ]
    again.close()


def test_pieces_and_collections_are_renamed_and_deleted(tmp_path: Path) -> None:
    database = StudioDatabase(tmp_path / "s")
    collection = database.new_collection("one")
    piece = database.add_piece(collection, "p", "{}", b"") or 0
    assert database.rename_collection(collection, "two")
    assert database.rename_piece(collection, piece, "q")
    assert not database.rename_piece(collection + 1, piece, "r")
    assert database.delete_piece(collection, piece)
    assert not database.delete_piece(collection, piece)
    database.add_piece(collection, "p", "{}", b"")
    assert database.delete_collection(collection)
    assert database.pieces(collection) is None
    assert database.add_piece(collection, "p", "{}", b"") is None
    database.name_direction("m", "c", "d", "x")
    database.name_direction("m", "c", "d", "")
    assert database.direction_names("m", "c") == {}
    database.close()


def test_limits_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studio_database, "MAX_COLLECTIONS", 2)
    monkeypatch.setattr(studio_database, "MAX_PIECES", 1)
    monkeypatch.setattr(studio_database, "MAX_VOTES", 3)
    database = StudioDatabase(tmp_path / "s")
    first, _ = database.new_collection("a"), database.new_collection("b")
    with pytest.raises(FullError):
        database.new_collection("c")
    database.add_piece(first, "p", "{}", b"")
    with pytest.raises(FullError):
        database.add_piece(first, "q", "{}", b"")
    for number in range(5):
        database.add_votes("m", "c", [(str(number), 1)])
    assert [vote.address for vote in database.votes("m", "c")] == ["2", "3", "4"]
    database.close()


def test_an_id_is_not_used_again_after_its_collection_or_piece_was_deleted(tmp_path: Path) -> None:
    database = StudioDatabase(tmp_path / "s")
    mine = database.new_collection("mine")
    database.delete_collection(mine)
    others = database.new_collection("somebody else's")
    assert not database.delete_collection(mine)  # a page that was opened before asks for it
    piece = database.add_piece(others, "p", "{}", b"") or 0
    database.delete_piece(others, piece)
    database.add_piece(others, "q", "{}", b"")
    assert not database.delete_piece(others, piece)
    assert [(one.name, one.pieces) for one in database.collections()] == [("somebody else's", 1)]
    database.close()


def test_votes_that_are_sent_twice_count_once(tmp_path: Path) -> None:
    database = StudioDatabase(tmp_path / "s")
    for votes in ([("a", 1), ("b", 0)], [("a", 1), ("b", 0)], [("a", 1), ("b", -1)]):
        database.add_votes("m", "dress", votes)
    database.add_votes("m", "top", [("a", 1), ("b", -1)])
    assert [(one.grid, one.address, one.vote) for one in database.votes("m", "dress")] == [
        (1, "a", 1),
        (1, "b", 0),
        (2, "a", 1),
        (2, "b", -1),
    ]
    assert len(database.votes("m", "top")) == 2
    database.close()


def test_a_full_disk_is_named_as_the_reason_and_what_comes_next_is_stored(tmp_path: Path) -> None:
    database = StudioDatabase(tmp_path / "s")
    collection = database.new_collection("large")
    pages = database._connection.execute("PRAGMA page_count").fetchone()[0]
    database._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        database.add_piece(collection, "p", "{}", bytes(200_000))
    database._connection.execute("PRAGMA max_page_count = 100000")
    assert database.add_piece(collection, "p", "{}", bytes(200_000)) is not None
    database.close()


def test_what_is_created_is_closed_to_other_users_and_a_folder_of_theirs_stays_open(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    database = StudioDatabase(tmp_path / "new" / "atelier" / "studio.sqlite")
    database.store_profile("{}")
    created = [tmp_path / "new", *sorted((tmp_path / "new").rglob("*"))]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in created}
    database.close()
    files = {f"studio.sqlite{suffix}": 0o600 for suffix in ("", "-shm", "-wal")}
    assert modes == {"new": 0o700, "atelier": 0o700} | files
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_two_studios_that_start_at_once_on_a_new_file_both_open(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        for number in range(5):
            opened = list(pool.map(StudioDatabase, [tmp_path / f"{number}.sqlite"] * 4))
            opened[0].new_collection("one")
            assert [len(one.collections()) for one in opened] == [1] * 4
            for one in opened:
                one.close()


def test_concurrent_writes_are_all_stored(tmp_path: Path) -> None:
    database = StudioDatabase(tmp_path / "s")
    collection = database.new_collection("busy")
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda n: database.add_piece(collection, str(n), "{}", b""), range(40)))
    assert len(set(ids)) == 40
    database.close()


def test_a_killed_process_loses_no_committed_piece(tmp_path: Path) -> None:
    path = tmp_path / "s"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    printed = [writer.stdout.readline() for _ in range(31)]
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    database = StudioDatabase(path)
    (collection,) = database.collections()
    assert collection.pieces == len(printed) == 31
    assert database.png(collection.id, 31) == bytes(2000)
    database.close()


def test_a_file_that_is_not_a_database_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, and long enough to be looked at" * 50)
    with pytest.raises(InputError, match="--state"):
        StudioDatabase(path)
    assert path.read_text().startswith("not a database")


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE mine (a)",
        "CREATE TABLE mine (a); PRAGMA user_version = 1",
        "PRAGMA application_id = 7",
        f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION + 1}",
    ],
)
def test_a_database_of_another_program_or_a_later_version_is_refused_and_unchanged(tmp_path: Path, script: str) -> None:
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"another program|a later version"):
        StudioDatabase(path)
    assert path.read_bytes() == before


def test_a_database_of_schema_1_opens_and_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "studio.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA_1)
    path.chmod(0o644)
    database = StudioDatabase(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    database.add_votes("m", "dress", [("b", -1)])
    assert [(one.name, one.pieces) for one in database.collections()] == [("Spring", 1)]
    assert database.png(1, 1) == b"\x89PNG"
    assert database.direction_names("m", "dress") == {"closed-form-1": "flowing"}
    assert [(vote.grid, vote.address, vote.vote) for vote in database.votes("m", "dress")] == [(3, "a", 1), (4, "b", -1)]
    assert database.delete_collection(1)
    assert database.pieces(1) is None
    assert database.new_collection("Summer") == 2
    assert database._rows("SELECT * FROM piece") == []
    database.close()
