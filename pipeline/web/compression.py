"""Decompression with a limit, which stops a decompression bomb."""

import zlib

from pipeline.web.responses import FailedError, RefusedError, Retry

GZIP_WBITS = 31  # zlib's window bits for a gzip header and trailer
MAX_OVERHEAD_BYTES = 100_000  # that compression may add to an incompressible body
CHUNK_BYTES = 1 << 16
MAX_LAYERS = 3  # of gzip in gzip
GZIP_MAGIC = b"\x1f\x8b"


class Gunzipper:
    """Decompresses a gzip stream of one or more members into at most `max_bytes`, from about as many.

    Bytes after the last member are dropped: zlib would buffer them without limit. How the stream is cut into chunks makes no
    difference.
    """

    def __init__(self, max_bytes: int) -> None:
        self._stream = zlib.decompressobj(GZIP_WBITS)
        self._max_bytes = max_bytes
        self._remaining = max_bytes
        self._consumed = 0
        self._magic = b""  # the start of what may be a further member
        self._has_ended = False

    def feed(self, chunk: bytes) -> bytes:
        """The decompressed `chunk`. Raises RefusedError past a limit, FailedError if the stream is damaged."""
        self._consumed += len(chunk)
        if self._consumed > self._max_bytes + MAX_OVERHEAD_BYTES:
            raise self._too_large()
        parts: list[bytes] = []
        chunk, self._magic = self._magic + chunk, b""
        while chunk and not self._has_ended:
            if self._stream.eof:
                if chunk == GZIP_MAGIC[:1]:
                    self._magic = chunk
                    break
                if not chunk.startswith(GZIP_MAGIC):
                    self._has_ended = True
                    break
                self._stream = zlib.decompressobj(GZIP_WBITS)
            parts.append(self._decompress(chunk))
            chunk = self._stream.unused_data
        return b"".join(parts)

    def finish(self) -> None:
        """Raise FailedError unless the stream is complete."""
        if not self._stream.eof:
            raise FailedError("the compressed body is incomplete", Retry.SOON)

    def _decompress(self, chunk: bytes) -> bytes:
        try:
            # One byte more than remains distinguishes a full buffer from too much.
            content = self._stream.decompress(chunk, self._remaining + 1)
        except zlib.error:
            raise FailedError("the compressed body is damaged", Retry.SOON) from None
        self._remaining -= len(content)
        if self._remaining < 0:
            raise self._too_large()
        return content

    def _too_large(self) -> RefusedError:
        return RefusedError(f"larger than {self._max_bytes} bytes")


def gunzip(content: bytes, max_bytes: int) -> bytes:
    """`content` without its layers of gzip: a `.xml.gz` is sent as it is, sometimes compressed twice.

    Raises RefusedError or FailedError.
    """
    for _ in range(MAX_LAYERS):
        if content.startswith(GZIP_MAGIC):
            gunzipper = Gunzipper(max_bytes)
            parts = [gunzipper.feed(content[start : start + CHUNK_BYTES]) for start in range(0, len(content), CHUNK_BYTES)]
            gunzipper.finish()
            content = b"".join(parts)
    return content
