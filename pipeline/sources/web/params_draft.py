"""The sections of params.yaml that the web rooms need, to be moved into pipeline/params.py."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from pipeline.params import Count, ExistingPath, NotNegative, Positive, Section


def _regular_expression(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_regular_expression)]
Address = Annotated[str, Field(pattern=r"^https?://[^\s/]+")]


class WebParams(Section):
    """How to behave on the web; the same in `collect` and in `fetch`."""

    contact: str  # e-mail address or web page in the user agent; empty: nothing is asked of the web
    delay_s: NotNegative  # between two requests to a host, from all processes together; a site may ask for more
    connections: Annotated[int, Field(ge=1, le=512)]  # at once, a process
    connections_per_host: Annotated[int, Field(ge=1, le=512)]
    timeout_s: Positive  # for one request in all, to its last byte
    max_wait_s: Annotated[float, Field(ge=0, le=3600)]  # a host that asks for a longer pause is left for another run
    retries: Annotated[int, Field(ge=0, le=10)]
    allow_loopback: bool  # for tests: servers on this machine may be asked


class ManifestSource(Section):
    path: ExistingPath | None  # .csv, .jsonl or .parquet, or a folder of them
    columns: dict[str, str]  # our name: the file's name; img2dataset's names are known


class CrawlSite(Section):
    start: Annotated[list[Address], Field(min_length=1)]  # pages, feeds or sitemaps
    domains: Annotated[list[str], Field(min_length=1)]  # and their subdomains; nothing else is visited
    max_depth: Annotated[int, Field(ge=0)]  # links away from the start
    max_pages: Count
    max_pictures: Count
    follow: Pattern | None  # only links whose URL this matches somewhere
    sitemaps: bool  # also start from the sitemaps that robots.txt lists


class CrawlSource(Section):
    sites: list[CrawlSite]
    categories: dict[str, str]  # the site's word: our category
    licence: str | None  # of pictures whose page names none


class FetchWebParams(Section):
    web: WebParams
    strip_metadata: bool  # EXIF, GPS, XMP and comments are taken out, losslessly, before anything is written
    licences: list[str] | None  # only pictures under these; null: under any
    refresh: bool  # ask again for pictures already here, by ETag and date
