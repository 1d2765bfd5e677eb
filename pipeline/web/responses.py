"""How a request ends: with a response, or with an error that says whether it was refused or failed."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from multidict import CIMultiDictProxy

from pipeline.web.values import encodable


class Retry(Enum):
    """When the same request may end differently."""

    SOON = "soon"  # within this run, after a pause
    NEXT_RUN = "next run"
    NEVER = "never"


class NotFetchedError(Exception):
    """The bytes of one picture are missing, with the reason.

    `failed` if they could not be fetched, `refused` if they were not requested or not accepted. Becomes a row of the shard's
    table; it never ends a stage.
    """

    def __init__(self, status: Literal["failed", "refused"], reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = encodable(reason)  # it may quote bytes of the response


class RequestError(NotFetchedError):
    """A request without a usable response."""

    def __init__(self, status: Literal["failed", "refused"], reason: str, retry: Retry) -> None:
        super().__init__(status, reason)
        self.retry = retry


class RefusedError(RequestError):
    """We would not request or not accept it: robots.txt, a reservation, an address, a size, a type, a licence."""

    def __init__(self, reason: str, retry: Retry = Retry.NEVER) -> None:
        super().__init__("refused", reason, retry)


class FailedError(RequestError):
    """The request was made and brought nothing usable: the network, the server or the bytes failed."""

    def __init__(self, reason: str, retry: Retry = Retry.NEVER) -> None:
        super().__init__("failed", reason, retry)


class UnresponsiveHostError(FailedError):
    """The host did not respond, or not completely in time."""


@dataclass(frozen=True)
class Response:
    """A response whose body was read completely, decompressed, within every limit."""

    url: str
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


@dataclass(frozen=True)
class Validators:
    """The validators of an earlier response (RFC 9110, section 8.8), for a conditional request."""

    url: str  # of the last hop, which sent them
    etag: str | None
    last_modified: str | None

    def headers(self, url: str) -> Mapping[str, str]:
        """The conditional headers for a request to `url`; empty if another URL sent the validators."""
        if url != self.url:
            return {}
        headers = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        # Values that cannot be sent back unchanged are left out.
        return {name: value for name, value in headers.items() if value is not None and value.isascii() and value.isprintable()}
