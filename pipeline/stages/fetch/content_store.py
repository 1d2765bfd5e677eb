"""Distinct contents, held on disk while they are gathered, so that memory stays flat."""

import hashlib
import tempfile
from pathlib import Path
from types import TracebackType


class Contents:
    """Gathers byte strings in a nameless file of `folder`, which is gone when the block or the process ends."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 closed by __exit__
        self._places: dict[str, tuple[int, int]] = {}  # SHA-256: offset, length

    def __enter__(self) -> "Contents":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._places

    def put(self, content: bytes) -> str:
        """Hex SHA-256 of `content`, which is now held once."""
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 not in self._places:
            self._places[sha256] = (self._file.seek(0, 2), len(content))
            self._file.write(content)
        return sha256

    def get(self, sha256: str) -> bytes:
        """The content of this SHA-256."""
        offset, length = self._places[sha256]
        self._file.seek(offset)
        return self._file.read(length)
