"""Collections, direction names, votes and the profile, in one SQLite file that survives kill -9."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from studio.database_file import open_database

MAX_COLLECTIONS = 200
MAX_PIECES = 500
MAX_VOTES = 400  # per model and category; older ones are deleted


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
    """The SQLite file; each method is one transaction, which is on disk when the method returns. Thread-safe.

    Ids are never used again, also after what had them was deleted.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file at `path`. Raises InputError."""
        self._connection = open_database(path)
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
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite itself rolls back when the disk is full
                    self._connection.execute("ROLLBACK")
                raise

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
        query = """SELECT p.id, p.name, p.recipe, p.created FROM collection c LEFT JOIN piece p ON p.collection = c.id
                   WHERE c.id = ? ORDER BY p.id"""
        rows = self._rows(query, collection)  # one without a piece if the collection is empty
        return [StoredPiece(*row) for row in rows if row[0] is not None] if rows else None

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
        """Store the votes (address, vote) on one grid, unless they are those on the newest one, sent twice."""
        with self._transaction() as db:
            query = "SELECT coalesce(max(wall), 0) FROM vote WHERE model = ? AND category = ?"
            newest = db.execute(query, (model, category)).fetchone()[0]
            query = "SELECT address, vote FROM vote WHERE model = ? AND category = ? AND wall = ? ORDER BY id"
            if db.execute(query, (model, category, newest)).fetchall() == list(votes):
                return
            rows = [(model, category, newest + 1, address, vote) for address, vote in votes]
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
