"""A buffer on disk for distinct contents, so that memory use stays constant."""

import hashlib
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self


class ContentBuffer:
    """Stores byte strings in an unnamed temporary file in `folder`, which disappears with the block or the process."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 closed by __exit__
        self._extents: dict[str, tuple[int, int]] = {}  # SHA-256: offset, length

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._extents

    def put(self, content: bytes) -> str:
        """Store `content` once and return its hex SHA-256."""
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 not in self._extents:
            self._extents[sha256] = (self._file.seek(0, 2), len(content))
            self._file.write(content)
        return sha256

    def get(self, sha256: str) -> bytes:
        """The content with this SHA-256."""
        offset, length = self._extents[sha256]
        self._file.seek(offset)
        return self._file.read(length)
