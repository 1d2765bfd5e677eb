"""Collections, direction names, votes and the profile, in one SQLite file that survives kill -9."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from pipeline.errors import InputError

MAX_COLLECTIONS = 200
MAX_PIECES = 500
MAX_VOTES = 400  # per model and category; older ones are deleted
SCHEMA = """
CREATE TABLE collection (id INTEGER PRIMARY KEY, name TEXT NOT NULL, created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE piece (
    id INTEGER PRIMARY KEY,
    collection INTEGER NOT NULL REFERENCES collection ON DELETE CASCADE,
    name TEXT NOT NULL,
    recipe TEXT NOT NULL,  -- JSON; has `address` if the generator can draw the picture again
    png BLOB NOT NULL,  -- stored as well, because a collection must outlive its model
    created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX piece_collection ON piece (collection, id);
CREATE TABLE direction_name (
    model TEXT NOT NULL, category TEXT NOT NULL, direction TEXT NOT NULL, name TEXT NOT NULL,
    PRIMARY KEY (model, category, direction)
);
CREATE TABLE vote (
    id INTEGER PRIMARY KEY, model TEXT NOT NULL, category TEXT NOT NULL,
    wall INTEGER NOT NULL,  -- number of the grid
    address TEXT NOT NULL, vote INTEGER NOT NULL CHECK (vote IN (-1, 0, 1))
);
CREATE INDEX vote_category ON vote (model, category, id);
"""
UPGRADES = (  # from each version to the next
    "CREATE TABLE profile (id INTEGER PRIMARY KEY CHECK (id = 1), content TEXT NOT NULL);  -- JSON",
)
SCHEMA_VERSION = 1 + len(UPGRADES)


@dataclass(frozen=True)
class Collection:
    """A collection and its number of pieces."""

    id: int
    name: str
    created: str
    pieces: int


@dataclass(frozen=True)
class StoredPiece:
    """A picture in a collection, without its bytes."""

    id: int
    name: str
    recipe: str
    created: str


@dataclass(frozen=True)
class Vote:
    """A vote on one garment of one grid: 1 liked, -1 disliked, 0 seen."""

    grid: int
    address: str
    vote: int


@dataclass(frozen=True)
class StoredVote:
    """A vote with the model and the category that it belongs to."""

    model: str
    category: str
    grid: int
    address: str
    vote: int


class FullError(Exception):
    """A collection or the database has reached its limit."""


class StudioDatabase:
    """The SQLite file; each method is one transaction, which is on disk when the method returns. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Open or create the file at `path`. Raises InputError."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(os.fspath(path), check_same_thread=False, isolation_level=None, timeout=5.0)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if 0 <= version < SCHEMA_VERSION:
                steps = "\n".join((SCHEMA, *UPGRADES)[version:])
                self._connection.executescript(f"BEGIN;\n{steps}\nPRAGMA user_version = {SCHEMA_VERSION};\nCOMMIT;")
            elif version != SCHEMA_VERSION:
                raise InputError(
                    f"{path}: written by another version of the studio ({version}); name another file with --state"
                )
        except (sqlite3.Error, OSError) as error:
            raise InputError(
                f"{path}: cannot be used as the studio's database ({error}); name another file with --state"
            ) from None
        self._lock = Lock()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
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
        """Create a collection and return its id. Raises FullError."""
        with self._transaction() as db:
            if db.execute("SELECT count(*) FROM collection").fetchone()[0] >= MAX_COLLECTIONS:
                raise FullError(f"there are {MAX_COLLECTIONS} collections already; delete one first")
            return int(db.execute("INSERT INTO collection (name) VALUES (?)", (name,)).lastrowid or 0)

    def rename_collection(self, collection: int, name: str) -> bool:
        """Rename a collection; False if it does not exist."""
        with self._transaction() as db:
            return db.execute("UPDATE collection SET name = ? WHERE id = ?", (name, collection)).rowcount > 0

    def delete_collection(self, collection: int) -> bool:
        """Delete a collection and its pieces; False if it does not exist."""
        with self._transaction() as db:
            return db.execute("DELETE FROM collection WHERE id = ?", (collection,)).rowcount > 0

    def pieces(self, collection: int) -> list[StoredPiece] | None:
        """Pieces of a collection, oldest first; None if the collection does not exist."""
        if not self._rows("SELECT 1 FROM collection WHERE id = ?", collection):
            return None
        rows = self._rows("SELECT id, name, recipe, created FROM piece WHERE collection = ? ORDER BY id", collection)
        return [StoredPiece(*row) for row in rows]

    def add_piece(self, collection: int, name: str, recipe: str, png: bytes) -> int | None:
        """Store a piece and return its id; None if the collection does not exist. Raises FullError."""
        with self._transaction() as db:
            if not db.execute("SELECT 1 FROM collection WHERE id = ?", (collection,)).fetchone():
                return None
            if db.execute("SELECT count(*) FROM piece WHERE collection = ?", (collection,)).fetchone()[0] >= MAX_PIECES:
                raise FullError(f"this collection holds {MAX_PIECES} pieces already; start another")
            row = (collection, name, recipe, png)
            added = db.execute("INSERT INTO piece (collection, name, recipe, png) VALUES (?, ?, ?, ?)", row)
            return int(added.lastrowid or 0)

    def rename_piece(self, collection: int, piece: int, name: str) -> bool:
        """Rename a piece; False if it does not exist."""
        with self._transaction() as db:
            query = "UPDATE piece SET name = ? WHERE id = ? AND collection = ?"
            return db.execute(query, (name, piece, collection)).rowcount > 0

    def delete_piece(self, collection: int, piece: int) -> bool:
        """Delete a piece; False if it does not exist."""
        with self._transaction() as db:
            return db.execute("DELETE FROM piece WHERE id = ? AND collection = ?", (piece, collection)).rowcount > 0

    def png(self, collection: int, piece: int) -> bytes | None:
        """The PNG of a piece; None if it does not exist."""
        rows = self._rows("SELECT png FROM piece WHERE id = ? AND collection = ?", piece, collection)
        return rows[0][0] if rows else None

    def direction_names(self, model: str, category: str) -> dict[str, str]:
        """Names that people gave to directions of a category, by direction."""
        query = "SELECT direction, name FROM direction_name WHERE model = ? AND category = ?"
        return dict(self._rows(query, model, category))

    def name_direction(self, model: str, category: str, direction: str, name: str) -> None:
        """Store the name of a direction, or delete it if `name` is empty."""
        with self._transaction() as db:
            if name:
                query = "INSERT OR REPLACE INTO direction_name VALUES (?, ?, ?, ?)"
                db.execute(query, (model, category, direction, name))
            else:
                query = "DELETE FROM direction_name WHERE model = ? AND category = ? AND direction = ?"
                db.execute(query, (model, category, direction))

    def votes(self, model: str, category: str) -> list[Vote]:
        """Votes on garments of a category, oldest first."""
        query = "SELECT wall, address, vote FROM vote WHERE model = ? AND category = ? ORDER BY id"
        return [Vote(*row) for row in self._rows(query, model, category)]

    def add_votes(self, model: str, category: str, votes: Sequence[tuple[str, int]]) -> None:
        """Store the votes (address, vote) on one grid."""
        with self._transaction() as db:
            query = "SELECT coalesce(max(wall), 0) + 1 FROM vote WHERE model = ? AND category = ?"
            grid = db.execute(query, (model, category)).fetchone()[0]
            rows = [(model, category, grid, address, vote) for address, vote in votes]
            db.executemany("INSERT INTO vote (model, category, wall, address, vote) VALUES (?, ?, ?, ?, ?)", rows)
            query = """DELETE FROM vote WHERE model = ? AND category = ? AND id NOT IN
                       (SELECT id FROM vote WHERE model = ? AND category = ? ORDER BY id DESC LIMIT ?)"""
            db.execute(query, (model, category, model, category, MAX_VOTES))

    def all_votes(self) -> list[StoredVote]:
        """Votes on garments of all models and categories, oldest first."""
        return [StoredVote(*row) for row in self._rows("SELECT model, category, wall, address, vote FROM vote ORDER BY id")]

    def delete_votes(self, model: str, category: str) -> None:
        """Delete all votes on a category."""
        with self._transaction() as db:
            db.execute("DELETE FROM vote WHERE model = ? AND category = ?", (model, category))

    def profile(self) -> str | None:
        """The profile as JSON; None if there is none."""
        rows = self._rows("SELECT content FROM profile")
        return rows[0][0] if rows else None

    def store_profile(self, content: str) -> None:
        """Store the profile in place of the one before."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO profile VALUES (1, ?)", (content,))

    def delete_profile(self) -> None:
        """Delete the profile and all votes, also from the file's free pages and its log."""
        with self._transaction() as db:
            db.execute("DELETE FROM profile")
            db.execute("DELETE FROM vote")
        with self._lock:
            # Frames of the write-ahead log would hold what was deleted until other writes cover them.
            unfinished, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if unfinished:
            raise sqlite3.OperationalError("another program reads it, so that traces remain; delete the profile again")
