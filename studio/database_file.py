"""The studio's SQLite file: created for its user alone, upgraded from earlier versions, refused if another program wrote it."""

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from pipeline.errors import InputError

APPLICATION_ID = 0x41544C52  # marks the file as the studio's
BUSY_TIMEOUT_S = 5.0

# Statements end with a semicolon, which therefore stands in none of the comments.
SCHEMA = """
CREATE TABLE collection (id INTEGER PRIMARY KEY, name TEXT NOT NULL, created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE piece (
    id INTEGER PRIMARY KEY,
    collection INTEGER NOT NULL REFERENCES collection ON DELETE CASCADE,
    name TEXT NOT NULL,
    recipe TEXT NOT NULL,  -- JSON with `address` if the generator can draw the picture again
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
PROFILE = "CREATE TABLE profile (id INTEGER PRIMARY KEY CHECK (id = 1), content TEXT NOT NULL);  -- JSON"
# Without AUTOINCREMENT a new collection gets the id of a deleted one, which a page opened before still shows and deletes.
IDS_USED_ONCE = """
CREATE TABLE new_collection (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE new_piece (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    collection INTEGER NOT NULL REFERENCES collection ON DELETE CASCADE,
    name TEXT NOT NULL, recipe TEXT NOT NULL, png BLOB NOT NULL, created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
INSERT INTO new_collection SELECT id, name, created FROM collection;
INSERT INTO new_piece SELECT id, collection, name, recipe, png, created FROM piece;
DROP TABLE piece;
DROP TABLE collection;
ALTER TABLE new_collection RENAME TO collection;
ALTER TABLE new_piece RENAME TO piece;
CREATE INDEX piece_collection ON piece (collection, id);
"""
STEPS = (SCHEMA, PROFILE, IDS_USED_ONCE)  # from each version to the next
VERSION = len(STEPS)


def open_database(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode, usable by any thread, to the file at `path`, which is created or upgraded.

    What is created, missing folders included, is for its user alone. Raises InputError.
    """
    connection = None
    try:
        _create_private(path)
        connection = sqlite3.connect(os.fspath(path), check_same_thread=False, isolation_level=None, timeout=BUSY_TIMEOUT_S)
        connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
        connection.execute("PRAGMA synchronous = FULL")
        _upgrade(connection, path)
        _keep_write_ahead_log(connection)
        connection.execute("PRAGMA foreign_keys = ON")  # now, because an upgrade drops tables that others refer to
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite3.Error | OSError):
            raise InputError(
                f"{path}: cannot be used as the studio's database ({error}); name another file with --state"
            ) from None
        raise
    return connection


def _create_private(path: Path) -> None:
    """Create the file and its missing folders, closed to other users; what exists keeps its permissions."""
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    with suppress(FileExistsError):  # to open and close it here would end the locks of another connection of this process
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))  # SQLite's log gets the same


def _upgrade(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file to VERSION, under a lock, because another studio may be starting on it. Raises InputError."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection, path)
        if version < VERSION:
            for statement in "\n".join(STEPS[version:]).split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    if 0 < version < VERSION:
        _close_to_others(path)


def _keep_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log; SQLite itself does not wait for another studio that is switching it."""
    deadline_s = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline_s:
                raise
            time.sleep(0.01)
        else:
            return


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the studio's tables in the file, 0 if it is empty. Raises InputError if they are not the studio's."""
    [version], [application_id] = (connection.execute(f"PRAGMA {one}").fetchone() for one in ("user_version", "application_id"))
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    is_earlier = application_id == 0 and 0 < version < VERSION and {"collection", "piece", "vote"} <= tables
    is_empty = application_id == 0 and version == 0 and not tables
    if application_id != APPLICATION_ID and not is_earlier and not is_empty:
        raise InputError(f"{path}: is a database of another program; name another file with --state")
    if version > VERSION:
        raise InputError(
            f"{path}: written by a later version of the studio ({version}, this one reads {VERSION}); "
            "name another file with --state"
        )
    return int(version)


def _close_to_others(path: Path) -> None:
    """Take the permissions of other users from a file that an earlier version left readable to all of them."""
    for file in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
        with suppress(FileNotFoundError, PermissionError):  # not there, or shared by its owner
            file.chmod(0o600)
