"""What the studio remembers: collections, names of directions and votes, in one SQLite file that a kill -9 cannot harm."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from pipeline.errors import InputError

SCHEMA_VERSION = 1
MAX_COLLECTIONS = 200
MAX_PIECES = 500
MAX_VOTES = 400  # per model and category; older ones are forgotten
SCHEMA = """
CREATE TABLE collection (id INTEGER PRIMARY KEY, name TEXT NOT NULL, created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE piece (
    id INTEGER PRIMARY KEY,
    collection INTEGER NOT NULL REFERENCES collection ON DELETE CASCADE,
    name TEXT NOT NULL,
    recipe TEXT NOT NULL,  -- JSON, with `address` where a recipe of the generator brings the picture back
    png BLOB NOT NULL,  -- kept as well: a collection must outlive its model
    created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
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
"""


@dataclass(frozen=True)
class Collection:
    """A collection and how much it holds."""

    id: int
    name: str
    created: str
    pieces: int


@dataclass(frozen=True)
class KeptPiece:
    """A picture in a collection, without its bytes."""

    id: int
    name: str
    recipe: str
    created: str


@dataclass(frozen=True)
class Vote:
    """What a person said of one picture of one wall."""

    wall: int
    address: str
    vote: int


class FullError(Exception):
    """A collection, or the shelf, holds as much as it may."""


class StudioDatabase:
    """The file, opened once; every method is one transaction, on disk when it returns. Safe to call from any thread."""

    def __init__(self, path: Path) -> None:
        """Open or create the file at `path`. Raises InputError."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(os.fspath(path), check_same_thread=False, isolation_level=None, timeout=5.0)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
            elif version != SCHEMA_VERSION:
                raise InputError(
                    f"{path}: written by another version of the studio ({version}); name another file with --state"
                )
        except (sqlite3.Error, OSError) as error:
            raise InputError(
                f"{path}: cannot be used as the studio's memory ({error}); name another file with --state"
            ) from None
        self._lock = Lock()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _rows(self, query: str, *values: object) -> list[tuple]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def collections(self) -> list[Collection]:
        """All collections, the newest first."""
        query = """SELECT c.id, c.name, c.created, count(p.id) FROM collection c LEFT JOIN piece p ON p.collection = c.id
                   GROUP BY c.id ORDER BY c.id DESC"""
        return [Collection(*row) for row in self._rows(query)]

    def new_collection(self, name: str) -> int:
        """The id of a new collection. Raises FullError."""
        with self._change() as db:
            if db.execute("SELECT count(*) FROM collection").fetchone()[0] >= MAX_COLLECTIONS:
                raise FullError(f"there are {MAX_COLLECTIONS} collections already; delete one first")
            return int(db.execute("INSERT INTO collection (name) VALUES (?)", (name,)).lastrowid or 0)

    def rename_collection(self, collection: int, name: str) -> bool:
        """Whether there was such a collection to rename."""
        with self._change() as db:
            return db.execute("UPDATE collection SET name = ? WHERE id = ?", (name, collection)).rowcount > 0

    def delete_collection(self, collection: int) -> bool:
        """Whether there was such a collection to delete, with all its pieces."""
        with self._change() as db:
            return db.execute("DELETE FROM collection WHERE id = ?", (collection,)).rowcount > 0

    def pieces(self, collection: int) -> list[KeptPiece] | None:
        """What a collection holds, in order of arrival; None when there is no such collection."""
        if not self._rows("SELECT 1 FROM collection WHERE id = ?", collection):
            return None
        rows = self._rows("SELECT id, name, recipe, created FROM piece WHERE collection = ? ORDER BY id", collection)
        return [KeptPiece(*row) for row in rows]

    def add_piece(self, collection: int, name: str, recipe: str, png: bytes) -> int | None:
        """The id of the new piece; None when there is no such collection. Raises FullError."""
        with self._change() as db:
            if not db.execute("SELECT 1 FROM collection WHERE id = ?", (collection,)).fetchone():
                return None
            if db.execute("SELECT count(*) FROM piece WHERE collection = ?", (collection,)).fetchone()[0] >= MAX_PIECES:
                raise FullError(f"this collection holds {MAX_PIECES} pieces already; start another")
            row = (collection, name, recipe, png)
            added = db.execute("INSERT INTO piece (collection, name, recipe, png) VALUES (?, ?, ?, ?)", row)
            return int(added.lastrowid or 0)

    def rename_piece(self, collection: int, piece: int, name: str) -> bool:
        """Whether there was such a piece to rename."""
        with self._change() as db:
            query = "UPDATE piece SET name = ? WHERE id = ? AND collection = ?"
            return db.execute(query, (name, piece, collection)).rowcount > 0

    def delete_piece(self, collection: int, piece: int) -> bool:
        """Whether there was such a piece to delete."""
        with self._change() as db:
            return db.execute("DELETE FROM piece WHERE id = ? AND collection = ?", (piece, collection)).rowcount > 0

    def png(self, collection: int, piece: int) -> bytes | None:
        """The picture of a piece."""
        rows = self._rows("SELECT png FROM piece WHERE id = ? AND collection = ?", piece, collection)
        return rows[0][0] if rows else None

    def direction_names(self, model: str, category: str) -> dict[str, str]:
        """What people called the directions of a category."""
        query = "SELECT direction, name FROM direction_name WHERE model = ? AND category = ?"
        return dict(self._rows(query, model, category))

    def name_direction(self, model: str, category: str, direction: str, name: str) -> None:
        """Call a direction `name`; an empty one forgets the name."""
        with self._change() as db:
            if name:
                query = "INSERT OR REPLACE INTO direction_name VALUES (?, ?, ?, ?)"
                db.execute(query, (model, category, direction, name))
            else:
                query = "DELETE FROM direction_name WHERE model = ? AND category = ? AND direction = ?"
                db.execute(query, (model, category, direction))

    def votes(self, model: str, category: str) -> list[Vote]:
        """All votes on garments of a category, in order."""
        query = "SELECT wall, address, vote FROM vote WHERE model = ? AND category = ? ORDER BY id"
        return [Vote(*row) for row in self._rows(query, model, category)]

    def add_wall_of_votes(self, model: str, category: str, votes: Sequence[tuple[str, int]]) -> None:
        """Remember the votes (address, vote) on one wall."""
        with self._change() as db:
            query = "SELECT coalesce(max(wall), 0) + 1 FROM vote WHERE model = ? AND category = ?"
            wall = db.execute(query, (model, category)).fetchone()[0]
            rows = [(model, category, wall, address, vote) for address, vote in votes]
            db.executemany("INSERT INTO vote (model, category, wall, address, vote) VALUES (?, ?, ?, ?, ?)", rows)
            query = """DELETE FROM vote WHERE model = ? AND category = ? AND id NOT IN
                       (SELECT id FROM vote WHERE model = ? AND category = ? ORDER BY id DESC LIMIT ?)"""
            db.execute(query, (model, category, model, category, MAX_VOTES))

    def forget_votes(self, model: str, category: str) -> None:
        """Start a category's taste over."""
        with self._change() as db:
            db.execute("DELETE FROM vote WHERE model = ? AND category = ?", (model, category))
