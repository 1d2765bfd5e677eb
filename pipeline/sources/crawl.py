"""Pictures found by crawling: the pages, feeds and sitemaps of the sites named, each site within its limits.

The crawl runs in a process of its own with a limit on its memory: what parses strangers' markup must not take the pipeline with
it.
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
from pipeline.sources.pages.found import CrawledPicture, SiteResult, assign_categories, merge_duplicates
from pipeline.sources.pages.renditions import Rendition, asset_key, largest_rendition
from pipeline.sources.params import CrawlSource
from pipeline.web.params import WebParams

log = logging.getLogger(__name__)

MEMORY_BYTES = 4 * 1024**3  # address space of the crawling process
PAGES = "pages"  # folder of the pages read


def crawl(source: CrawlSource, web: WebParams, scratch: Path) -> list[CrawledPicture]:
    """Each picture on the sites of `source` once, then the pages that could not be read, as rows with a reason.

    `scratch` keeps the pages read: a killed crawl goes on where it stopped.
    Raises SourceError when a start page is not on its site or the crawl dies.
    """
    check_start_pages(source)
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_limit_memory) as process:
            harvests = process.submit(crawl_in_process, source, web, scratch).result()
    except (BrokenProcessPool, MemoryError):
        raise SourceError(f"collect.crawl: the crawler died, over {MEMORY_BYTES} bytes or killed; run again to go on") from None
    return merge_sites(source, harvests)


def merge_sites(source: CrawlSource, harvests: Iterable[SiteResult]) -> list[CrawledPicture]:
    """What the harvests of the sites of `source` come to."""
    harvests = list(harvests)
    for site, harvest in zip(source.sites, harvests, strict=True):
        if harvest.repaired or harvest.unread:
            log.warning(
                "%s: broken structured data, first on %s: %d parts were read as far as possible, %d not at all",
                ", ".join(site.domains),
                harvest.first_broken,
                harvest.repaired,
                harvest.unread,
            )
    found = [picture for harvest in harvests for picture in largest_renditions(harvest.pictures)]
    pictures = assign_categories(found, source.categories, source.licence)
    lost = [page for harvest in harvests for page in harvest.unread_pages]
    return [*pictures, *lost]


def largest_renditions(pictures: Iterable[CrawledPicture]) -> list[CrawledPicture]:
    """Each picture of a site once, at the largest address that any of its pages offers, sorted by page and address."""
    ordered = sorted(pictures, key=lambda found: (found.page or "", found.url))
    offered: dict[str, list[Rendition]] = {}
    for picture in ordered:
        offered.setdefault(asset_key(picture.url), []).append(Rendition(picture.url, None))
    return [
        replace(picture, url=largest_rendition(offered[asset_key(picture.url)]).url)
        for picture in merge_duplicates(ordered, asset_key)
    ]


def check_start_pages(source: CrawlSource) -> None:
    """Raise SourceError when a start page is not on its site."""
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
    """What was found on each site of `source`; in the crawling process."""
    from pipeline.sources.crawler import crawl_sites  # imports extruct, which takes a second

    return asyncio.run(crawl_sites(source, web, scratch, scratch / PAGES))
