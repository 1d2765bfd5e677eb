"""What survives a killed run: bodies in files named by their content, and a journal of what has been finished.

Neither is ever half true. A body is written beside and renamed; a journal line counts when it ends in a newline, and is written
after its body. A machine that loses power may lose the last of both: a body is checked against its name before it is used, and
a row without a good body is simply fetched again. Nothing here is declared to Snakemake or DVC, which delete declared outputs
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

KEY_AT = len('{"key":"')  # where the key begins in a line of a journal


@contextmanager
def disk_full_as_error(folder: Path) -> Iterator[None]:
    """A block in which a full disk is an InputError."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(f"{folder}: no space left; free some and run again, what is there is kept") from error


class Bodies:
    """Files named by the SHA-256 of their content, under `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with disk_full_as_error(folder):
            for name in range(256):
                (folder / f"{name:02x}").mkdir(parents=True, exist_ok=True)

    def put(self, content: bytes) -> str:
        """The SHA-256 of `content`, which is kept from now on. Raises InputError when the disk is full."""
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest)
        if self.holds(digest, len(content)):
            return digest
        partial = f"{path}.{os.getpid()}.partial"
        with disk_full_as_error(self._folder):
            try:
                with open(partial, "wb") as file:  # noqa: PTH123 (twice as fast as pathlib, once a picture)
                    file.write(content)
                os.replace(partial, path)  # noqa: PTH105
            except BaseException:
                Path(partial).unlink(missing_ok=True)
                raise
        return digest

    def holds(self, digest: str, size_bytes: int) -> bool:
        """Whether a body of this name and length is here; its content is checked when it is read."""
        try:
            return os.stat(self._path(digest)).st_size == size_bytes  # noqa: PTH116
        except FileNotFoundError:
            return False

    def get(self, digest: str) -> bytes:
        """The content named `digest`. Raises InputError, and removes it, when it is damaged."""
        path = self._path(digest)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise InputError(f"{path}: gone; run again to fetch it") from None
        if hashlib.sha256(content).hexdigest() != digest:
            path.unlink()
            raise InputError(f"{path}: damaged and removed; run again to fetch it")
        return content

    def drop(self, digest: str) -> None:
        """Forget the content named `digest`, and what a killed run left of it."""
        path = self._path(digest)
        for file in path.parent.glob(f"{digest}*"):
            file.unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest


class Journal:
    """Records of finished work, the last one of a key counts; each process appends to a file of its own and reads all."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        path = folder / f"{name}.jsonl"
        torn = path.exists() and _torn(path)
        self._file = path.open("ab", buffering=0)
        if torn:  # by a process killed in mid-line: end that line, so that the next one is whole
            self._write(b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def append(self, record: dict[str, Any]) -> None:
        """Keep `record`, which has a `key`. Raises InputError when the disk is full."""
        self._write(f"{_line({**record, 'written': time.time()})}\n".encode())

    def latest(self, wanted: Container[str] | None = None) -> dict[str, dict[str, Any]]:
        """The last record of each key, of those in `wanted` where given."""
        found: dict[str, dict[str, Any]] = {}
        for path in sorted(self._folder.glob("*.jsonl")):
            for record in _whole_records(path, wanted):
                key = record["key"]
                if key not in found or found[key]["written"] <= record["written"]:
                    found[key] = record
        return found

    def _write(self, line: bytes) -> None:
        with disk_full_as_error(self._folder):
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, "half a line was written")


def remove_records(folder: Path, keys: Container[str]) -> None:
    """Take the records of `keys` out of the journals in `folder`, while nobody writes there."""
    for path in sorted(folder.glob("*.jsonl")):
        kept = [record for record in _whole_records(path, None) if record["key"] not in keys]
        write_text(path, "".join(f"{_line(record)}\n" for record in kept))


def _line(record: dict[str, Any]) -> str:
    """`record` as a line, which begins with its key."""
    return json.dumps({"key": record["key"], **record}, separators=(",", ":"))


def _torn(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _whole_records(path: Path, wanted: Container[str] | None) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            # Every shard reads the journals of all: what is not its own is told by the key alone.
            if wanted is not None and line[KEY_AT : line.find(b'"', KEY_AT)].decode("ascii", "replace") not in wanted:
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue  # the torn last line of a process that was killed, or is writing now
            if isinstance(record, dict) and record.keys() >= {"key", "written"}:
                yield record
