"""The sections of the sources, below `collect`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from pipeline.section import Address, Count, FieldError, Pattern, Positive, Section
from pipeline.web.params import WebParams


class SourceSection(Section):
    """Base class of the sections of the sources."""

    def check(self, name: str, web: WebParams) -> None:  # noqa: ARG002
        """Check what a chosen source needs. Raises FieldError; `name` is the key of this section below `collect`."""
        path = getattr(self, "path", None)
        if path is not None and not Path(path).exists():
            raise FieldError(f"{name}.path", f"no such file or folder: {path}")


class FashionMnistSource(SourceSection):
    path: str | None = None
    """Folder with the four .gz files; null: look in the usual places, then download."""
    limit: Count | None = None
    """Take only the first pictures, at most this many of each of the two splits; null: all."""


class FolderSource(SourceSection):
    path: str = "data/pictures"
    """Folder with one sub-folder per category. params.yaml must hold this key, because dvc.yaml reads it."""
    licence: str | None = None
    """Licence of all the pictures in the folder."""


class ListSource(SourceSection):
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


class CrawlSource(SourceSection):
    sites: list[CrawlSite] = []
    """The sites to crawl."""
    categories: dict[str, str] = {}
    """Our category for each of the site's words."""
    licence: str | None = None
    """Licence of pictures whose page names none."""
    max_age_days: Positive = 30.0
    """A page is requested again when the stored copy is older."""

    def check(self, name: str, web: WebParams) -> None:
        """Check that there is a contact and a site. Raises FieldError."""
        if not web.contact:
            raise FieldError("web.contact", "say who crawls: an e-mail address or a web page")
        if not self.sites:
            raise FieldError(f"{name}.sites", "name at least one site to crawl")
