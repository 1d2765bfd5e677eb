"""An HTTP client that obeys robots.txt, reservations and rate limits; every request ends with a response or with a reason."""

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
from pipeline.web.client import HeaderCheck, HttpClient, checked_url
from pipeline.web.params import WebParams
from pipeline.web.rate_limiter import HostRateLimiter
from pipeline.web.responses import FailedError, RefusedError, Response, Retry, UnresponsiveHostError, Validators
from pipeline.web.robots import MAX_ROBOTS_BYTES, PRODUCT_TOKEN
from pipeline.web.sites import REDIRECT_STATUSES, SiteRules, SiteRulesCache, redirect_target
from pipeline.web.values import parse_datetime

MAX_REDIRECTS = 5
RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
FIRST_BACKOFF_S = 1.0  # doubled for every further attempt
MAX_BACKOFF_S = 60.0
MAX_UNANSWERED = 10  # consecutive requests for each connection to a host before it is given up


def user_agent(contact: str) -> str:
    """Our name, version and contact. Raises ParamsError if there is no contact."""
    if not contact:
        raise ParamsError("web.contact: no request is made before you state a contact: an e-mail address or a web page")
    return f"{PRODUCT_TOKEN}/{__version__} (+{contact})"


def retry_after_s(headers: CIMultiDictProxy[str], now: datetime) -> float | None:
    """The seconds of a Retry-After header, which holds a number or a date; none without one."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    moment = parse_datetime(value)
    return max(0.0, (moment - now).total_seconds()) if moment is not None else None


def backoff_s(attempt: int, rng: random.Random) -> float:
    """The pause in seconds before `attempt`, where 1 is the first retry.

    Half of an exponentially growing span plus a random part of the other half.
    """
    span = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (attempt - 1))
    return span / 2 + rng.uniform(0, span / 2)


def check_reservations(headers: CIMultiDictProxy[str]) -> None:
    """Raise RefusedError if the headers of a response reserve its content."""
    if (reason := reservations.header_reservation(headers, datetime.now(UTC))) is not None:
        raise RefusedError(reason)


def accept_any_headers(_: CIMultiDictProxy[str]) -> None:
    """Accept robots.txt and pages: the headers of a page apply to the pictures on it, which are checked later."""


class PoliteClient:
    """Makes at most `web.connections` requests at once. `folder` holds the state that all processes share."""

    def __init__(self, web: WebParams, folder: Path, *, resolver: AbstractResolver | None = None) -> None:
        self._web = web
        self._rate_limiter = HostRateLimiter(folder / "rate_limits", max_wait_s=web.max_wait_s)
        self._sites = SiteRulesCache(folder / "sites", self._get_rules)
        self._rng = random.Random()  # only for pauses
        self._unanswered: Counter[str] = Counter()  # consecutive requests, by host
        self._client = HttpClient(
            user_agent(web.contact), connections=web.connections, allow_loopback=web.allow_loopback, resolver=resolver
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def site_rules(self, url: str) -> SiteRules:
        """What the site of `url` allows. Raises RefusedError."""
        return await self._sites.get(checked_url(url).origin())

    async def get(self, url: str, *, accept: str, max_bytes: int, validators: Validators | None = None) -> Response:
        """The response after at most five redirects: a 200 with its body, or a 304 to `validators`.

        Every hop is checked like the first. Raises RefusedError or FailedError.
        """
        for _ in range(MAX_REDIRECTS + 1):
            response = await self.get_once(url, accept=accept, max_bytes=max_bytes, validators=validators)
            if response.status not in REDIRECT_STATUSES:
                return response
            url = str(redirect_target(URL(response.url), response))
        raise FailedError(f"more than {MAX_REDIRECTS} redirects")

    async def get_once(
        self,
        url: str,
        *,
        accept: str,
        max_bytes: int,
        validators: Validators | None = None,
        check_headers: HeaderCheck = check_reservations,
    ) -> Response:
        """The response without following redirects: a 200, a redirect, or a 304 to `validators`.

        Raises RefusedError or FailedError.
        """
        target = checked_url(url)
        site = await self._sites.get(target.origin())
        if (reason := site.refusal(target)) is not None:
            raise RefusedError(reason, Retry.NEXT_RUN if site.robots.unreachable else Retry.NEVER)
        headers = validators.headers(str(target)) if validators is not None else {}
        response = await self._with_retries(
            target,
            site.robots.delay_s,
            partial(
                self._client.request,
                target,
                accept=accept,
                max_bytes=max_bytes,
                timeout_s=self._web.timeout_s,
                headers=headers,
                check_headers=check_headers,
            ),
        )
        if response.status == 304 and headers:
            check_headers(response.headers)  # the content may have been reserved since
            return response
        if response.status == 200 or response.status in REDIRECT_STATUSES:
            return response
        raise status_error(response.status)

    async def _get_rules(self, url: URL, delay_s: float) -> Response:
        url = checked_url(str(url))
        request = partial(
            self._client.request,
            url,
            accept="*/*",
            max_bytes=MAX_ROBOTS_BYTES,
            timeout_s=self._web.timeout_s,
            headers={},
            check_headers=accept_any_headers,
            truncate=True,
        )
        return await self._with_retries(url, delay_s, request)

    async def _with_retries(self, url: URL, delay_s: float, request: Callable[[], Awaitable[Response]]) -> Response:
        """The first final response to `request`, within the rate limit, with a growing pause between attempts."""
        host = url.host or ""
        for attempt in range(self._web.retries + 1):
            if self._unanswered[host] >= MAX_UNANSWERED * self._web.connections_per_host:
                raise FailedError(f"{host} no longer answers", Retry.NEXT_RUN)
            if attempt:
                await asyncio.sleep(backoff_s(attempt, self._rng))
            await self._rate_limiter.acquire(host, max(delay_s, self._web.delay_s))
            try:
                response = await request()
            except FailedError as error:
                if isinstance(error, UnresponsiveHostError):
                    self._unanswered[host] += 1
                if error.retry is not Retry.SOON or attempt == self._web.retries:
                    raise
                continue
            self._unanswered.pop(host, None)
            if response.status not in RETRYABLE_STATUSES:
                break
            if (wait_s := retry_after_s(response.headers, datetime.now(UTC))) is not None:
                self._rate_limiter.hold(host, wait_s)
        return response


def status_error(status: int) -> FailedError:
    """The error for an HTTP status that is neither success nor a redirect."""
    permanent = 400 <= status < 500 and status not in RETRYABLE_STATUSES
    return FailedError(f"{status} {responses.get(status, 'Unknown')}", Retry.NEVER if permanent else Retry.NEXT_RUN)
