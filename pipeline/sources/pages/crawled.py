"""Pictures found by a crawl: categories for the site's own words, and duplicates merged."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pipeline.sources import ListedPicture

LEVELS = re.compile(r"\s*(?:>|»|›|/|\||→)\s*")

Picture = TypeVar("Picture", bound=ListedPicture)

# Columns that the most informative duplicate takes from the others; a price stays with its currency.
FILLED = ("title", "alt", "category", "site_category", "licence", "published", "split", "extra")


@dataclass(frozen=True)
class CrawledPicture(ListedPicture):
    """One picture on a page or in a feed."""

    source: str = "crawl"
    words: tuple[str, ...] = ()  # the site's own categories, the most specific first
    is_unread_page: bool = False  # a page that could not be read, as a row with a reason


@dataclass
class SiteResult:
    """The result of crawling one site."""

    pictures: list[CrawledPicture] = field(default_factory=list)
    unread_pages: list[CrawledPicture] = field(default_factory=list)  # unreadable pages, as rows with a reason
    pages: int = 0
    repaired: int = 0  # invalid JSON-LD scripts that were partly read
    unread: int = 0  # parts of structured data that could not be read
    first_broken: str | None = None  # the first page with either


def assign_categories(
    pictures: Iterable[CrawledPicture], mapping: Mapping[str, str], licence: str | None
) -> list[CrawledPicture]:
    """`pictures` with our category for the site's words, and `licence` for those whose page names none."""
    return [
        replace(
            picture,
            category=picture.category or match_category(picture.words, mapping),
            licence=picture.licence or (licence if picture.status == "listed" else None),
        )
        for picture in pictures
    ]


def merge_duplicates(pictures: Iterable[Picture], same: Callable[[str], str]) -> list[Picture]:
    """Each picture once, in order of discovery, from its most informative place; the other places are listed in `also`.

    `same` maps a URL to a key that all URLs of one picture share. A reservation at any place applies.
    That the address could not be read as a page says nothing about a picture found there.
    """
    groups: dict[str, list[Picture]] = {}
    for picture in pictures:
        groups.setdefault(same(picture.url), []).append(picture)
    for key, group in groups.items():
        groups[key] = [found for found in group if not _is_unread_page(found)] or group
    return [group[0] if len(group) == 1 else _merge(group) for group in groups.values()]


def _is_unread_page(found: ListedPicture) -> bool:
    return isinstance(found, CrawledPicture) and found.is_unread_page


def _merge(group: list[Picture]) -> Picture:
    ranked = sorted(group, key=lambda found: (-_count_facts(found), found.source, found.page or "", found.url))
    best = next((found for found in ranked if found.status != "listed"), ranked[0])
    filled: dict[str, Any] = {name: _first(name, [best, *ranked]) for name in FILLED}
    places = {(found.source, found.page, found.title): None for found in ranked}
    others = [place for place in places if place != (best.source, best.page, best.title)]
    earlier = [place for found in ranked if found.also for place in json.loads(found.also)]
    also = [dict(zip(("source", "page", "title"), place, strict=True)) for place in others] + earlier
    return replace(best, **filled, also=json.dumps(also, ensure_ascii=False) if also else None)


def _first(name: str, group: list[Picture]) -> Any:
    return next((value for found in group if (value := getattr(found, name)) is not None), None)


def _count_facts(found: ListedPicture) -> int:
    facts = (found.category, found.site_category, found.title, found.licence, found.published, found.price, found.alt)
    return sum(fact is not None for fact in facts)


def normalize_word(word: str) -> str:
    """`word` for comparison: lower case, with spaces, hyphens and underscores alike."""
    return " ".join(re.split(r"[\s_-]+", word.casefold())).strip()


def match_category(words: Iterable[str], mapping: Mapping[str, str]) -> str | None:
    """Our category for a site's `words`, the most specific first, or none.

    A word may be a path (`Women > Tops > T-Shirts`): it is looked up whole, then from its last level to its first.
    """
    known = {normalize_word(word): category for word, category in mapping.items()}
    for word in words:
        for candidate in (word, *reversed(LEVELS.split(word))):
            if (category := known.get(normalize_word(candidate))) is not None:
                return category
    return None
