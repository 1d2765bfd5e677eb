"""The pictures on a web page, each once and in the largest size offered, with their metadata; and the links of the page."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urljoin

from lxml import etree, html
from lxml.html import HtmlElement

from pipeline.sources.pages.crawled import CrawledPicture
from pipeline.sources.pages.licences import creative_commons, licence_name
from pipeline.sources.pages.markup import (
    IMAGE_TAGS,
    background_renditions,
    drop_placeholders,
    is_small,
    listed_renditions,
    renditions_of,
    reveal_lazy_pictures,
    scripted_galleries,
    source_renditions,
)
from pipeline.sources.pages.renditions import (
    Rendition,
    asset_key,
    largest_rendition,
    names_picture,
    picture_url,
    srcset_renditions,
)
from pipeline.sources.pages.structured_data import (
    Item,
    ItemPicture,
    OpenGraph,
    StructuredData,
    find_items,
    find_things,
    main_item,
    read_breadcrumbs,
    read_open_graph,
)
from pipeline.web import reservations
from pipeline.web.urls import absolute_url
from pipeline.web.values import clean_text, iso_date, parse_price

MAX_PICTURES = 500  # on one page
MAX_WORDS = 100  # categories and keywords of a page
BOILERPLATE_TAGS = frozenset({"header", "nav", "footer", "aside", "template"})
BOILERPLATE_ROLES = frozenset({"banner", "navigation", "contentinfo", "complementary", "search"})
FEED_TYPES = frozenset({"application/rss+xml", "application/atom+xml", "application/feed+json"})
DATE_METAS = ("article:published_time", "og:published_time", "date", "dc.date", "dcterms.created", "datepublished", "pubdate")
LICENCE_METAS = ("dcterms.license", "dc.rights", "dcterms.rights", "dc.license", "copyright")


@dataclass(frozen=True)
class Page:
    """The pictures and links of a page."""

    pictures: tuple[CrawledPicture, ...]
    links: tuple[str, ...]  # that may be followed, in order
    feeds: tuple[str, ...]
    repaired: int = 0  # invalid JSON-LD scripts that were partly read
    unread: int = 0  # parts of structured data that could not be read


@dataclass
class _Group:
    """Everything that a page says about one picture."""

    renditions: list[Rendition]
    item: Item | None = None
    shown: ItemPicture | None = None
    alt: str | None = None
    licence: str | None = None


class _Gallery:
    """The pictures of one page; URLs that differ only in size are one picture."""

    def __init__(self) -> None:
        self.groups: list[_Group] = []
        self._by_asset: dict[str, _Group] = {}

    @property
    def assets(self) -> frozenset[str]:
        """The asset keys of the pictures."""
        return frozenset(self._by_asset)

    def group_of(self, renditions: list[Rendition]) -> _Group | None:
        """The group that one of `renditions` belongs to, or none."""
        return next((group for rendition in renditions if (group := self._by_asset.get(asset_key(rendition.url)))), None)

    def add(self, renditions: list[Rendition]) -> _Group:
        """The group that `renditions` belong to, after adding them."""
        group = self.group_of(renditions)
        if group is None:
            group = _Group([])
            self.groups.append(group)
        group.renditions.extend(renditions)
        for rendition in renditions:
            self._by_asset.setdefault(asset_key(rendition.url), group)
        return group


def read_page(text: str, url: str, *, headers_reserve: str | None, headers_nofollow: bool, now: datetime) -> Page:
    """The pictures and links of the page `text` at `url`; pictures of a reserved page carry the reason."""
    try:
        tree = html.document_fromstring(text.encode("utf-8", "replace"), parser=html.HTMLParser(encoding="utf-8"))
    except (etree.ParserError, ValueError):
        return Page((), (), ())
    base = _base(tree, url)
    metas = [(meta.get("name") or meta.get("property") or "", meta.get("content") or "") for meta in tree.iter("meta")]
    reserved = headers_reserve or reservations.meta_reservation(metas, now)
    directives = [
        rule for name, content in metas if name.lower() == "robots" for rule in reservations.robots_directives(content)
    ]
    nofollow = headers_nofollow or reservations.forbids_following(directives)
    reveal_lazy_pictures(tree, base)
    described = find_things(tree, base)
    return Page(
        tuple(_pictures(tree, base, url, metas, described, reserved)),
        () if nofollow else tuple(_links(tree, base)),
        () if nofollow else tuple(_feeds(tree, base)),
        described.repaired,
        described.unread,
    )


def _base(tree: HtmlElement, url: str) -> str:
    named = (element.get("href") for element in tree.iter("base"))
    return next((base for href in named if (base := absolute_url(href, url)) is not None), url)


def _pictures(
    tree: HtmlElement, base: str, url: str, metas: list[tuple[str, str]], described: StructuredData, reserved: str | None
) -> Iterator[CrawledPicture]:
    graph = read_open_graph(metas, base)
    items = find_items(described.things, base)
    main = main_item(items)  # the subject of the page
    gallery = _Gallery()
    for item in items:
        for shown in item.shown:
            group = gallery.add([shown.rendition])
            group.item, group.shown = group.item or item, group.shown or shown
    if main is not None or (not items and graph.properties.get("og:type", "").lower() != "website"):
        for shown in graph.shown:
            group = gallery.add([shown.rendition])
            group.item, group.shown = group.item or main, group.shown or shown
    for element, offered in _offers(tree, base, gallery.assets):
        if offered and (gallery.group_of(offered) is not None or _is_content(element, offered, base, url)):
            group = gallery.add(offered)
            group.item = group.item or main
            group.alt = group.alt or clean_text(element.get("alt"))
            group.licence = group.licence or _figure_licence(element, base)
    for offered in scripted_galleries(tree, base):
        group = gallery.add(offered)
        group.item = group.item or main
    for offered in _preloaded(tree, base):
        if gallery.group_of(offered) is not None or not gallery.groups:
            group = gallery.add(offered)
            group.item = group.item or main
    by_name = {name.lower(): content for name, content in reversed(metas)}
    about = _PageFacts(tree, base, by_name, graph, read_breadcrumbs(described.things))
    for group in gallery.groups[:MAX_PICTURES]:
        yield about.found(group, url, reserved)


def _offers(tree: HtmlElement, base: str, known: frozenset[str]) -> Iterator[tuple[HtmlElement, list[Rendition]]]:
    """Each element that shows a picture, with its renditions: images, then backgrounds and galleries in attributes."""
    images = list(tree.iter(*IMAGE_TAGS))
    without = [picture for picture in tree.iter("picture") if next(picture.iter(*IMAGE_TAGS), None) is None]
    offers = [*(renditions_of(image, base, known) for image in images), *(source_renditions(each, base) for each in without)]
    yield from zip([*images, *without], drop_placeholders(offers), strict=True)
    for element in tree.iter(etree.Element):
        yield element, background_renditions(element, base)
        for offered in listed_renditions(element, base):
            yield element, offered
        if element.tag == "a" and names_picture(element.get("href", "")) and _shows_nothing(element):
            address = picture_url(element.get("href"), base)
            yield element, [Rendition(address, None, zoomed=True)] if address is not None else []


def _shows_nothing(link: HtmlElement) -> bool:
    """Whether a link is empty, as in galleries filled by a script; links with text lead to size charts and the like."""
    return next(link.iter(*IMAGE_TAGS), None) is None and not "".join(link.itertext()).strip()


def _preloaded(tree: HtmlElement, base: str) -> Iterator[list[Rendition]]:
    """The renditions of each `link` that preloads an image, or names the image for previews."""
    for link in tree.iter("link"):
        rel = (link.get("rel") or "").lower().split()
        if "image_src" in rel or ("preload" in rel and (link.get("as") or "").lower() == "image"):
            offered = list(srcset_renditions(link.get("imagesrcset") or "", base, None))
            if (address := picture_url(link.get("href"), base)) is not None:
                offered.append(Rendition(address, None))
            if offered:
                yield offered


class _PageFacts:
    """The metadata of a page, for pictures without metadata of their own."""

    def __init__(self, tree: HtmlElement, base: str, metas: dict[str, str], graph: OpenGraph, trail: list[str]) -> None:
        self._title = clean_text(graph.properties.get("og:title")) or clean_text(tree.findtext(".//title"))
        self._trail = trail
        named = (graph.properties.get(name) for name in ("product:category", "article:section", "article:tag"))
        self._words = [word for word in (*named, *metas.get("keywords", "").split(",", MAX_WORDS)[:MAX_WORDS]) if word]
        self._published = next((day for name in DATE_METAS if (day := iso_date(metas.get(name)))), None)
        self._licence = _page_licence(tree, base, metas)
        self._price = parse_price(graph.properties.get("product:price:amount") or graph.properties.get("og:price:amount"))
        self._currency = clean_text(graph.properties.get("product:price:currency") or graph.properties.get("og:price:currency"))

    def found(self, group: _Group, url: str, reserved: str | None) -> CrawledPicture:
        """The picture of `group`."""
        item, shown = group.item, group.shown
        title = item.title if item is not None else None
        trail = [level for level in reversed(self._trail) if level != title]
        named = (*(item.words if item is not None else ()), *trail, *self._words)
        words = tuple(dict.fromkeys(word for text in named if (word := clean_text(text)) is not None))[:MAX_WORDS]
        return CrawledPicture(
            url=largest_rendition(group.renditions).url,
            page=url,
            title=title or self._title,
            licence=_first(shown and shown.licence, group.licence, item and item.licence, self._licence),
            published=_first(shown and shown.published, item and item.published, self._published),
            alt=_first(group.alt, shown and shown.alt),
            site_category=words[0] if words else None,
            words=words,
            price=item.price if item is not None and item.price is not None else self._price,
            currency=_first(item and item.currency, self._currency),
            status="listed" if reserved is None else "refused",
            reason=reserved,
        )


def _first(*values: str | ItemPicture | Item | None) -> str | None:
    return next((value for value in values if isinstance(value, str)), None)


def _is_content(element: HtmlElement, offered: list[Rendition], base: str, url: str) -> bool:
    """Whether a picture belongs to the content of the page: not boilerplate, an icon, or a link to another page."""
    if is_small(element, offered):
        return False
    for around in (element, *element.iterancestors()):
        if (around.tag in BOILERPLATE_TAGS and not _is_articles_header(around)) or around.get(
            "role", ""
        ).lower() in BOILERPLATE_ROLES:
            return False
        # A picture that links to another page is larger there.
        if around.tag == "a" and _leads_elsewhere(around.get("href"), base, url):
            return False
    return True


def _is_articles_header(element: HtmlElement) -> bool:
    """Whether an element is the header of an article, which holds its first picture, and not that of the site."""
    return element.tag == "header" and next(element.iterancestors("article", "main"), None) is not None


def _leads_elsewhere(href: str | None, base: str, url: str) -> bool:
    """Whether a link leads to another page: not a picture, an anchor on this page, or a script."""
    target = absolute_url(href, base)
    return target is not None and not names_picture(target) and target not in (url.partition("#")[0], base.partition("#")[0])


def _figure_licence(image: HtmlElement, base: str) -> str | None:
    figure = next(image.iterancestors("figure"), None)
    return _licence_link(figure, base) if figure is not None else None


def _licence_link(element: HtmlElement, base: str) -> str | None:
    """The target of the first `rel=license` link below `element`, else its first Creative Commons link."""
    for link in element.iter("a", "link"):
        if "license" in (link.get("rel") or "").lower().split() and link.get("href"):
            return licence_name(urljoin(base, link.get("href")))
    return next((name for link in element.iter("a") if (name := creative_commons(link.get("href") or ""))), None)


def _page_licence(tree: HtmlElement, base: str, metas: dict[str, str]) -> str | None:
    """The licence of a page: a `rel=license` link, metadata, or the only Creative Commons licence that it links to."""
    outside = [link for link in tree.iter("a", "link") if link.get("href") and next(link.iterancestors("figure"), None) is None]
    for link in outside:
        if "license" in (link.get("rel") or "").lower().split():
            return licence_name(urljoin(base, link.get("href")))
    named = next((name for key in LICENCE_METAS if (name := creative_commons(metas.get(key, "")))), None)
    linked = {name for link in outside if (name := creative_commons(link.get("href")))}
    return named or (linked.pop() if len(linked) == 1 else None)


def _links(tree: HtmlElement, base: str) -> Iterator[str]:
    for link in tree.iter("a", "area", "link"):
        rel = (link.get("rel") or "").lower().split()
        if "nofollow" in rel or (link.tag == "link" and "next" not in rel) or names_picture(link.get("href") or ""):
            continue
        if (target := absolute_url(link.get("href"), base)) is not None:
            yield target


def _feeds(tree: HtmlElement, base: str) -> Iterator[str]:
    for link in tree.iter("link"):
        kind = (link.get("type") or "").partition(";")[0].strip().lower()
        if kind in FEED_TYPES and (target := absolute_url(link.get("href"), base)) is not None:
            yield target
