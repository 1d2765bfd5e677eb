"""A Scrapy spider over the pages, feeds and sitemaps of one site.

Scrapy keeps the queue, the depths, the domains and the redirects. Every request leaves through the visitor and not through
Scrapy's own downloader, which fetches although robots.txt could not be read, knows no Retry-After, and connects to any address.
"""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from multidict import CIMultiDict, CIMultiDictProxy
from scrapy import Request, Spider
from scrapy.crawler import AsyncCrawlerRunner, Crawler
from scrapy.http import Headers, Response, TextResponse
from scrapy.responsetypes import responsetypes
from twisted.python.failure import Failure
from w3lib.url import canonicalize_url

from pipeline.sources.pages.feeds import read_listing
from pipeline.sources.pages.found import Found, Harvest
from pipeline.sources.pages.html import read_page
from pipeline.sources.pages.renditions import asset
from pipeline.sources.params import CrawlSite, CrawlSource
from pipeline.web import reservations
from pipeline.web.client import checked_url
from pipeline.web.compression import gunzipped
from pipeline.web.page_cache import MAX_PAGE_BYTES, PageCache
from pipeline.web.params import WebParams
from pipeline.web.polite_client import PoliteClient
from pipeline.web.responses import FailedError, NotFetchedError, RefusedError
from pipeline.web.scratch import Bodies, Journal
from pipeline.web.urls import absolute_url

DAY_S = 86_400.0
READING_S = 20.0  # of the processor over one page; what takes longer was written to take long
SETTINGS: dict[str, Any] = {
    "TWISTED_REACTOR_ENABLED": False,  # asyncio alone: nothing global, so a process may crawl twice
    "DOWNLOAD_HANDLERS": {
        **dict.fromkeys(("http", "https"), f"{__name__}.VisitorHandler"),
        **dict.fromkeys(("data", "file", "ftp", "s3")),
    },
    # One request at a time, none before the last page is read, breadth first: within the limits lie the same pages every time.
    "CONCURRENT_REQUESTS": 1,
    "SCRAPER_SLOT_MAX_ACTIVE_SIZE": 1,
    "SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue",
    "REDIRECT_MAX_TIMES": 5,
    "REDIRECT_PRIORITY_ADJUST": 0,
    # The visitor minds robots.txt and paces, tries again, decompresses and names itself; cookies and proxies it does not use.
    "ROBOTSTXT_OBEY": False,
    "RETRY_ENABLED": False,
    "COMPRESSION_ENABLED": False,
    "COOKIES_ENABLED": False,
    "HTTPPROXY_ENABLED": False,
    "METAREFRESH_ENABLED": False,
    "REFERER_ENABLED": False,
    "TELNETCONSOLE_ENABLED": False,
    "REMOTE_CONTROL_ENABLED": False,
    "MEMUSAGE_ENABLED": False,
    "STATS_DUMP": False,
    "URLLENGTH_LIMIT": 8192,
}


def _as_sent(header: str) -> bytes:
    """The bytes that aiohttp made `header` from."""
    return header.encode("utf-8", "surrogateescape")


class VisitorHandler:
    """Scrapy's downloader, replaced by the spider's library."""

    lazy = True

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """The handler for `crawler`."""
        return cls(crawler)

    async def download_request(self, request: Request) -> Response:
        """The answer to `request` as Scrapy wants it. Raises RefusedError or FailedError."""
        spider = self._crawler.spider
        assert isinstance(spider, GarmentSpider)
        answer = await spider.library.answer(request.url)
        headers = Headers({name: list(map(_as_sent, answer.headers.getall(name))) for name in answer.headers})
        kind = responsetypes.from_args(headers=headers, url=request.url, body=answer.body)
        return kind(url=request.url, status=answer.status, headers=headers, body=answer.body, request=request)

    async def close(self) -> None:
        """The library outlives its spiders."""


@contextmanager
def _reading_time(seconds: float) -> Iterator[None]:
    """A block that ends with a FailedError when it takes more of the processor's time; in the main thread alone."""

    def end(*_: object) -> None:
        raise FailedError(f"takes more than {seconds:g} s to read")

    earlier = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 1.0)  # again every second: a library may swallow the first
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, earlier)


class GarmentSpider(Spider):
    """Visits the pages of `site` within its limits and gathers what pictures they show in `harvest`."""

    name = "garments"

    def __init__(
        self, site: CrawlSite, library: PageCache, harvest: Harvest, listed_sitemaps: list[str], now: datetime
    ) -> None:
        super().__init__()
        self.allowed_domains = site.domains
        self.library = library
        self._site = site
        self._harvest = harvest
        self._now = now
        self._starts = [*site.start, *listed_sitemaps]
        self._follow = re.compile(site.follow) if site.follow is not None else None
        self._seen: set[str] = set()
        self._assets: set[str] = set()

    async def start(self) -> AsyncIterator[Request]:
        """Requests for the start pages."""
        for request in self._requests(self._starts, depth=0):
            yield request

    def parse(self, response: Response, **meant: Any) -> Iterator[Request]:
        """Requests for the pages that `response` leads to; its pictures go into the harvest."""
        depth: int = meant["depth"]
        try:
            with _reading_time(READING_S):
                links, steps = self._read(response)
        except NotFetchedError as error:
            self._lose(response.url, error)
            return
        except Exception as error:  # lxml and extruct raise what they please on broken markup, which costs this page alone
            self._lose(response.url, FailedError(f"cannot be read as a page: {type(error).__name__}"))
            return
        if depth + steps <= self._site.max_depth:
            yield from self._requests(links, depth + steps)

    def lost(self, failure: Failure) -> None:
        """Note a page that gave no answer."""
        request: Request = failure.request  # type: ignore[attr-defined]
        if isinstance(failure.value, NotFetchedError):
            self._lose(request.url, failure.value)
        elif "redirect_times" in request.meta:
            self._lose(request.url, RefusedError("a redirect that leads off the site, or too many of them"))
        else:
            self._lose(request.url, FailedError(f"an answer that cannot be handled: {type(failure.value).__name__}"))

    def _requests(self, urls: list[str], depth: int) -> Iterator[Request]:
        for url in filter(None, (absolute_url(url, "") for url in urls)):
            if self._harvest.pages >= self._site.max_pages or len(self._assets) >= self._site.max_pictures:
                return
            try:
                wanted = self._wants(url, depth)
                request = Request(url, self.parse, errback=self.lost, cb_kwargs={"depth": depth}, priority=-depth)
            except ValueError:  # a port of six digits, a host that no one can spell
                continue
            if wanted:
                self._harvest.pages += 1
                yield request

    def _wants(self, url: str, depth: int) -> bool:
        host = urlsplit(url).hostname or ""
        at_home = any(host == domain or host.endswith(f".{domain}") for domain in self._site.domains)
        if not at_home or (depth > 0 and self._follow is not None and not self._follow.search(url)):
            return False
        canonical = canonicalize_url(url)
        new = canonical not in self._seen
        self._seen.add(canonical)
        return new

    def _read(self, response: Response) -> tuple[list[str], int]:
        """Links on `response`, and how many steps deeper they lie: those of a sitemap stand beside it."""
        headers = CIMultiDictProxy(
            CIMultiDict(
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, values in response.headers.items()
                for value in values
            )
        )
        reserved = reservations.header_reservation(headers, self._now)
        body = gunzipped(response.body, MAX_PAGE_BYTES)
        listing = read_listing(body, response.url, self._now)
        if listing is not None:
            self._gather(listing.pictures, reserved)
            return [*listing.sitemaps, *listing.pages], 1 if listing.kind == "feed" else 0
        if not isinstance(response, TextResponse):
            return [], 1
        directives = [rule for value in headers.getall("X-Robots-Tag", []) for rule in reservations.robots_directives(value)]
        page = read_page(
            response.text,
            response.url,
            headers_reserve=reserved,
            headers_nofollow=reservations.forbids_following(directives),
            now=self._now,
        )
        self._gather(page.pictures, None)
        self._harvest.repaired += page.repaired
        self._harvest.unread += page.unread
        if page.repaired or page.unread:
            self._harvest.first_broken = self._harvest.first_broken or response.url
        return [*page.feeds, *page.links], 1

    def _gather(self, pictures: tuple[Found, ...], reserved: str | None) -> None:
        for picture in pictures:
            same = asset(picture.url)
            if same not in self._assets and len(self._assets) >= self._site.max_pictures:
                return
            self._assets.add(same)
            self._harvest.pictures.append(picture if reserved is None else replace(picture, status="refused", reason=reserved))

    def _lose(self, url: str, error: NotFetchedError) -> None:
        self._harvest.lost_pages.append(Found(url=url, page=url, status=error.status, reason=f"page: {error.reason}"))


async def crawl_sites(source: CrawlSource, web: WebParams, shared: Path, pages: Path) -> list[Harvest]:
    """What was found on each site of `source`. `shared` is what all web processes share, `pages` is the crawl's own."""
    with Journal(pages / "journal", "pages") as journal:
        async with PoliteClient(web, shared) as visitor:
            library = PageCache(visitor, Bodies(pages / "bodies"), journal, source.max_age_days * DAY_S)
            return await asyncio.gather(*(_crawl_site(site, visitor, library) for site in source.sites))


async def _crawl_site(site: CrawlSite, visitor: PoliteClient, library: PageCache) -> Harvest:
    listed: list[str] = []
    if site.sitemaps:
        for origin in dict.fromkeys(str(checked_url(url).origin()) for url in site.start):
            sitemaps = (await visitor.site(origin)).robots.sitemaps
            listed.extend(filter(None, (absolute_url(sitemap, f"{origin}/robots.txt") for sitemap in sitemaps)))
    harvest = Harvest()
    runner = AsyncCrawlerRunner(SETTINGS)
    await runner.crawl(
        GarmentSpider, site=site, library=library, harvest=harvest, listed_sitemaps=listed, now=datetime.now(UTC)
    )
    return harvest
