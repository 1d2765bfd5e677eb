"""What each site allows: its robots.txt and tdmrep.json, cached for a day."""

import asyncio
import contextlib
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yarl import URL

from pipeline.storage.files import write_json
from pipeline.web import reservations, robots
from pipeline.web.reservations import TdmRule
from pipeline.web.responses import FailedError, RequestError, Response
from pipeline.web.robots import Robots

MAX_AGE_S = 86_400.0  # RFC 9309, section 2.4: at most a day
MAX_CACHED_SITES = 1_000  # origins in memory; the others are read from the folder again
MAX_REDIRECTS = 5  # RFC 9309, section 2.3.1.2
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})

Get = Callable[[URL, float], Awaitable[Response]]


@dataclass(frozen=True)
class SiteRules:
    """The rules of one origin."""

    robots: Robots
    tdmrep: list[TdmRule]
    kept_until: float  # seconds since the epoch

    def refusal(self, url: URL) -> str | None:
        """Why `url` must not be requested, or none."""
        return self.robots.refusal(url) or reservations.tdmrep_reservation(self.tdmrep, url)


class SiteRulesCache:
    """The rules of every origin, requested through `get(url, delay_s)`, which makes one rate-limited request."""

    def __init__(self, folder: Path, get: Get) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._get = get
        self._cached: OrderedDict[URL, asyncio.Task[SiteRules]] = OrderedDict()  # by origin

    async def get(self, origin: URL) -> SiteRules:
        """The rules of `origin`; concurrent callers share one request."""
        cached = self._cached.get(origin)
        if cached is None or (cached.done() and cached.result().kept_until < time.time()):
            cached = asyncio.create_task(self._load(origin))
            self._cached[origin] = cached
        self._cached.move_to_end(origin)
        if len(self._cached) > MAX_CACHED_SITES:
            self._cached.popitem(last=False)
        # Shielded: cancelling one caller must not cancel the request for the others.
        return await asyncio.shield(cached)

    async def _load(self, origin: URL) -> SiteRules:
        path = self._folder / f"{hashlib.sha256(str(origin).encode()).hexdigest()[:32]}.json"
        record = _load_record(path)
        if record is None:
            record = await self._request_record(origin)
            if record["robots_unreachable"] is None:
                with contextlib.suppress(OSError):  # on a full disk the next run requests it again
                    write_json(path, record)
        return _parse_record(record)

    async def _request_record(self, origin: URL) -> dict[str, Any]:
        expiry = time.time() + MAX_AGE_S
        record: dict[str, Any] = {"kept_until": expiry, "robots": None, "robots_unreachable": None, "mining": ""}
        try:
            response = await self._follow_redirects(origin / "robots.txt", 0.0)
        except RequestError as error:
            record["robots_unreachable"] = error.reason
            return record
        if response is not None and response.status == 200:
            record["robots"] = response.body.decode("latin-1")
        elif response is not None and (reason := robots.robots_for_status(response.status).unreachable) is not None:
            record["robots_unreachable"] = reason
            return record
        rules, mining = _parse_record(record).robots, origin / ".well-known" / "tdmrep.json"
        if rules.refusal(mining) is not None:
            return record
        try:
            response = await self._follow_redirects(mining, rules.delay_s)
        except RequestError:
            return record  # "implies that the origin server does not implement this protocol"
        if response is not None and response.status == 200:
            record["mining"] = response.body.decode("latin-1")
        return record

    async def _follow_redirects(self, url: URL, delay_s: float) -> Response | None:
        """The response after at most five redirects, also to other hosts; none after more, which RFC 9309 calls unavailable."""
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._get(url, delay_s)
            if response.status not in REDIRECT_STATUSES:
                return response
            url = redirect_target(url, response)
        return None


def redirect_target(url: URL, response: Response) -> URL:
    """The URL that `response` redirects to. Raises FailedError if its Location header is missing or invalid."""
    try:
        return url.join(URL(response.headers["Location"])).with_fragment(None)
    except (KeyError, ValueError):
        raise FailedError("a redirect without a usable address") from None


def _load_record(path: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return record if record["kept_until"] > time.time() else None
    except (OSError, ValueError, TypeError, KeyError):  # missing or damaged
        return None


def _parse_record(record: dict[str, Any]) -> SiteRules:
    if record["robots_unreachable"] is not None:
        rules = Robots(None, unreachable=record["robots_unreachable"])
    elif record["robots"] is None:
        rules = Robots(None)
    else:
        rules = robots.parse_robots(record["robots"].encode("latin-1"))
    return SiteRules(rules, reservations.parse_tdmrep(record["mining"].encode("latin-1")), record["kept_until"])
