"""The pictures and pages that a feed (RSS, Atom) or a sitemap lists: how shops, magazines and social platforms publish them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from lxml import etree

from pipeline.sources.web.licences import creative_commons, licence_name
from pipeline.sources.web.listing import Found
from pipeline.sources.web.page import MAX_WORDS, read_page
from pipeline.sources.web.renditions import Rendition, asset, is_picture_link, largest, picture_address
from pipeline.sources.web.urls import absolute_url
from pipeline.sources.web.values import iso_date, pixels_of, plain

MAX_ENTRIES = 50_000  # the sitemap protocol's own limit
EMBEDDED_HTML = ("encoded", "content", "description", "summary")
Kind = Literal["feed", "sitemap", "sitemap index"]


@dataclass(frozen=True)
class Listing:
    """What a feed or a sitemap lists."""

    kind: Kind
    pictures: tuple[Found, ...]
    pages: tuple[str, ...]
    sitemaps: tuple[str, ...]


def read_listing(content: bytes, url: str, now: datetime) -> Listing | None:
    """What `content`, got from `url`, lists; none when it is no feed and no sitemap."""
    # No entities, no network, no huge texts: a billion laughs stay unlaughed.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, recover=True)
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError):
        return None
    if root is None:
        return None
    match _name(root):
        case "rss" | "RDF":
            return _feed([entry for entry in root.iter() if _name(entry) == "item"], root, url, now)
        case "feed":
            return _feed([entry for entry in root if _name(entry) == "entry"], root, url, now)
        case "urlset":
            return _sitemap(root, url)
        case "sitemapindex":
            children = (page for entry in root for page in [absolute_url(_text(entry, "loc"), url)] if page)
            return Listing("sitemap index", (), (), tuple(children)[:MAX_ENTRIES])
        case _:
            return None


def _name(element: etree._Element) -> str:
    """The element's name without its namespace: feeds declare a dozen for the same thing."""
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def _children(element: etree._Element, name: str) -> Iterator[etree._Element]:
    return (child for child in element if _name(child) == name)


def _text(element: etree._Element, name: str) -> str | None:
    """The words of the first child of this name, or none."""
    return next((words for child in _children(element, name) if (words := plain("".join(child.itertext())))), None)


def _sitemap(root: etree._Element, url: str) -> Listing:
    pages: list[str] = []
    pictures: list[Found] = []
    for entry in list(_children(root, "url"))[:MAX_ENTRIES]:
        page = absolute_url(_text(entry, "loc"), url)
        if page is None:
            continue
        pages.append(page)
        for image in _children(entry, "image"):
            if (address := picture_address(_text(image, "loc"), page)) is not None:
                licence = licence_name(_text(image, "license"))
                pictures.append(
                    Found(url=address, page=page, title=_text(image, "title"), licence=licence, alt=_text(image, "caption"))
                )
    return Listing("sitemap", tuple(pictures), tuple(pages), ())


def _feed(entries: list[etree._Element], root: etree._Element, url: str, now: datetime) -> Listing:
    channel = next(_children(root, "channel"), root)
    licence = _licence(channel)
    pages: list[str] = []
    pictures: list[Found] = []
    for entry in entries[:MAX_ENTRIES]:
        page = _entry_page(entry, url)
        if page is not None:
            pages.append(page)
        pictures.extend(_entry_pictures(entry, page or url, licence, now))
    return Listing("feed", tuple(pictures), tuple(pages), ())


def _entry_page(entry: etree._Element, url: str) -> str | None:
    """The page of an entry: RSS writes it as text, Atom as an attribute."""
    for link in _children(entry, "link"):
        page = absolute_url(link.get("href") or link.text, url)
        if page is not None and link.get("rel", "alternate") == "alternate":
            return page
    return None


def _licence(element: etree._Element) -> str | None:
    """The licence of a feed or an entry: in an element or link of that name, or linked to in its rights."""
    for child in element:
        if _name(child) == "license":
            resource = next((value for name, value in child.attrib.items() if name.endswith("resource")), None)
            return licence_name(resource or child.text)
        if _name(child) == "link" and child.get("rel") == "license":
            return licence_name(child.get("href"))
    rights = " ".join(filter(None, (_text(element, "rights"), _text(element, "copyright"))))
    return creative_commons(rights)


def _entry_pictures(entry: etree._Element, page: str, licence: str | None, now: datetime) -> Iterator[Found]:
    words = [child.get("term") or child.text or "" for child in _children(entry, "category")]
    words += [word for group in entry.iter() if _name(group) == "keywords" for word in (group.text or "").split(",", MAX_WORDS)]
    words = list(dict.fromkeys(word for told in words[:MAX_WORDS] if (word := plain(told)) is not None))
    common = Found(
        url="",
        page=page,
        title=_text(entry, "title"),
        licence=_licence(entry) or licence,
        published=next(
            (day for name in ("pubDate", "published", "date", "updated") if (day := iso_date(_text(entry, name)))), None
        ),
        site_category=words[0] if words else None,
        words=tuple(words),
    )
    unique: dict[str, Found] = {}
    for picture in (*_media(entry, page, common), *_embedded(entry, page, common, now)):
        unique.setdefault(asset(picture.url), picture)
    yield from unique.values()


def _media(entry: etree._Element, page: str, common: Found) -> Iterator[Found]:
    """The pictures of media:content (the largest of each media:group) and enclosures; thumbnails where there are none."""
    grouped = [[*group] for group in entry.iter() if _name(group) == "group"]
    inside = {id(media) for group in grouped for media in group}
    contents = [[media] for media in entry.iter() if _name(media) == "content" and media.get("url") and id(media) not in inside]
    enclosures = [
        [link] for link in entry if _name(link) == "enclosure" or (_name(link) == "link" and link.get("rel") == "enclosure")
    ]
    found = False
    for medias in [*grouped, *contents, *enclosures]:
        offered = [(rendition, media) for media in medias if (rendition := _rendition(media, page)) is not None]
        if offered:
            best = largest([rendition for rendition, _ in offered])
            media = next(media for rendition, media in offered if rendition is best)
            found = True
            yield replace(common, url=best.url, alt=_text(media, "description"))
    if not found:
        for media in entry.iter():
            if _name(media) == "thumbnail" and (address := picture_address(media.get("url"), page)) is not None:
                yield replace(common, url=address)


def _rendition(media: etree._Element, page: str) -> Rendition | None:
    place = media.get("url") or media.get("href")
    pictured = media.get("type", "").startswith("image/") or media.get("medium") == "image" or is_picture_link(place or "")
    address = picture_address(place, page) if pictured and _name(media) != "thumbnail" else None
    return Rendition(address, pixels_of(media.get("width"))) if address is not None else None


def _embedded(entry: etree._Element, page: str, common: Found, now: datetime) -> Iterator[Found]:
    """The pictures in the HTML that an entry carries."""
    for child in entry:
        text = "".join(child.itertext()) if _name(child) in EMBEDDED_HTML and not child.get("url") else ""
        if len(child) and _name(child) == "content":  # Atom's xhtml stands as elements, not as text
            text = etree.tostring(child, encoding="unicode")
        if "<img" in text:
            inner = read_page(f"<body>{text}</body>", page, headers_reserve=None, headers_nofollow=False, now=now)
            for picture in inner.pictures:
                yield replace(common, url=picture.url, alt=picture.alt, licence=picture.licence or common.licence)
