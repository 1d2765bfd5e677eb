"""What a request ends in: an answer, or one of two reasons why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from multidict import CIMultiDictProxy

from pipeline.web.values import storable


class Again(Enum):
    """When asking the same again may end otherwise."""

    SOON = "soon"  # within this run, after a pause
    NEXT_RUN = "next run"
    NEVER = "never"


class NotFetchedError(Exception):
    """The bytes of one picture are not there: `failed` if they could not be had, `refused` if they were not asked for.

    Becomes a row of the shard's table, never the end of a stage.
    """

    def __init__(self, status: Literal["failed", "refused"], reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = storable(reason)  # it may quote a stranger's bytes


class NoAnswerError(NotFetchedError):
    """A request without a usable answer."""

    def __init__(self, status: Literal["failed", "refused"], reason: str, again: Again) -> None:
        super().__init__(status, reason)
        self.again = again


class RefusedError(NoAnswerError):
    """We would not ask, or would not take: robots.txt, a reservation, an address, a size, a type, a licence."""

    def __init__(self, reason: str, again: Again = Again.NEVER) -> None:
        super().__init__("refused", reason, again)


class FailedError(NoAnswerError):
    """We asked and got nothing whole: the network, the server, the bytes."""

    def __init__(self, reason: str, again: Again = Again.NEVER) -> None:
        super().__init__("failed", reason, again)


class SilentError(FailedError):
    """The host did not answer at all, or not to the end in time."""


@dataclass(frozen=True)
class Answer:
    """A response with its body read whole, uncompressed, within every limit."""

    url: str
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


@dataclass(frozen=True)
class Validators:
    """What an earlier answer offered to ask whether it still holds; what cannot be sent back as it came is left out."""

    url: str  # the last hop, which gave them
    etag: str | None
    last_modified: str | None

    def headers(self, url: str) -> Mapping[str, str]:
        """The conditional headers for a request to `url`; none when another URL gave the validators."""
        if url != self.url:
            return {}
        given = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in given.items() if value is not None and value.isascii() and value.isprintable()}
