"""Where pictures come from."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.section import Address, Count, Pattern, Positive, Section

Source = Literal["fashion-mnist", "folder", "manifest", "crawl"]


class FashionMnistSource(Section):
    path: str | None  # folder with the four .gz files; null: look in the usual places, then download
    limit: Count | None  # only the first so many of each of the two splits


class FolderSource(Section):
    path: str  # one sub-folder per category
    licence: str | None  # of all the pictures in it


class ManifestSource(Section):
    path: str  # one of list_files.SUFFIXES, or a folder of them
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
    max_age_days: Positive  # a page read longer ago is asked for again
