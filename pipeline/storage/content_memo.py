"""Rows computed from contents, cached by the SHA-256 of each content, for the jobs of all shards and for later runs.

A folder holds one SQLite file with the rows of one `memo_tables.memo_key`. One process at a time has it open, under a lock,
and SQLite undoes what a killed process had begun. A row carries a digest, so that a damaged one is computed again. The folder
may be deleted at any time.
"""

import hashlib
import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa

from pipeline.errors import InputError
from pipeline.storage.files import locked
from pipeline.storage.tables import EXACT

LOCK = ".lock"
SUFFIX = ".sqlite"
OTHERS = ("*.sqlite*", "[0-9][0-9][0-9][0-9][0-9].parquet")  # files of other keys, their journals, and earlier versions' files
KEY_DIGITS = 16
DIGEST_BYTES = 16
RUNS_WITHOUT = 1  # of its last shard that a row survives, so that the shard it has moved to still finds it
STORED = {pa.uint64(): pa.int64(), pa.bool_(): pa.int8()}  # SQLite has neither; the bits stay the same
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

log = logging.getLogger(__name__)

Values = Sequence[Any]  # of a row, as SQLite stores them
T = TypeVar("T")


def _digest(values: Values) -> bytes:
    return hashlib.blake2b(repr(tuple(values)).encode(), digest_size=DIGEST_BYTES).digest()


def _values_of(frame: pd.DataFrame, schema: pa.Schema) -> list[Values]:
    """The rows of `frame` in the columns of `schema`, as SQLite stores them."""
    bare = pa.schema([field.remove_metadata() for field in schema])
    table = pa.Table.from_pandas(frame[schema.names], schema=bare, preserve_index=False)
    columns = [column.cast(STORED.get(column.type, column.type), safe=False).to_pylist() for column in table.itercolumns()]
    return list(zip(*columns, strict=True))


def _frame_of(rows: Sequence[Values], schema: pa.Schema) -> pd.DataFrame:
    """The frame whose `_values_of` are `rows`."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    arrays = [
        pa.array(values, STORED.get(field.type, field.type)).cast(field.type, safe=False)
        for field, values in zip(schema, columns, strict=True)
    ]
    return pa.table(arrays, names=schema.names).to_pandas(types_mapper=EXACT.get)


def _in_transaction(path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    """What `work` returns for a connection to the file at `path`; its changes are made whole or not at all."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.text_factory = lambda text: text.decode(errors="replace")  # of a damaged row; its digest tells
        connection.execute("PRAGMA secure_delete = ON")  # what is forgotten leaves no bytes behind
        return work(connection)


def _remove_database(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):  # and its journal
        file.unlink()


def _open_alone(path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    """As `_in_transaction`, in a locked folder; a damaged file is replaced by an empty one. Raises InputError."""
    try:
        try:
            return _in_transaction(path, work)
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in DAMAGED:
                raise
            log.warning("%s: damaged; its rows are computed again", path)
            _remove_database(path)
            return _in_transaction(path, work)
    except sqlite3.Error as error:
        raise InputError(f"{path}: {error}; free space or delete {path.parent}, and run again") from error


class ContentMemo:
    """The rows in `folder` that were computed with `key`; `schema` has a column `sha256`. Those of another key are removed.

    `shard` names what the job works on. A row is removed when the shard that used it last has run twice without it.
    """

    def __init__(self, folder: Path, key: str, schema: pa.Schema, shard: str) -> None:
        self._folder, self._schema, self._shard = folder, schema, shard
        self._path = folder / f"{key[:KEY_DIGITS]}{SUFFIX}"
        self._columns = ", ".join(f'"{name}"' for name in schema.names)

    def known(self, wanted: Iterable[str]) -> pd.DataFrame:
        """The rows of the contents `wanted`, as far as they are cached."""

        def find(connection: sqlite3.Connection) -> list[Values]:
            _list_wanted(connection, wanted)
            return connection.execute(f"SELECT digest, {self._columns} FROM content JOIN wanted USING (sha256)").fetchall()

        found = self._access(find)
        whole = [values for digest, *values in found if digest == _digest(values)]
        if len(whole) < len(found):
            log.warning("%s: %d damaged rows are computed again", self._path, len(found) - len(whole))
        return _frame_of(whole, self._schema)

    def add(self, frame: pd.DataFrame) -> None:
        """Cache the rows of `frame`."""
        rows = [(*values, _digest(values), self._shard, self._shard) for values in _values_of(frame, self._schema)]
        places = ", ".join("?" * (len(self._schema) + 2))
        run = "coalesce((SELECT run FROM shards WHERE shard = ?), 0)"
        insert = f"INSERT OR REPLACE INTO content ({self._columns}, digest, shard, run) VALUES ({places}, {run})"
        self._access(lambda connection: connection.executemany(insert, rows).close())

    def keep(self, used: Iterable[str]) -> None:
        """End a run of the shard, which has used the contents `used`; remove what no shard uses any more."""

        def claim(connection: sqlite3.Connection) -> None:
            count = "INSERT INTO shards VALUES (?, 1) ON CONFLICT (shard) DO UPDATE SET run = run + 1 RETURNING run"
            [(run,)] = connection.execute(count, (self._shard,)).fetchall()
            _list_wanted(connection, used)
            ours = "UPDATE content SET shard = ?, run = ? WHERE sha256 IN (SELECT sha256 FROM wanted)"
            connection.execute(ours, (self._shard, run))
            connection.execute("DELETE FROM content WHERE shard = ? AND run < ?", (self._shard, run - RUNS_WITHOUT))

        self._access(claim)

    def _access(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def prepared(connection: sqlite3.Connection) -> T:
            columns = f"{self._columns}, digest, shard, run, UNIQUE (sha256)"
            connection.execute(f"CREATE TABLE IF NOT EXISTS content ({columns})")
            connection.execute("CREATE INDEX IF NOT EXISTS content_of_shard ON content (shard, run)")
            connection.execute("CREATE TABLE IF NOT EXISTS shards (shard PRIMARY KEY, run)")
            return work(connection)

        with locked(self._folder / LOCK):
            for pattern in OTHERS:
                for file in self._folder.glob(pattern):
                    if not file.name.startswith(self._path.name):
                        file.unlink()
            return _open_alone(self._path, prepared)


def _list_wanted(connection: sqlite3.Connection, contents: Iterable[str]) -> None:
    connection.execute("CREATE TEMP TABLE wanted (sha256 PRIMARY KEY)")
    connection.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((sha256,) for sha256 in contents))


def drop_contents(folder: Path, contents: Iterable[str]) -> None:
    """Remove the rows of these contents from every file in `folder`, if there is one."""
    if not folder.is_dir():
        return

    def drop(connection: sqlite3.Connection) -> None:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'content'").fetchone():
            connection.executemany("DELETE FROM content WHERE sha256 = ?", ((sha256,) for sha256 in contents))

    with locked(folder / LOCK):
        for path in folder.glob(f"*{SUFFIX}"):
            _open_alone(path, drop)
