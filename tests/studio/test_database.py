"""The studio's memory: what goes in comes out, limits hold, and a killed process loses nothing it had said."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import InputError
from studio import database as studio_database
from studio.database import FullError, StudioDatabase

WRITER = """
import sys
from pathlib import Path
from studio.database import StudioDatabase
shelf = StudioDatabase(Path(sys.argv[1]))
collection = shelf.new_collection("killed")
for number in range(10_000):
    shelf.add_piece(collection, f"piece {number}", "{}", bytes(2000))
    print(number, flush=True)
    if number == 30:
        sys.stdin.read()
"""


def test_what_is_kept_comes_back_after_reopening(tmp_path: Path) -> None:
    shelf = StudioDatabase(tmp_path / "deep" / "studio.sqlite")
    collection = shelf.new_collection("Spring")
    piece = shelf.add_piece(collection, "coat", '{"seed": 1}', b"png")
    assert piece is not None
    shelf.name_direction("m", "dress", "activation-1", "flowing")
    shelf.add_votes("m", "dress", [("a", 1), ("b", -1)])
    shelf.add_votes("m", "dress", [("c", 0)])
    shelf.close()
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


def test_names_change_and_things_go(tmp_path: Path) -> None:
    shelf = StudioDatabase(tmp_path / "s")
    collection = shelf.new_collection("one")
    piece = shelf.add_piece(collection, "p", "{}", b"") or 0
    assert shelf.rename_collection(collection, "two")
    assert shelf.rename_piece(collection, piece, "q")
    assert not shelf.rename_piece(collection + 1, piece, "r")
    assert shelf.delete_piece(collection, piece)
    assert not shelf.delete_piece(collection, piece)
    shelf.add_piece(collection, "p", "{}", b"")
    assert shelf.delete_collection(collection)
    assert shelf.pieces(collection) is None
    assert shelf.add_piece(collection, "p", "{}", b"") is None
    shelf.name_direction("m", "c", "d", "x")
    shelf.name_direction("m", "c", "d", "")
    assert shelf.direction_names("m", "c") == {}
    shelf.close()


def test_limits_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studio_database, "MAX_COLLECTIONS", 2)
    monkeypatch.setattr(studio_database, "MAX_PIECES", 1)
    monkeypatch.setattr(studio_database, "MAX_VOTES", 3)
    shelf = StudioDatabase(tmp_path / "s")
    first, _ = shelf.new_collection("a"), shelf.new_collection("b")
    with pytest.raises(FullError):
        shelf.new_collection("c")
    shelf.add_piece(first, "p", "{}", b"")
    with pytest.raises(FullError):
        shelf.add_piece(first, "q", "{}", b"")
    for number in range(5):
        shelf.add_votes("m", "c", [(str(number), 1)])
    assert [vote.address for vote in shelf.votes("m", "c")] == ["2", "3", "4"]
    shelf.close()


def test_many_threads_may_write(tmp_path: Path) -> None:
    shelf = StudioDatabase(tmp_path / "s")
    collection = shelf.new_collection("busy")
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda n: shelf.add_piece(collection, str(n), "{}", b""), range(40)))
    assert len(set(ids)) == 40
    shelf.close()


def test_a_killed_process_loses_nothing_it_had_said(tmp_path: Path) -> None:
    path = tmp_path / "s"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    said = [writer.stdout.readline() for _ in range(31)]
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    shelf = StudioDatabase(path)
    (collection,) = shelf.collections()
    assert collection.pieces == len(said) == 31
    assert shelf.png(collection.id, 31) == bytes(2000)
    shelf.close()


def test_a_file_that_is_not_its_own_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, and long enough to be looked at" * 50)
    with pytest.raises(InputError, match="--state"):
        StudioDatabase(path)
    assert path.read_text().startswith("not a database")
