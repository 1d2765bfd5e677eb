"""A file of known content from the web: resumed where it broke off, and at its place whole and verified or not at all."""

import http.client
import logging
import os
import re
import urllib.error
import urllib.request
from pathlib import Path

from pipeline.errors import SourceError
from pipeline.storage.files import BLOCK_BYTES, locked, sha256_of_file

TIMEOUT_S = 60  # without a byte
TRIES = 3  # connections that may break off
RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

log = logging.getLogger(__name__)


class _BrokenOffError(Exception):
    """The connection ended before the file did."""


def _start_of(answer: http.client.HTTPResponse, had: int) -> int:
    """The byte that the answer begins with; 0 where the server does not resume, or resumes somewhere else than asked."""
    given = RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return had if answer.status == http.HTTPStatus.PARTIAL_CONTENT and given and int(given[1]) == had else 0


def _bring(url: str, partial: Path, max_bytes: int) -> None:
    """Fetch what `partial` lacks, once. Raises _BrokenOffError, or SourceError where trying again is of no use."""
    had = partial.stat().st_size if partial.exists() else 0
    asked = urllib.request.Request(url, headers={"Range": f"bytes={had}-"} if had else {})
    try:
        with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:
            start = _start_of(answer, had)
            if answer.status == http.HTTPStatus.PARTIAL_CONTENT and start != had:
                partial.unlink()
                raise _BrokenOffError("the server resumed at another byte than asked")
            announced = answer.headers.get("Content-Length")
            with partial.open("ab" if start else "wb") as file:
                while block := answer.read(BLOCK_BYTES):
                    file.write(block)
                    if file.tell() > max_bytes:
                        partial.unlink()
                        raise SourceError(f"{url}: more than the {max_bytes} bytes expected")
                if announced is not None and file.tell() - start < int(announced):
                    raise _BrokenOffError(f"{file.tell() - start} of {announced} bytes came")
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and had:
            partial.unlink()  # all of it is here already, or what is here is not of this file: begin again
            raise _BrokenOffError("nothing to resume") from None
        if error.code in (http.HTTPStatus.TOO_MANY_REQUESTS, http.HTTPStatus.REQUEST_TIMEOUT) or error.code >= 500:
            raise _BrokenOffError(f"HTTP {error.code}") from None
        raise SourceError(f"{url}: HTTP {error.code}") from None
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(str(getattr(error, "reason", None) or error or type(error).__name__)) from None


def _bring_whole(url: str, partial: Path, max_bytes: int) -> None:
    for left in reversed(range(TRIES)):
        try:
            return _bring(url, partial, max_bytes)
        except _BrokenOffError as error:
            if not left:
                raise SourceError(f"{url}: {error}; what came is kept, and the next run goes on from there") from None
            log.info("%s: %s; trying again", url, error)
    raise AssertionError("the last try returns or raises")


def download(url: str, path: Path, sha256: str, max_bytes: int) -> Path:
    """`path`, holding the bytes of that SHA-256, fetched from `url` when they are not there yet.

    What a broken connection or a killed process left is taken up by HTTP Range. If the whole is then not what it should be,
    it is fetched once more from the start. Raises SourceError; `path` is then as it was before.
    """
    partial = path.with_name(f".{path.name}.{sha256[:16]}.partial")
    with locked(partial.with_suffix(".lock")):
        if path.is_file() and sha256_of_file(path) == sha256:
            return path
        for _ in range(2 if partial.exists() else 1):
            if not (partial.exists() and sha256_of_file(partial) == sha256):  # it is, where only the renaming was missed
                _bring_whole(url, partial, max_bytes)
            if sha256_of_file(partial) == sha256:
                with partial.open("rb") as file:
                    os.fsync(file.fileno())
                return partial.replace(path)
            partial.unlink()
    raise SourceError(f"{url}: not the file expected (its SHA-256 is not {sha256})")
