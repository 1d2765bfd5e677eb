"""Decompression that stops at a limit instead of unfolding a bomb."""

import zlib

from pipeline.web.responses import Again, FailedError, RefusedError

GZIP = 31  # zlib's window bits for a gzip header and trailer
OVERHEAD_BYTES = 100_000  # what compression may add to a body that it cannot make smaller
CHUNK_BYTES = 1 << 16
MAX_LAYERS = 3  # of gzip in gzip
GZIP_MAGIC = b"\x1f\x8b"


class Gunzipper:
    """The bytes of a gzip body, which may have several members: at most `max_bytes`, from about as many.

    What follows its end is dropped: zlib would gather it, without limit.
    """

    def __init__(self, max_bytes: int) -> None:
        self._stream = zlib.decompressobj(GZIP)
        self._max_bytes = max_bytes
        self._room = max_bytes
        self._taken = 0

    def feed(self, chunk: bytes) -> bytes:
        """What `chunk` unfolds to. Raises RefusedError past a limit, FailedError when damaged."""
        self._taken += len(chunk)
        if self._taken > self._max_bytes + OVERHEAD_BYTES:
            raise self._too_large()
        parts: list[bytes] = []
        while chunk:
            if self._stream.eof:
                if not chunk.startswith(GZIP_MAGIC):
                    break
                self._stream = zlib.decompressobj(GZIP)
            parts.append(self._unfolded(chunk))
            chunk = self._stream.unused_data
        return b"".join(parts)

    def finish(self) -> None:
        """Raise FailedError unless the stream has come to its end."""
        if not self._stream.eof:
            raise FailedError("the compressed body breaks off", Again.SOON)

    def _unfolded(self, chunk: bytes) -> bytes:
        try:
            # One byte more than there is room for tells "full" from "too much".
            content = self._stream.decompress(chunk, self._room + 1)
        except zlib.error:
            raise FailedError("the compressed body is damaged", Again.SOON) from None
        self._room -= len(content)
        if self._room < 0:
            raise self._too_large()
        return content

    def _too_large(self) -> RefusedError:
        return RefusedError(f"larger than {self._max_bytes} bytes")


def gunzipped(content: bytes, max_bytes: int) -> bytes:
    """`content`, decompressed while it is gzip: a `.xml.gz` is sent as it is, and now and then twice compressed.

    Raises RefusedError or FailedError.
    """
    for _ in range(MAX_LAYERS):
        if content.startswith(GZIP_MAGIC):
            content = _unpacked(content, max_bytes)
    return content


def _unpacked(content: bytes, max_bytes: int) -> bytes:
    gunzipper = Gunzipper(max_bytes)
    parts = [gunzipper.feed(content[start : start + CHUNK_BYTES]) for start in range(0, len(content), CHUNK_BYTES)]
    gunzipper.finish()
    return b"".join(parts)
