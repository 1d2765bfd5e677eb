"""The state that survives a killed run: a content-addressed store of bodies and a journal of finished rows.

Both are consistent at any time: a body is written to a temporary file and renamed, and its journal line is written afterwards
and counts only if it ends in a newline. A power failure may lose the last of both; a body is verified before it is used, and
a row without a valid body is fetched again. The folder is not declared to Snakemake or DVC, which delete declared outputs
before a rerun.
"""

import errno
import hashlib
import json
import os
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.errors import InputError
from pipeline.storage.files import write_text

KEY_OFFSET = len('{"key":"')  # of the key in a line


@contextmanager
def disk_full_as_error(folder: Path) -> Iterator[None]:
    """Turn a full disk into an InputError."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(f"{folder}: no space left; free some and run again, finished work is kept") from error


class BodyStore:
    """A content-addressed store: files under `folder`, named by the SHA-256 of their content."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with disk_full_as_error(folder):
            for name in range(256):
                (folder / f"{name:02x}").mkdir(parents=True, exist_ok=True)

    def put(self, content: bytes) -> str:
        """Store `content` and return its hex SHA-256. Raises InputError if the disk is full."""
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest)
        if self.has(digest, len(content)):
            return digest
        partial = f"{path}.{os.getpid()}.partial"
        with disk_full_as_error(self._folder):
            try:
                with open(partial, "wb") as file:  # noqa: PTH123 (twice as fast as pathlib, for every picture)
                    file.write(content)
                os.replace(partial, path)  # noqa: PTH105
            except BaseException:
                Path(partial).unlink(missing_ok=True)
                raise
        return digest

    def has(self, digest: str, size_bytes: int) -> bool:
        """Whether a body of this digest and size is stored; `get` verifies its content."""
        try:
            return os.stat(self._path(digest)).st_size == size_bytes  # noqa: PTH116
        except FileNotFoundError:
            return False

    def get(self, digest: str) -> bytes:
        """The content with this SHA-256. Raises InputError if it is missing or damaged; a damaged file is removed."""
        path = self._path(digest)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise InputError(f"{path}: missing; run again to fetch it") from None
        if hashlib.sha256(content).hexdigest() != digest:
            path.unlink()
            raise InputError(f"{path}: damaged and removed; run again to fetch it")
        return content

    def remove(self, digest: str) -> None:
        """Remove the content with this SHA-256, and its temporary files from killed runs."""
        path = self._path(digest)
        for file in path.parent.glob(f"{digest}*"):
            file.unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest


class Journal:
    """Records of finished work; the latest record of a key counts.

    Each process appends to its own file and reads all of them.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        path = folder / f"{name}.jsonl"
        incomplete = path.exists() and _ends_mid_line(path)
        self._file = path.open("ab", buffering=0)
        if incomplete:  # its process was killed while writing: end the line, so that the next one is valid
            self._write(b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def append(self, record: dict[str, Any]) -> None:
        """Append `record`, which has a `key`. Raises InputError if the disk is full."""
        self._write(f"{_format_line({**record, 'written': time.time()})}\n".encode())

    def latest(self, wanted: Container[str] | None = None) -> dict[str, dict[str, Any]]:
        """The latest record of each key, or of each key in `wanted`."""
        latest: dict[str, dict[str, Any]] = {}
        for path in sorted(self._folder.glob("*.jsonl")):
            for record in _read_records(path, wanted):
                key = record["key"]
                if key not in latest or latest[key]["written"] <= record["written"]:
                    latest[key] = record
        return latest

    def _write(self, line: bytes) -> None:
        with disk_full_as_error(self._folder):
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, "incomplete line")


def remove_records(folder: Path, keys: Container[str]) -> None:
    """Remove the records of `keys` from the journals in `folder`. No other process may write to them meanwhile."""
    for path in sorted(folder.glob("*.jsonl")):
        kept = [record for record in _read_records(path, None) if record["key"] not in keys]
        write_text(path, "".join(f"{_format_line(record)}\n" for record in kept))


def _format_line(record: dict[str, Any]) -> str:
    """`record` as JSON that starts with its key."""
    return json.dumps({"key": record["key"], **record}, separators=(",", ":"))


def _ends_mid_line(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _read_records(path: Path, wanted: Container[str] | None) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            # Every shard reads all journals; comparing the key first avoids parsing the lines of the others.
            if wanted is not None and line[KEY_OFFSET : line.find(b'"', KEY_OFFSET)].decode("ascii", "replace") not in wanted:
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue  # the incomplete last line of a process that was killed or is still writing
            if isinstance(record, dict) and record.keys() >= {"key", "written"}:
                yield record
