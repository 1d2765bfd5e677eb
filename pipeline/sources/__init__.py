"""Where pictures come from: a source lists its pictures for collect, and brings their bytes for fetch."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Listed:
    """One picture as its source lists it: the columns of tables.MANIFEST that a source knows."""

    url: str
    page: str | None = None
    title: str | None = None
    category: str | None = None
    licence: str | None = None
    published: str | None = None
    split: str | None = None


class NotFetchedError(Exception):
    """A picture whose bytes did not come: `failed` when they could not, `refused` when they were not asked for."""

    def __init__(self, status: Literal["failed", "refused"], reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
