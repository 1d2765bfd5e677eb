"""Decompression that stops at a limit instead of unfolding a bomb."""

import zlib

from pipeline.sources.web.answers import Again, FailedError, RefusedError

GZIP = 31  # zlib's window bits for a gzip header and trailer
GZIP_MAGIC = b"\x1f\x8b"


class Gunzipper:
    """Bytes of a gzip stream, at most `max_bytes` of them in all."""

    def __init__(self, max_bytes: int) -> None:
        self._stream = zlib.decompressobj(GZIP)
        self._max_bytes = max_bytes
        self._room = max_bytes

    def feed(self, chunk: bytes) -> bytes:
        """What `chunk` unfolds to. Raises RefusedError past the limit, FailedError when damaged."""
        try:
            # One byte more than there is room for tells "full" from "too much".
            content = self._stream.decompress(chunk, self._room + 1)
        except zlib.error:
            raise FailedError("the compressed body is damaged", Again.SOON) from None
        self._room -= len(content)
        if self._room < 0:
            raise RefusedError(f"larger than {self._max_bytes} bytes")
        return content

    def finish(self) -> None:
        """Raise FailedError unless the stream has come to its end."""
        if not self._stream.eof:
            raise FailedError("the compressed body breaks off", Again.SOON)


def gunzipped(content: bytes, max_bytes: int) -> bytes:
    """`content`, decompressed when it is gzip (a `.xml.gz` is sent as it is). Raises RefusedError or FailedError."""
    if not content.startswith(GZIP_MAGIC):
        return content
    gunzipper = Gunzipper(max_bytes)
    unfolded = gunzipper.feed(content)
    gunzipper.finish()
    return unfolded
