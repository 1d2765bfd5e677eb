"""Shards of pictures: tar files of the WebDataset convention, byte-identical for identical content."""

import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import InputError
from pipeline.storage.checksums import damaged
from pipeline.storage.files import BLOCK_BYTES, whole_file

SHA256 = re.compile(r"[0-9a-f]{64}")
CHECKSUM = slice(148, 156)  # of a header; counted as spaces in its own sum


def write_shard(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write (name, content) pairs to a tar at `path`, in the order given, without clock, owner or mode of this machine."""
    with whole_file(path) as partial, tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members:
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))


def read_shard(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name, content) of each member of the tar at `path`, in its order, all bytes of the file checked.

    Names that are SHA-256 are compared with the content, headers with their checksum, and the rest of the file must be zeros:
    tarfile would take a header with a flipped bit for the end. Raises InputError when the file is missing, damaged or cut.
    """
    try:
        with path.open("rb") as file:
            while any(block := _exactly(file, tarfile.BLOCKSIZE)):
                name, size = _header_fields(block)
                content = _exactly(file, size)
                if any(_exactly(file, -size % tarfile.BLOCKSIZE)):
                    raise tarfile.ReadError(f"bytes after {name} that are not zero")
                stem = name.partition(".")[0]
                if SHA256.fullmatch(stem) and hashlib.sha256(content).hexdigest() != stem:
                    raise tarfile.ReadError(f"the content of {name} has another SHA-256")
                yield name, content
            _check_end(file)
    except FileNotFoundError as error:
        raise InputError(f"{path}: not a whole shard (no such file); run fetch again") from error
    except (tarfile.TarError, OSError, EOFError) as error:
        raise damaged(path, "fetch", f"not a whole shard: {error}") from error


def _exactly(file: BinaryIO, count: int) -> bytes:
    content = file.read(count)
    if len(content) < count:
        raise EOFError("cut short")
    return content


def _header_fields(block: bytes) -> tuple[str, int]:
    """Name and size in the header `block`. Raises TarError unless it is one that `write_shard` writes."""
    checksum = sum(block) - sum(block[CHECKSUM]) + 8 * ord(" ")
    # Compared as text, since tarfile ignores part of the field.
    if block[CHECKSUM] != b"%06o\0 " % checksum:
        raise tarfile.ReadError("a header has another checksum")
    header = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    if not header.isreg():
        raise tarfile.ReadError(f"{header.name} is not a plain file")
    return header.name, header.size


def _check_end(file: BinaryIO) -> None:
    """Raise TarError unless zeros follow to the end, as many as end a tar."""
    zeros = tarfile.BLOCKSIZE  # one block was read
    while block := file.read(BLOCK_BYTES):
        if any(block):
            raise tarfile.ReadError("bytes after the end that are not zero")
        zeros += len(block)
    if zeros < 2 * tarfile.BLOCKSIZE:
        raise EOFError("cut short")
