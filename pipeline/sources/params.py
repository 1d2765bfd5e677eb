"""Where the pictures come from."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.section import Address, Count, Pattern, Positive, Section

Source = Literal["fashion-mnist", "folder", "manifest", "crawl"]


class FashionMnistSource(Section):
    path: str | None = None
    """Folder with the four .gz files; null: look in the usual places, then download."""
    limit: Count | None = None
    """Take only the first pictures, at most this many of each of the two splits; null: all."""


class FolderSource(Section):
    path: str = "data/pictures"
    """Folder with one sub-folder per category. params.yaml must hold this key, because dvc.yaml reads it."""
    licence: str | None = None
    """Licence of all the pictures in the folder."""


class ManifestSource(Section):
    path: str = "data/lists"
    """A list of URLs (CSV, TSV, JSON, Parquet, text) or a folder of lists. params.yaml must hold this key, because dvc.yaml
    reads it.
    """
    columns: dict[str, str] = {}
    """The column of the list for each of our columns, where img2dataset's names do not fit."""


class CrawlSite(Section):
    start: Annotated[list[Address], Field(min_length=1)]
    """Pages, feeds or sitemaps at which the crawl starts."""
    domains: Annotated[list[str], Field(min_length=1)]
    """Domains that are visited, with their subdomains; no other is."""
    max_depth: Annotated[int, Field(ge=0)] = 3
    """Links from the start to the furthest page."""
    max_pages: Count = 500
    """Pages read at most."""
    max_pictures: Count = 5000
    """Pictures listed at most."""
    follow: Pattern | None = None
    """Regular expression; only links whose URL it matches somewhere are followed. null: all."""
    sitemaps: bool = True
    """Also start from the sitemaps that robots.txt lists."""


class CrawlSource(Section):
    sites: list[CrawlSite] = []
    """The sites to crawl."""
    categories: dict[str, str] = {}
    """Our category for each of the site's words."""
    licence: str | None = None
    """Licence of pictures whose page names none."""
    max_age_days: Positive = 30.0
    """A page is requested again when the stored copy is older."""
