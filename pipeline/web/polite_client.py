"""A visit to one URL that is polite and lawful, and ends with a body or with a reason."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from http.client import responses
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp.abc import AbstractResolver
from multidict import CIMultiDictProxy
from yarl import URL

from pipeline import __version__
from pipeline.errors import ParamsError
from pipeline.web import reservations
from pipeline.web.client import Client, Judge, checked_url
from pipeline.web.params import WebParams
from pipeline.web.rate_limiter import HostRateLimiter
from pipeline.web.responses import Again, Answer, FailedError, RefusedError, SilentError, Validators
from pipeline.web.robots import PRODUCT_TOKEN, READ_BYTES
from pipeline.web.sites import Site, Sites, redirect_target
from pipeline.web.values import moment_of

MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
FIRST_PAUSE_S = 1.0  # doubled at every further try
LONGEST_PAUSE_S = 60.0
GIVEN_UP_AFTER = 10  # silences of a host in a row, for each connection to it


def user_agent(contact: str) -> str:
    """Our name, version and contact. Raises ParamsError when there is no contact."""
    if not contact:
        raise ParamsError("web.contact: nothing is asked of the web before you say who asks: an e-mail address or a web page")
    return f"{PRODUCT_TOKEN}/{__version__} (+{contact})"


def retry_after_s(headers: CIMultiDictProxy[str], now: datetime) -> float | None:
    """Seconds that a Retry-After header (a number or a date) asks for, or none."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    moment = moment_of(value)
    return max(0.0, (moment - now).total_seconds()) if moment is not None else None


def pause_s(attempt: int, chance: random.Random) -> float:
    """Seconds to wait before try `attempt` (1 is the second): half of a doubling span, and a random share of the other half."""
    span = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (attempt - 1))
    return span / 2 + chance.uniform(0, span / 2)


def check_headers(headers: CIMultiDictProxy[str]) -> None:
    """Raise RefusedError when the headers of a response reserve it."""
    if (reason := reservations.header_reservation(headers, datetime.now(UTC))) is not None:
        raise RefusedError(reason)


def accept_any_headers(_: CIMultiDictProxy[str]) -> None:
    """For what is there to be read: rules of a site, and pages, whose headers speak of the pictures on them."""


class PoliteClient:
    """Makes visits, at most `web.connections` at once. `folder` holds what all processes must agree on."""

    def __init__(self, web: WebParams, folder: Path, *, resolver: AbstractResolver | None = None) -> None:
        self._web = web
        self._turns = HostRateLimiter(folder / "turns", max_wait_s=web.max_wait_s)
        self._sites = Sites(folder / "sites", self._ask_for_rules)
        self._chance = random.Random()  # for pauses only
        self._silences: Counter[str] = Counter()  # in a row, by host
        self._client = Client(
            user_agent(web.contact), connections=web.connections, allow_loopback=web.allow_loopback, resolver=resolver
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def site(self, url: str) -> Site:
        """What the site of `url` allows. Raises RefusedError."""
        return await self._sites.rules(checked_url(url).origin())

    async def visit(self, url: str, *, accept: str, max_bytes: int, known: Validators | None = None) -> Answer:
        """The answer behind `url` after at most five redirects, each hop judged alike: a 200 with its body, or a 304 when
        `known`.

        Raises RefusedError or FailedError.
        """
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self.step(url, accept=accept, max_bytes=max_bytes, known=known)
            if answer.status not in REDIRECTS:
                return answer
            url = str(redirect_target(URL(answer.url), answer))
        raise FailedError(f"more than {MAX_REDIRECTS} redirects")

    async def step(
        self, url: str, *, accept: str, max_bytes: int, known: Validators | None = None, judge: Judge = check_headers
    ) -> Answer:
        """The answer of one hop: a 200, a redirect, or a 304 when `known`. Raises RefusedError or FailedError."""
        target = checked_url(url)
        site = await self._sites.rules(target.origin())
        if (reason := site.refusal(target)) is not None:
            raise RefusedError(reason, Again.NEXT_RUN if site.robots.unreachable else Again.NEVER)
        headers = known.headers(str(target)) if known is not None else {}
        answer = await self._persist(
            target,
            site.robots.delay_s,
            lambda: self._client.request(
                target, accept=accept, max_bytes=max_bytes, timeout_s=self._web.timeout_s, headers=headers, judge=judge
            ),
        )
        if answer.status == 304 and headers:
            judge(answer.headers)  # a reservation may have come since
            return answer
        if answer.status == 200 or answer.status in REDIRECTS:
            return answer
        raise status_error(answer.status)

    async def _ask_for_rules(self, url: URL, delay_s: float) -> Answer:
        url = checked_url(str(url))
        ask = partial(
            self._client.request,
            url,
            accept="*/*",
            max_bytes=READ_BYTES,
            timeout_s=self._web.timeout_s,
            headers={},
            judge=accept_any_headers,
            cut=True,
        )
        return await self._persist(url, delay_s, ask)

    async def _persist(self, url: URL, delay_s: float, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """The first answer of `ask` that is worth having, in turn, with growing pauses between tries."""
        host = url.host or ""
        for attempt in range(self._web.retries + 1):
            if self._silences[host] >= GIVEN_UP_AFTER * self._web.connections_per_host:
                raise FailedError(f"{host} no longer answers", Again.NEXT_RUN)
            if attempt:
                await asyncio.sleep(pause_s(attempt, self._chance))
            await self._turns.wait(host, max(delay_s, self._web.delay_s))
            try:
                answer = await ask()
            except FailedError as error:
                if isinstance(error, SilentError):
                    self._silences[host] += 1
                if error.again is not Again.SOON or attempt == self._web.retries:
                    raise
                continue
            self._silences.pop(host, None)
            if answer.status not in BUSY:
                break
            if (wait_s := retry_after_s(answer.headers, datetime.now(UTC))) is not None:
                self._turns.hold(host, wait_s)
        return answer


def status_error(status: int) -> FailedError:
    """The error that an HTTP status other than success means."""
    lasting = 400 <= status < 500 and status not in BUSY
    return FailedError(f"{status} {responses.get(status, 'Unknown')}", Again.NEVER if lasting else Again.NEXT_RUN)
