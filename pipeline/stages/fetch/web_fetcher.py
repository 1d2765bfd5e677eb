"""The pictures of many rows, fetched many at once, each ending in a record: kept, refused or failed.

Resumable: a record is written when its row is finished and is never written twice for one visit, so a run that was killed goes
on where it stopped, and a run with nothing new asks nobody for anything.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp.abc import AbstractResolver

from pipeline.errors import AtelierError
from pipeline.imaging.formats import looks_like, picture_extension, read_formats
from pipeline.imaging.metadata_stripping import MetadataError, without_metadata
from pipeline.sources import Outcome
from pipeline.web.client import checked_url
from pipeline.web.params import WebParams
from pipeline.web.polite_client import PoliteClient
from pipeline.web.responses import Again, Answer, FailedError, NoAnswerError, RefusedError, Validators
from pipeline.web.scratch import Bodies, Journal

# JPEG and PNG first: many servers convert to AVIF or WebP, with loss, for whoever accepts them.
ACCEPT = "image/jpeg,image/png,image/webp;q=0.9,image/*;q=0.8,*/*;q=0.5"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """One row of the manifest, as far as fetching goes."""

    key: str
    url: str


@dataclass(frozen=True)
class Terms:
    """Under which conditions pictures are taken."""

    web: WebParams
    max_bytes: int
    strip_metadata: bool
    refresh: bool

    @property
    def mark(self) -> str:
        """What a finished row depends on: a record made under another mark is not used again."""
        extras = sorted(known.name for known in read_formats() if known.extra is not None)  # refused before they were installed
        return " ".join(map(str, (self.max_bytes, self.strip_metadata, self.web.allow_loopback, *extras)))


Record = dict[str, Any]  # of a finished row, in the journal
_Waiting = tuple[Wanted, Record | None]  # a row, and the record of it to ask about again


def picture_in(answer: Answer, terms: Terms) -> tuple[bytes, str]:
    """The picture to keep of a whole answer, and its extension. Raises RefusedError or FailedError."""
    if not answer.body:
        raise FailedError("an empty body", Again.NEXT_RUN)
    extension = picture_extension(answer.body)
    if extension is None:
        raise RefusedError(f"{looks_like(answer.body)}, by its bytes")
    if not terms.strip_metadata:
        return answer.body, extension
    try:
        return without_metadata(answer.body, extension), extension
    except MetadataError as error:
        raise RefusedError(f"its metadata cannot be taken out: {error}") from None


class _Run:
    """One run over the rows of a shard."""

    def __init__(self, terms: Terms, bodies: Bodies, journal: Journal, visitor: PoliteClient) -> None:
        self._terms = terms
        self._bodies = bodies
        self._journal = journal
        self._visitor = visitor
        self._reported: set[type[Exception]] = set()

    async def finish(self, row: Wanted, earlier: Record | None) -> Outcome:
        """How `row` ends, on record. `earlier` is the record to ask about again."""
        try:
            return await self._finish(row, earlier)
        except (AtelierError, OSError):  # the disk's, not the row's
            raise
        except Exception as error:  # a library's, over an answer that nobody foresaw: it costs this row alone
            if type(error) not in self._reported:  # one traceback of a kind; a whole host may answer like that
                self._reported.add(type(error))
                log.exception("%s: an answer that cannot be handled", row.url)
            return Outcome("failed", f"an answer that cannot be handled: {type(error).__name__}")

    async def _finish(self, row: Wanted, earlier: Record | None) -> Outcome:
        try:
            return await self._visit(row, earlier)
        except NoAnswerError as error:
            if earlier is not None and error.again is not Again.NEVER:
                return _kept(earlier)  # what we have stays until its host says otherwise
            record = {"key": row.key, "mark": self._terms.mark, "status": error.status, "reason": error.reason}
            self._journal.append({**record, "again": error.again.value})
            return Outcome(error.status, error.reason)

    async def _visit(self, row: Wanted, earlier: Record | None) -> Outcome:
        known = Validators(**earlier["validators"]) if earlier is not None else None
        answer = await self._visitor.visit(row.url, accept=ACCEPT, max_bytes=self._terms.max_bytes, known=known)
        if answer.status == 304 and earlier is not None:
            return _kept(earlier)
        content, extension = picture_in(answer, self._terms)
        record = {
            "key": row.key,
            "mark": self._terms.mark,
            "status": "ok",
            "sha256": self._bodies.put(content),
            "extension": extension,
            "size_bytes": len(content),
            "validators": {
                "url": answer.url,
                "etag": answer.headers.get("ETag"),
                "last_modified": answer.headers.get("Last-Modified"),
            },
        }
        self._journal.append(record)
        return _kept(record)


def fetch(
    rows: Sequence[Wanted],
    terms: Terms,
    scratch: Path,
    name: str,
    *,
    progress: Callable[[int], object],
    resolver: AbstractResolver | None = None,
) -> dict[str, Outcome]:
    """How each of `rows` ended, by key; the bytes of those that are ok are in `Bodies(scratch / "bodies")`.

    `name` is this process's own among all that share `scratch`. `progress` hears how many rows more are done.
    Raises ParamsError without a contact, InputError when the disk is full; what is finished by then is kept.
    """
    bodies = Bodies(scratch / "bodies")
    outcomes: dict[str, Outcome] = {}
    waiting: list[_Waiting] = []
    with Journal(scratch / "journal", name) as journal:
        records = journal.latest({row.key for row in rows})
        for row in rows:
            record = records.get(row.key)
            if record is not None and not _usable(record, terms, bodies):
                record = None
            if record is not None and not terms.refresh:
                outcomes[row.key] = _kept(record)
            else:
                waiting.append((row, record if record is not None and record["status"] == "ok" else None))
        progress(len(outcomes))

        async def visit_all() -> None:
            async with PoliteClient(terms.web, scratch, resolver=resolver) as visitor:
                run = _Run(terms, bodies, journal, visitor)

                async def finish(row: Wanted, earlier: Record | None) -> None:
                    outcomes[row.key] = await run.finish(row, earlier)
                    progress(1)

                await _hosts_in_turn(waiting, finish, terms.web)

        if waiting:
            asyncio.run(visit_all())
    return outcomes


async def _hosts_in_turn(
    waiting: list[_Waiting], finish: Callable[[Wanted, Record | None], Awaitable[None]], web: WebParams
) -> None:
    """Finish every row, many at once, few of them of one host: a slow host holds up only itself."""
    queues: dict[str, deque[_Waiting]] = {}
    for row, earlier in waiting:
        queues.setdefault(_host(row.url), deque()).append((row, earlier))
    # A ticket is the right to one request in flight to a host.
    tickets = deque(host for _ in range(web.connections_per_host) for host in queues)

    async def work() -> None:
        while tickets:
            host = tickets.popleft()
            if queues[host]:
                await finish(*queues[host].popleft())
                tickets.append(host)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(web.connections, len(waiting))):
                group.create_task(work())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None  # the first stopped all the others


def _host(url: str) -> str:
    try:
        return checked_url(url).host or ""
    except RefusedError:
        return ""


def _usable(record: Record, terms: Terms, bodies: Bodies) -> bool:
    """Whether a record of an earlier run still says how its row ends."""
    if record["mark"] != terms.mark:
        return False
    if record["status"] == "ok":
        return bodies.holds(record["sha256"], record["size_bytes"])
    return record["again"] == Again.NEVER.value


def _kept(record: Record) -> Outcome:
    return Outcome(
        record["status"], record.get("reason"), record.get("sha256"), record.get("extension"), record.get("size_bytes")
    )
