"""The studio's database: what is stored comes back, limits hold, and a killed process loses nothing that was committed."""

import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import InputError
from studio import database as studio_database
from studio.database import FullError, StudioDatabase

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


def test_a_database_of_schema_1_opens_and_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "studio.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA_1)
    connection.close()
    database = StudioDatabase(path)
    database.add_votes("m", "dress", [("b", -1)])
    assert [(one.name, one.pieces) for one in database.collections()] == [("Spring", 1)]
    assert database.png(1, 1) == b"\x89PNG"
    assert database.direction_names("m", "dress") == {"closed-form-1": "flowing"}
    assert [(vote.grid, vote.address, vote.vote) for vote in database.votes("m", "dress")] == [(3, "a", 1), (4, "b", -1)]
    database.close()
