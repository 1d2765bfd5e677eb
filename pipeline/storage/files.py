"""Files and folders that appear whole or not at all."""

import errno
import fcntl
import glob
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import InputError

BLOCK_BYTES = 1 << 20
PARTIAL = ".partial"
OLD = f".old{PARTIAL}"  # a folder that is being replaced


def sha256_of_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def copy_with_sha256(source: Path, target: Path) -> str:
    """Hex SHA-256 of the bytes of `source`, which are now at `target` too."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with source.open("rb") as file, target.open("xb") as copy:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            copy.write(block)
    return digest.hexdigest()


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def process_exists(process_id: int) -> bool:
    """Whether a process of this machine has this id, be it another user's."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _left_beside(path: Path, ending: str) -> list[Path]:
    """What killed processes left beside `path`: of this machine only, because several may share the file system."""
    start = f".{path.name}.{platform.node()}."
    found = path.parent.glob(f"{glob.escape(start)}*{ending}")
    owners = [(left, left.name.removeprefix(start).removesuffix(ending)) for left in found]
    return [left for left, owner in owners if owner.isdecimal() and not process_exists(int(owner))]


def _partial_beside(path: Path) -> Path:
    """Where this process writes what is to become `path`; what killed processes left there is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in _left_beside(path, PARTIAL):
        remove(left)
    return path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}{PARTIAL}")


def remove(path: Path) -> None:
    """Remove the file or the whole folder at `path`, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """Make errors of the block name `path` where they name its partial file, or none, as on a full disk."""
    try:
        yield
    except OSError as error:
        of_the_disk = error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)
        if of_the_disk or str(error.filename).endswith(PARTIAL):
            error.filename = os.fspath(path)
        raise


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; renamed onto `path` when the block ends well, removed when it fails."""
    with _errors_name(path):
        partial = _partial_beside(path)
        try:
            yield partial
            _flush_to_disk(partial)
            partial.replace(path)
            _flush_to_disk(path.parent)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """No other process is in a block with the same `path`, a file made for this; what a killed process held is free."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def recover_folder(path: Path) -> None:
    """Put back the folder at `path` that a process of this machine was replacing when it was killed; so does `whole_folder`."""
    for old in _left_beside(path, OLD):
        _put_back(old, path)


def _put_back(old: Path, path: Path) -> None:
    if os.path.lexists(path):  # the new folder took its place
        remove(old)
    else:
        old.rename(path)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside `path` to fill; takes the place of `path` when the block ends well."""
    with _errors_name(path):
        recover_folder(path)
        partial = _partial_beside(path)
        old = partial.with_suffix(OLD)
        if partial.exists():  # left by an earlier process with this one's id, as in containers
            remove(partial)
        partial.mkdir()
        try:
            yield partial
            for file in partial.rglob("*"):
                if file.is_file():
                    _flush_to_disk(file)
            if os.path.lexists(path):  # set aside rather than deleted: a kill finds the whole old folder or the whole new one
                path.rename(old)
            partial.rename(path)
            _flush_to_disk(path.parent)
        finally:
            if os.path.lexists(old):
                _put_back(old, path)
            remove(partial)


def refuse_output(path: Path) -> None:
    """Raise InputError, before any work, when no file can be written at `path`, which a user named."""
    try:
        if path.is_dir():
            raise InputError(f"{path}: cannot be written: it is a folder; name a file")
        existing = next(parent for parent in path.absolute().parents if parent.exists())
    except OSError as error:  # a name too long, or a folder that may not be entered
        raise InputError(f"{path}: cannot be written ({error.strerror}); name another file") from None
    if not existing.is_dir():
        raise InputError(f"{path}: cannot be written: {existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"{path}: cannot be written: {existing} may not be written to; name a file elsewhere")


@contextmanager
def output_file(path: Path) -> Iterator[Path]:
    """As `whole_file`, for a `path` that a user named. Raises InputError when it cannot be written."""
    refuse_output(path)
    try:
        with whole_file(path) as partial:
            yield partial
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); name another file") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 `content` to `path`, whole or not at all."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON with sorted keys, so that equal content means equal bytes."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")
