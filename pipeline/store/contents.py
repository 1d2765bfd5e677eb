"""Distinct contents, held on disk while they are gathered, so that memory stays flat."""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType


class Contents:
    """Gathers byte strings in a nameless file of `folder`, which is gone when the block or the process ends."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 closed by __exit__
        self._places: dict[str, tuple[int, int]] = {}  # name: offset, length

    def __enter__(self) -> "Contents":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def add(self, content: bytes, extension: str) -> str:
        """Hex SHA-256 of `content`, which is now held once under the name `<sha256>.<extension>`."""
        sha256 = hashlib.sha256(content).hexdigest()
        name = f"{sha256}.{extension}"
        if name not in self._places:
            self._places[name] = (self._file.seek(0, 2), len(content))
            self._file.write(content)
        return sha256

    def members(self) -> Iterator[tuple[str, bytes]]:
        """(name, content) of everything held, sorted by name."""
        for name, (offset, length) in sorted(self._places.items()):
            self._file.seek(offset)
            yield name, self._file.read(length)
