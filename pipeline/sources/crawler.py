"""A breadth-first crawler of the pages, feeds and sitemaps of a site.

Runs in a subprocess (see `crawl`), because it parses untrusted markup.
"""

import asyncio
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from charset_normalizer import from_bytes
from w3lib.encoding import html_to_unicode, resolve_encoding
from w3lib.url import canonicalize_url

from pipeline.errors import AtelierError
from pipeline.sources.pages.crawled import CrawledPicture, SiteResult
from pipeline.sources.pages.feeds import read_listing
from pipeline.sources.pages.html import read_page
from pipeline.sources.pages.renditions import asset_key
from pipeline.sources.params import CrawlSite, CrawlSource
from pipeline.web import reservations
from pipeline.web.client import checked_url
from pipeline.web.compression import gunzip
from pipeline.web.page_cache import MAX_PAGE_BYTES, PageCache
from pipeline.web.params import WebParams
from pipeline.web.polite_client import MAX_REDIRECTS, PoliteClient
from pipeline.web.responses import FailedError, NotFetchedError, RefusedError, Response
from pipeline.web.scratch import BodyStore, Journal
from pipeline.web.sites import REDIRECT_STATUSES
from pipeline.web.urls import absolute_url

DAY_S = 86_400.0
MAX_PARSING_S = 20.0  # CPU time for one page; a page that takes longer was built to
SNIFFED_BYTES = 5_000
TEXT_TYPE = re.compile(r"text/|application/(?:.*\+)?(?:xml|xhtml|json|javascript)", re.IGNORECASE)
BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


@contextmanager
def _cpu_time_limit(seconds: float) -> Iterator[None]:
    """Raise FailedError in the block once it has used `seconds` of CPU time. Works only in the main thread."""

    def interrupt(*_: object) -> None:
        raise FailedError(f"takes more than {seconds:g} s to read")

    previous = signal.signal(signal.SIGVTALRM, interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 1.0)  # repeats every second: a library may swallow the first exception
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, previous)


class SiteCrawler:
    """Crawls one site, one page at a time: two crawls of an unchanged site visit the same pages in the same order."""

    def __init__(self, site: CrawlSite, cache: PageCache, now: datetime) -> None:
        self.result = SiteResult()
        self._site = site
        self._cache = cache
        self._now = now
        self._follow = re.compile(site.follow) if site.follow is not None else None
        self._frontier: list[tuple[int, int, str, int]] = []  # heap of (depth, order of discovery, URL, redirects so far)
        self._order = count()
        self._seen: set[str] = set()  # canonical URLs
        self._enqueued: set[str] = set()  # URLs as they are requested
        self._assets: set[str] = set()

    async def crawl(self, start: list[str]) -> SiteResult:
        """The pictures on the pages reachable from `start` within the limits of the site. Raises AtelierError or OSError."""
        self._enqueue_links(start, depth=0)
        while self._frontier:
            depth, _, url, redirects = heappop(self._frontier)
            try:
                response = await self._cache.get(url)
                if response.status in REDIRECT_STATUSES:
                    self._enqueue_redirect(response, depth, redirects + 1)
                else:
                    self._enqueue_links(*self._parse(response, depth))
            except NotFetchedError as error:
                self._record_unread(url, error)
            except (AtelierError, OSError):  # this machine's fault, not the page's
                raise
            except Exception as error:  # an unforeseen response costs only its own row
                self._record_unread(url, FailedError(f"cannot be requested: {type(error).__name__}"))
        return self.result

    def _enqueue_links(self, urls: list[str], depth: int) -> None:
        if depth > self._site.max_depth:
            return
        for url in filter(None, (absolute_url(url, "") for url in urls)):
            if self.result.pages >= self._site.max_pages or len(self._assets) >= self._site.max_pictures:
                return
            followed = depth == 0 or self._follow is None or self._follow.search(url) is not None
            if followed and self._is_on_site(url) and self._is_new(url):
                self.result.pages += 1
                self._enqueue(url, depth, redirects=0)

    def _enqueue_redirect(self, response: Response, depth: int, redirects: int) -> None:
        target = absolute_url(response.headers.get("Location"), response.url)
        if target is None:
            raise FailedError("a redirect without a usable address")
        if redirects > MAX_REDIRECTS:
            raise RefusedError(f"more than {MAX_REDIRECTS} redirects")
        if not self._is_on_site(target):
            raise RefusedError("a redirect that leads off the site")
        if target not in self._enqueued:  # exactly: a redirect may be for another spelling of the same address
            self._seen.add(canonicalize_url(target))
            self._enqueue(target, depth, redirects)

    def _enqueue(self, url: str, depth: int, redirects: int) -> None:
        self._enqueued.add(url)
        heappush(self._frontier, (depth, next(self._order), url, redirects))

    def _is_on_site(self, url: str) -> bool:
        host = urlsplit(url).hostname or ""
        return any(host == domain or host.endswith(f".{domain}") for domain in self._site.domains)

    def _is_new(self, url: str) -> bool:
        """Whether `url` has not been enqueued yet, in any spelling."""
        canonical = canonicalize_url(url)
        if canonical in self._seen:
            return False
        self._seen.add(canonical)
        return True

    def _parse(self, response: Response, depth: int) -> tuple[list[str], int]:
        """The links in `response` and their depth; its pictures are added to the result. Raises NotFetchedError."""
        try:
            with _cpu_time_limit(MAX_PARSING_S):
                links, steps = self._read(response)
        except NotFetchedError:
            raise
        except Exception as error:  # lxml and extruct may raise anything on broken markup
            raise FailedError(f"cannot be read as a page: {type(error).__name__}") from error
        return links, depth + steps

    def _read(self, response: Response) -> tuple[list[str], int]:
        """The links in `response`, and how much deeper they are: the pages of a sitemap are as deep as the sitemap."""
        reserved = reservations.header_reservation(response.headers, self._now)
        body = gunzip(response.body, MAX_PAGE_BYTES)
        listing = read_listing(body, response.url, self._now)
        if listing is not None:
            self._add_pictures(listing.pictures, reserved)
            return [*listing.sitemaps, *listing.pages], 1 if listing.kind == "feed" else 0
        content_type = response.headers.get("Content-Type", "")
        if not TEXT_TYPE.match(content_type) and BINARY.search(body[:SNIFFED_BYTES]):
            return [], 1
        robots_tags = response.headers.getall("X-Robots-Tag", [])
        page = read_page(
            html_to_unicode(content_type, body, auto_detect_fun=_detect_encoding)[1],
            response.url,
            headers_reserve=reserved,
            headers_nofollow=reservations.forbids_following(
                directive for value in robots_tags for directive in reservations.robots_directives(value)
            ),
            now=self._now,
        )
        self._add_pictures(page.pictures, None)
        self.result.repaired += page.repaired
        self.result.unread += page.unread
        if page.repaired or page.unread:
            self.result.first_broken = self.result.first_broken or response.url
        return [*page.feeds, *page.links], 1

    def _add_pictures(self, pictures: tuple[CrawledPicture, ...], reserved: str | None) -> None:
        for picture in pictures:
            key = asset_key(picture.url)
            if key not in self._assets and len(self._assets) >= self._site.max_pictures:
                return
            self._assets.add(key)
            self.result.pictures.append(picture if reserved is None else replace(picture, status="refused", reason=reserved))

    def _record_unread(self, url: str, error: NotFetchedError) -> None:
        reason = f"page: {error.reason}"
        self.result.unread_pages.append(
            CrawledPicture(url=url, page=url, status=error.status, reason=reason, is_unread_page=True)
        )


def _detect_encoding(content: bytes) -> str | None:
    """The most likely encoding of a page that declares none."""
    try:
        content.decode("utf-8")
    except UnicodeError:
        match = from_bytes(content).best()
        return resolve_encoding(match.encoding) if match is not None else None
    return "utf-8"


async def crawl_sites(source: CrawlSource, web: WebParams, shared: Path, pages: Path) -> list[SiteResult]:
    """The result for each site of `source`. `shared` is the folder of all web processes, `pages` the crawl's own."""
    with Journal(pages / "journal", "pages") as journal:
        async with PoliteClient(web, shared) as client:
            cache = PageCache(client, BodyStore(pages / "bodies"), journal, source.max_age_days * DAY_S)
            return await asyncio.gather(*(_crawl_site(site, client, cache) for site in source.sites))


async def _crawl_site(site: CrawlSite, client: PoliteClient, cache: PageCache) -> SiteResult:
    sitemaps: list[str] = []
    if site.sitemaps:
        for origin in dict.fromkeys(str(checked_url(url).origin()) for url in site.start):
            listed = (await client.site_rules(origin)).robots.sitemaps
            sitemaps.extend(filter(None, (absolute_url(sitemap, f"{origin}/robots.txt") for sitemap in listed)))
    return await SiteCrawler(site, cache, datetime.now(UTC)).crawl([*site.start, *sitemaps])
