"""The source `crawl`: pictures on the pages, feeds and sitemaps of the configured sites.

The crawl runs in a subprocess with a memory limit, because it parses untrusted markup.
"""

import asyncio
import logging
import resource
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.errors import SourceError
from pipeline.sources.pages.crawled import CrawledPicture, SiteResult, assign_categories, merge_duplicates
from pipeline.sources.pages.renditions import Rendition, asset_key, largest_rendition
from pipeline.sources.params import CrawlSource
from pipeline.web.params import WebParams

log = logging.getLogger(__name__)

MEMORY_BYTES = 4 * 1024**3  # address space of the crawling process
PAGES = "pages"  # folder of the cached pages


def crawl(source: CrawlSource, web: WebParams, scratch: Path) -> list[CrawledPicture]:
    """Each picture of the sites of `source` once, then the unreadable pages as rows with a reason.

    `scratch` caches the pages, so a killed crawl resumes. Raises SourceError if a start page is not on its site or the crawl
    dies.
    """
    check_start_pages(source)
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_limit_memory) as process:
            results = process.submit(crawl_in_process, source, web, scratch).result()
    except (BrokenProcessPool, MemoryError):
        reason = f"the crawler exceeded {MEMORY_BYTES} bytes of memory or was killed"
        raise SourceError(f"collect.crawl: {reason}; run again to resume") from None
    return merge_sites(source, results)


def merge_sites(source: CrawlSource, results: Iterable[SiteResult]) -> list[CrawledPicture]:
    """The pictures and unreadable pages of all sites of `source`; logs broken structured data."""
    results = list(results)
    for site, result in zip(source.sites, results, strict=True):
        if result.repaired or result.unread:
            log.warning(
                "%s: broken structured data, first on %s: %d parts repaired, %d unreadable",
                ", ".join(site.domains),
                result.first_broken,
                result.repaired,
                result.unread,
            )
    found = [picture for result in results for picture in largest_renditions(result.pictures)]
    pictures = assign_categories(found, source.categories, source.licence)
    unread = [page for result in results for page in result.unread_pages]
    return [*pictures, *unread]


def largest_renditions(pictures: Iterable[CrawledPicture]) -> list[CrawledPicture]:
    """Each picture of a site once, at the largest URL that any of its pages offers, sorted by page and URL."""
    ordered = sorted(pictures, key=lambda found: (found.page or "", found.url))
    offered: dict[str, list[Rendition]] = {}
    for picture in ordered:
        offered.setdefault(asset_key(picture.url), []).append(Rendition(picture.url, None))
    return [
        replace(picture, url=largest_rendition(offered[asset_key(picture.url)]).url)
        for picture in merge_duplicates(ordered, asset_key)
    ]


def check_start_pages(source: CrawlSource) -> None:
    """Raise SourceError if a start page is not on its site."""
    for number, site in enumerate(source.sites):
        for url in site.start:
            host = urlsplit(url).hostname or ""
            if not any(host == domain or host.endswith(f".{domain}") for domain in site.domains):
                raise SourceError(
                    f"collect.crawl.sites.{number}: the start page {url} is not in domains ({', '.join(site.domains)})"
                )


def _limit_memory() -> None:
    _, ceiling = resource.getrlimit(resource.RLIMIT_AS)
    wanted = MEMORY_BYTES if ceiling == resource.RLIM_INFINITY else min(MEMORY_BYTES, ceiling)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, ceiling))


def crawl_in_process(source: CrawlSource, web: WebParams, scratch: Path) -> list[SiteResult]:
    """The result for each site of `source`. Runs in the crawling process."""
    from pipeline.sources.crawler import crawl_sites  # imports extruct, which takes a second

    return asyncio.run(crawl_sites(source, web, scratch, scratch / PAGES))
