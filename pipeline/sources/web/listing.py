"""A picture as the web lists it, and the rows of the manifest that come of it."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from pipeline.sources import Listed
from pipeline.sources.web.categories import category_of


@dataclass(frozen=True)
class Found(Listed):
    """One picture on the web: what Listed knows, and what only a page, a feed or a list of URLs tells."""

    source: str = "crawl"
    alt: str | None = None  # the text that stands for it
    words: tuple[str, ...] = ()  # the site's own words for what it shows, the most telling first
    price: float | None = None
    currency: str | None = None  # ISO 4217
    extra: str | None = None  # columns of a list that are not ours, as JSON
    also: str | None = None  # where else it was found, as JSON: a list of source, page and title
    status: str = "listed"  # or `refused`, or `failed`
    reason: str | None = None  # why it is not to be fetched

    @property
    def site_category(self) -> str | None:
        """The site's most telling word."""
        return self.words[0] if self.words else None


@dataclass
class Harvest:
    """What the crawl of one site brought in."""

    pictures: list[Found] = field(default_factory=list)
    lost_pages: list[Found] = field(default_factory=list)  # pages that could not be read, as rows with a reason
    pages: int = 0


def categorised(pictures: Iterable[Found], mapping: Mapping[str, str], licence: str | None) -> list[Found]:
    """`pictures` with our category for the site's words, and `licence` where a page named none."""
    return [
        replace(
            picture,
            category=picture.category or category_of(picture.words, mapping),
            licence=picture.licence or (licence if picture.status == "listed" else None),
        )
        for picture in pictures
    ]


def distinct(pictures: Iterable[Found], same: Callable[[str], str]) -> list[Found]:
    """Each picture once, as the place that tells most about it has it; the other places stand in `also`.

    `same` names what two addresses of one picture share. A reservation at any of its places counts. Order: as first found.
    """
    groups: dict[str, list[Found]] = {}
    for picture in pictures:
        groups.setdefault(same(picture.url), []).append(picture)
    return [group[0] if len(group) == 1 else _together(group) for group in groups.values()]


def _together(group: list[Found]) -> Found:
    ranked = sorted(group, key=lambda found: (-_told(found), found.source, found.page or "", found.url))
    best = next((found for found in ranked if found.status != "listed"), ranked[0])
    places = {(found.source, found.page, found.title): None for found in ranked}
    others = [place for place in places if place != (best.source, best.page, best.title)]
    also = [dict(zip(("source", "page", "title"), place, strict=True)) for place in others]
    return replace(best, also=json.dumps(also, ensure_ascii=False) if also else None)


def _told(found: Found) -> int:
    facts = (found.category, found.words, found.title, found.licence, found.published, found.price, found.alt)
    return sum(fact not in (None, ()) for fact in facts)
