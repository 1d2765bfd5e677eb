"""Fetches the pictures of a shard concurrently; each row ends with a journal record: kept, refused or failed.

A record is written once its row is finished, so a killed run resumes and a run with nothing new makes no request.
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
from pipeline.sources import FetchOutcome
from pipeline.web.client import checked_url
from pipeline.web.params import WebParams
from pipeline.web.polite_client import PoliteClient
from pipeline.web.responses import FailedError, RefusedError, RequestError, Response, Retry, Validators
from pipeline.web.scratch import BodyStore, Journal

# JPEG and PNG first: many servers convert to AVIF or WebP, with loss, for whoever accepts them.
ACCEPT = "image/jpeg,image/png,image/webp;q=0.9,image/*;q=0.8,*/*;q=0.5"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """The part of a manifest row that fetching needs."""

    key: str
    url: str


@dataclass(frozen=True)
class FetchSettings:
    """The settings that decide which pictures are accepted."""

    web: WebParams
    max_bytes: int
    strip_metadata: bool
    refresh: bool

    @property
    def fingerprint(self) -> str:
        """The settings that a finished row depends on; a record with another fingerprint is not reused."""
        extras = sorted(known.name for known in read_formats() if known.extra is not None)  # refused until they are installed
        return " ".join(map(str, (self.max_bytes, self.strip_metadata, self.web.allow_loopback, *extras)))


Record = dict[str, Any]  # of a finished row, in the journal
_Pending = tuple[Target, Record | None]  # a row, and its record to revalidate


def extract_picture(response: Response, settings: FetchSettings) -> tuple[bytes, str]:
    """The bytes to keep of a response, and their extension. Raises RefusedError or FailedError."""
    if not response.body:
        raise FailedError("an empty body", Retry.NEXT_RUN)
    extension = picture_extension(response.body)
    if extension is None:
        raise RefusedError(f"{looks_like(response.body)}, by its bytes")
    if not settings.strip_metadata:
        return response.body, extension
    try:
        return without_metadata(response.body, extension), extension
    except MetadataError as error:
        raise RefusedError(f"its metadata cannot be removed: {error}") from None


class _Fetcher:
    """Fetches the rows of one shard."""

    def __init__(self, settings: FetchSettings, bodies: BodyStore, journal: Journal, client: PoliteClient) -> None:
        self._settings = settings
        self._bodies = bodies
        self._journal = journal
        self._client = client
        self._reported: set[type[Exception]] = set()

    async def finish(self, row: Target, earlier: Record | None) -> FetchOutcome:
        """The outcome of `row`, recorded in the journal. `earlier` is the record to revalidate."""
        try:
            return await self._finish(row, earlier)
        except (AtelierError, OSError):  # this machine's fault, not the row's
            raise
        except Exception as error:  # an unforeseen response costs only its own row
            if type(error) not in self._reported:  # one traceback for each type; a whole host may respond like that
                self._reported.add(type(error))
                log.exception("%s: an unexpected response", row.url)
            return FetchOutcome("failed", f"an unexpected response: {type(error).__name__}")

    async def _finish(self, row: Target, earlier: Record | None) -> FetchOutcome:
        try:
            return await self._get(row, earlier)
        except RequestError as error:
            if earlier is not None and error.retry is not Retry.NEVER:
                return _outcome_of(earlier)  # keep what we have until the host says otherwise
            record = {"key": row.key, "mark": self._settings.fingerprint, "status": error.status, "reason": error.reason}
            self._journal.append({**record, "again": error.retry.value})
            return FetchOutcome(error.status, error.reason)

    async def _get(self, row: Target, earlier: Record | None) -> FetchOutcome:
        validators = Validators(**earlier["validators"]) if earlier is not None else None
        response = await self._client.get(row.url, accept=ACCEPT, max_bytes=self._settings.max_bytes, validators=validators)
        if response.status == 304 and earlier is not None:
            return _outcome_of(earlier)
        content, extension = extract_picture(response, self._settings)
        record = {
            "key": row.key,
            "mark": self._settings.fingerprint,
            "status": "ok",
            "sha256": self._bodies.put(content),
            "extension": extension,
            "size_bytes": len(content),
            "validators": {
                "url": response.url,
                "etag": response.headers.get("ETag"),
                "last_modified": response.headers.get("Last-Modified"),
            },
        }
        self._journal.append(record)
        return _outcome_of(record)


def fetch_targets(
    rows: Sequence[Target],
    settings: FetchSettings,
    scratch: Path,
    name: str,
    *,
    progress: Callable[[int], object],
    resolver: AbstractResolver | None = None,
) -> dict[str, FetchOutcome]:
    """The outcome of each of `rows`, by key; the bytes of those that are ok are in `BodyStore(scratch / "bodies")`.

    `name` identifies this process among all that share `scratch`. `progress` is called with the number of rows finished since
    the last call. Raises ParamsError without a contact, InputError if the disk is full; finished rows are kept.
    """
    bodies = BodyStore(scratch / "bodies")
    outcomes: dict[str, FetchOutcome] = {}
    pending: list[_Pending] = []
    with Journal(scratch / "journal", name) as journal:
        records = journal.latest({row.key for row in rows})
        for row in rows:
            record = records.get(row.key)
            if record is not None and not _is_valid(record, settings, bodies):
                record = None
            if record is not None and not settings.refresh:
                outcomes[row.key] = _outcome_of(record)
            else:
                pending.append((row, record if record is not None and record["status"] == "ok" else None))
        progress(len(outcomes))

        async def fetch_pending() -> None:
            async with PoliteClient(settings.web, scratch, resolver=resolver) as client:
                fetcher = _Fetcher(settings, bodies, journal, client)

                async def finish(row: Target, earlier: Record | None) -> None:
                    outcomes[row.key] = await fetcher.finish(row, earlier)
                    progress(1)

                await _interleave_hosts(pending, finish, settings.web)

        if pending:
            asyncio.run(fetch_pending())
    return outcomes


async def _interleave_hosts(
    pending: list[_Pending], finish: Callable[[Target, Record | None], Awaitable[None]], web: WebParams
) -> None:
    """Finish every row concurrently, with a limit for each host, so that a slow host delays only itself."""
    queues: dict[str, deque[_Pending]] = {}
    for row, earlier in pending:
        queues.setdefault(_host(row.url), deque()).append((row, earlier))
    # A ticket permits one request in flight to a host.
    tickets = deque(host for _ in range(web.connections_per_host) for host in queues)

    async def work() -> None:
        while tickets:
            host = tickets.popleft()
            if queues[host]:
                await finish(*queues[host].popleft())
                tickets.append(host)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(web.connections, len(pending))):
                group.create_task(work())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None  # the first one cancelled the others


def _host(url: str) -> str:
    try:
        return checked_url(url).host or ""
    except RefusedError:
        return ""


def _is_valid(record: Record, settings: FetchSettings, bodies: BodyStore) -> bool:
    """Whether a record of an earlier run still holds."""
    if record["mark"] != settings.fingerprint:
        return False
    if record["status"] == "ok":
        return bodies.has(record["sha256"], record["size_bytes"])
    return record["again"] == Retry.NEVER.value


def _outcome_of(record: Record) -> FetchOutcome:
    return FetchOutcome(
        record["status"], record.get("reason"), record.get("sha256"), record.get("extension"), record.get("size_bytes")
    )
