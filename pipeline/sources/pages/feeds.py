"""Readers of feeds (RSS, Atom, JSON Feed) and sitemaps (XML, text)."""

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from lxml import etree

from pipeline.imaging.formats import is_decoded_type
from pipeline.sources.pages.crawled import CrawledPicture
from pipeline.sources.pages.html import MAX_WORDS, read_page
from pipeline.sources.pages.json_ld import read_json
from pipeline.sources.pages.licences import creative_commons, licence_name
from pipeline.sources.pages.renditions import Rendition, asset_key, largest_rendition, names_picture, picture_url
from pipeline.sources.pages.structured_data import flatten, text_of
from pipeline.sources.pages.xml_text import BYTE_ORDER_MARKS, decode_xml, repair_xml
from pipeline.web.urls import absolute_url
from pipeline.web.values import clean_text, iso_date, parse_pixels

MAX_ENTRIES = 50_000  # the limit of the sitemap protocol
EMBEDDED_HTML = ("encoded", "content", "description", "summary")
HEAD_BYTES = 512
TEXT_BOMS = tuple(mark for mark, _ in BYTE_ORDER_MARKS)
MAX_PREAMBLE_CHARACTERS = 20_000  # before the root: comments, PHP warnings
MAX_WRAPPER_TEXT = 200  # of a web page that wraps the XML
ROOT = re.compile(r"<(?:[\w.-]+:)?(?:rss|rdf|feed|urlset|sitemapindex)(?=[\s>/])", re.IGNORECASE)
ESCAPED_ROOT = re.compile(r"&lt;(?:[\w.-]+:)?(?:rss|rdf|feed|urlset|sitemapindex)(?=\s|&gt;)", re.IGNORECASE)
LEADING_COMMENTS = re.compile(r"(?:\s+|<!--.*?-->|<\?.*?\?>)*", re.DOTALL)
COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
TAG = re.compile(r"<[^>]*>|&lt;.*?&gt;", re.DOTALL)
PAGE = re.compile(r"<(?:html|head|body)[\s>]", re.IGNORECASE)
DOCTYPE = re.compile(r"<!DOCTYPE\s+(?!html\b)", re.IGNORECASE)
SCRIPT = re.compile(r"<script[\s>]", re.IGNORECASE)
URL_LINE = re.compile(r"https?://(?:(?!\s\w+://)[^\t\n])+", re.IGNORECASE)
URL_DELIMITERS = " \t\"'<>,;"  # quotes and delimiters of tables
MERCHANT_PICTURES = ("image_link", "additional_image_link")  # Google's product feeds
PICTURE_MARKUP = re.compile(r"<(?:img|picture)[\s/>]", re.IGNORECASE)
Kind = Literal["feed", "sitemap", "sitemap index"]


@dataclass(frozen=True)
class Listing:
    """The contents of a feed or a sitemap."""

    kind: Kind
    pictures: tuple[CrawledPicture, ...]
    pages: tuple[str, ...]
    sitemaps: tuple[str, ...]


def read_listing(content: bytes, url: str, now: datetime) -> Listing | None:
    """The contents of a feed or sitemap downloaded from `url`; none if `content` is neither."""
    binary = b"\x00" in content[:HEAD_BYTES] and not content.lstrip().startswith(b"<")
    if binary and not content.startswith(TEXT_BOMS):
        return None  # a picture, an archive
    text = decode_xml(content).strip()
    if not text.startswith("<") and "jsonfeed.org/version" in text.replace("\\/", "/"):
        return _json_feed(text, url, now)
    begin = LEADING_COMMENTS.match(text)
    assert begin is not None  # it also matches the empty string
    start = ROOT.search(text, begin.end(), begin.end() + MAX_PREAMBLE_CHARACTERS)
    if start is None and (start := ESCAPED_ROOT.search(text, begin.end(), begin.end() + MAX_PREAMBLE_CHARACTERS)) is not None:
        before = text[: start.start()]
        text = before + html.unescape(text[start.start() :])
        start = ROOT.match(text, start.start())
    if start is None:
        return _text_sitemap(text, url)
    before = text[: start.start()]
    listing = _xml_listing(text, start.start(), url, now) if _is_wrapper(before) else None
    if listing is not None and PAGE.search(before) and not (listing.pages or listing.pictures or listing.sitemaps):
        return None  # an HTML page with an element of that name
    return listing


def _is_wrapper(before: str) -> bool:
    """Whether the markup before a root only wraps it and is not a web page of its own."""
    before = COMMENT.sub("", before)
    if SCRIPT.search(before) is not None:
        return False
    return PAGE.search(before) is None or len("".join(TAG.sub("", before).split())) <= MAX_WRAPPER_TEXT


def _xml_listing(text: str, start: int, url: str, now: datetime) -> Listing | None:
    """The contents of the XML in `text`, whose root starts at `start`, after any other output of the server."""
    doctype = DOCTYPE.search(text, 0, start)
    # No entities, network or huge texts: protects from "billion laughs" and XXE.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, recover=True)
    try:
        root = etree.fromstring(repair_xml(text[start if doctype is None else doctype.start() :]), parser)
    except (etree.XMLSyntaxError, ValueError):
        return None
    if root is None:
        return None
    match _name(root):
        case "rss" | "rdf" | "feed":
            return _feed([entry for entry in root.iter() if _name(entry) in ("item", "entry")], root, url, now)
        case "urlset" | "sitemapindex":
            return _sitemap(root, url)
        case _:
            return None


def _name(element: etree._Element) -> str:
    """The element's name in lower case without its namespace: feeds declare many for the same thing, or none."""
    return element.tag.rpartition("}")[2].rpartition(":")[2].lower() if isinstance(element.tag, str) else ""


def _children(element: etree._Element, name: str) -> Iterator[etree._Element]:
    return (child for child in element if _name(child) == name)


def _text(element: etree._Element, name: str) -> str | None:
    """The text of the first non-empty child of this name, or none."""
    return next((words for child in _children(element, name) if (words := clean_text("".join(child.itertext())))), None)


def _sitemap(root: etree._Element, url: str) -> Listing:
    pages: list[str] = []
    sitemaps: list[str] = []
    pictures: list[CrawledPicture] = []
    # At any depth: without an end tag, the next entry is nested in it. A picture belongs to the last page before it.
    entries = [entry for entry in root.iter() if _name(entry) in ("url", "sitemap", "image") and entry is not root]
    page: str | None = None
    for entry in entries[: 2 * MAX_ENTRIES]:
        if _name(entry) == "image":
            pictures.extend(_sitemap_pictures(entry, page or url))
        elif (page := absolute_url(_text(entry, "loc"), url)) is not None:
            (pages if _name(entry) == "url" else sitemaps).append(page)
    kind: Kind = "sitemap index" if _name(root) == "sitemapindex" else "sitemap"
    return Listing(kind, tuple(pictures), tuple(dict.fromkeys(pages)), tuple(dict.fromkeys(sitemaps)))


def _sitemap_pictures(image: etree._Element, page: str) -> Iterator[CrawledPicture]:
    licence, title, alt = licence_name(_text(image, "license")), _text(image, "title"), _text(image, "caption")
    for location in _children(image, "loc"):
        if (address := picture_url(clean_text("".join(location.itertext())), page)) is not None:
            yield CrawledPicture(url=address, page=page, title=title, licence=licence, alt=alt)


def _text_sitemap(text: str, url: str) -> Listing | None:
    """The pages of a sitemap with one URL per line; none if `text` is something else."""
    if text.startswith("<"):
        return None
    stripped = (line.partition("\t")[0].strip(URL_DELIMITERS) for line in text.splitlines()[: 2 * MAX_ENTRIES])
    lines = [line for line in stripped if line and not line.startswith("#")]
    addresses = [line for line in lines if URL_LINE.fullmatch(line)]
    if not addresses or 2 * len(addresses) < len(lines):
        return None
    pages = dict.fromkeys(page for line in addresses if (page := absolute_url(line, url)) is not None)
    return Listing("sitemap", (), tuple(pages)[:MAX_ENTRIES], ())


def _json_feed(text: str, url: str, now: datetime) -> Listing:
    """The contents of a JSON Feed (jsonfeed.org, versions 1 and 1.1), even wrapped in a script."""
    values = (part for value in read_json(text).values for part in flatten(value) if isinstance(part, dict))
    feed = next((value for value in values if "items" in value), {})
    pages: list[str] = []
    pictures: list[CrawledPicture] = []
    for item in [item for item in flatten(feed.get("items")) if isinstance(item, dict)][:MAX_ENTRIES]:
        places = [_string(item, key) for key in ("url", "external_url")]
        places += [name for name in (_string(item, "id"),) if name.startswith(("http://", "https://"))]
        page = next((page for place in places if (page := absolute_url(place, url))), None)
        if page is not None:
            pages.append(page)
        words = [word for tag in flatten(item.get("tags"))[:MAX_WORDS] if (word := text_of(tag)) is not None]
        common = CrawledPicture(
            url="",
            page=page or url,
            title=text_of(item.get("title")),
            published=iso_date(text_of(item.get("date_published"))),
            site_category=words[0] if words else None,
            words=tuple(dict.fromkeys(words)),
        )
        attached = [part for part in flatten(item.get("attachments")) if isinstance(part, dict)]
        named = [_string(item, "image"), _string(item, "banner_image")]
        named += [_string(part, "url") for part in attached if _is_picture(_string(part, "mime_type"), _string(part, "url"))]
        found = [replace(common, url=address) for value in named if (address := picture_url(value, common.page or url))]
        embedded = _pictures_in_html(_string(item, "content_html"), common.page or url, common, now)
        unique: dict[str, CrawledPicture] = {}
        for picture in (*found, *embedded):
            unique.setdefault(asset_key(picture.url), picture)
        pictures.extend(unique.values())
    return Listing("feed", tuple(pictures), tuple(pages), ())


def _string(item: Mapping[str, Any], key: str) -> str:
    return value if isinstance(value := item.get(key), str) else ""


def _is_picture(media_type: str, address: str) -> bool:
    """Whether an attachment is a picture that we decode: by its type, else by its name."""
    return is_decoded_type(media_type) if media_type.lower().startswith("image") else names_picture(address)


def _feed(entries: list[etree._Element], root: etree._Element, url: str, now: datetime) -> Listing:
    channel = next(_children(root, "channel"), root)
    licence = _licence(channel)
    pages: list[str] = []
    pictures: list[CrawledPicture] = []
    for entry in entries[:MAX_ENTRIES]:
        page = _entry_page(entry, url)
        if page is not None:
            pages.append(page)
        pictures.extend(_entry_pictures(entry, page or url, licence, now))
    return Listing("feed", tuple(pictures), tuple(pages), ())


def _entry_page(entry: etree._Element, url: str) -> str | None:
    """The page of an entry: text in RSS, an attribute in Atom."""
    for link in _children(entry, "link"):
        page = absolute_url(link.get("href") or link.text, url)
        if page is not None and link.get("rel", "alternate") == "alternate":
            return page
    permanent = [guid for guid in _children(entry, "guid") if (guid.get("isPermaLink") or "").lower() == "true"]
    places = [guid.text for guid in permanent]
    places += [value for name, value in entry.attrib.items() if str(name).endswith("}about")]  # RSS 1.0
    return next((page for place in places if (page := absolute_url(place, url)) is not None), None)


def _licence(element: etree._Element) -> str | None:
    """The licence of a feed or an entry: an element or link of that name, or a link in its rights."""
    for child in element:
        if _name(child) == "license":
            resource = next((value for name, value in child.attrib.items() if name.endswith("resource")), None)
            return licence_name(resource or child.text)
        if _name(child) == "link" and child.get("rel") == "license":
            return licence_name(child.get("href"))
    rights = " ".join(filter(None, (_text(element, "rights"), _text(element, "copyright"))))
    return creative_commons(rights)


def _entry_pictures(entry: etree._Element, page: str, licence: str | None, now: datetime) -> Iterator[CrawledPicture]:
    words = [child.get("term") or child.text or "" for child in _children(entry, "category")]
    words += [word for group in entry.iter() if _name(group) == "keywords" for word in (group.text or "").split(",", MAX_WORDS)]
    words += [_text(entry, name) or "" for name in ("product_type", "google_product_category")]
    words = list(dict.fromkeys(word for text in words[:MAX_WORDS] if (word := clean_text(text)) is not None))
    common = CrawledPicture(
        url="",
        page=page,
        title=_text(entry, "title"),
        licence=_licence(entry) or licence,
        published=next(
            (day for name in ("pubdate", "published", "date", "updated") if (day := iso_date(_text(entry, name)))), None
        ),
        site_category=words[0] if words else None,
        words=tuple(words),
    )
    unique: dict[str, CrawledPicture] = {}
    for picture in (*_media(entry, page, common), *_embedded(entry, page, common, now)):
        unique.setdefault(asset_key(picture.url), picture)
    yield from unique.values()


def _media(entry: etree._Element, page: str, common: CrawledPicture) -> Iterator[CrawledPicture]:
    """The pictures of media:content (the largest of each media:group) and enclosures; thumbnails if there are none."""
    grouped = [[*group] for group in entry.iter() if _name(group) == "group"]
    inside = {id(media) for group in grouped for media in group}
    contents = [[media] for media in entry.iter() if _name(media) == "content" and media.get("url") and id(media) not in inside]
    enclosures = [
        [link] for link in entry if _name(link) == "enclosure" or (_name(link) == "link" and link.get("rel") == "enclosure")
    ]
    merchant = [
        part for name in MERCHANT_PICTURES for child in _children(entry, name) for part in (child.text or "").split(",")
    ]
    addresses = [address for part in merchant if (address := picture_url(part, page)) is not None]
    yield from (replace(common, url=address) for address in addresses)
    has_pictures = bool(addresses)
    for medias in [*grouped, *contents, *enclosures]:
        offered = [(rendition, media) for media in medias if (rendition := _rendition(media, page)) is not None]
        if offered:
            best = largest_rendition([rendition for rendition, _ in offered])
            media = next(media for rendition, media in offered if rendition is best)
            has_pictures = True
            yield replace(common, url=best.url, alt=_text(media, "description"))
    if not has_pictures:
        for media in entry.iter():
            if _name(media) not in ("thumbnail", "image"):
                continue
            place = media.get("url") or media.get("href") or _text(media, "url") or media.text
            if (address := picture_url(place, page)) is not None:
                yield replace(common, url=address)


def _rendition(media: etree._Element, page: str) -> Rendition | None:
    place = media.get("url") or media.get("href") or ""
    media_type = media.get("type") or ""
    pictured = (media.get("medium") or "").lower() == "image" and not media_type.lower().startswith("image")
    if _name(media) == "thumbnail" or not (pictured or _is_picture(media_type, place)):
        return None
    address = picture_url(place, page)
    return Rendition(address, parse_pixels(media.get("width"))) if address is not None else None


def _embedded(entry: etree._Element, page: str, common: CrawledPicture, now: datetime) -> Iterator[CrawledPicture]:
    """The pictures in the HTML of an entry."""
    for child in entry:
        if _name(child) not in EMBEDDED_HTML or child.get("url"):
            continue
        # XHTML of Atom, and HTML that was not escaped, are elements.
        text = etree.tostring(child, encoding="unicode") if len(child) else child.text or ""
        yield from _pictures_in_html(text, page, common, now)


def _pictures_in_html(text: str, page: str, common: CrawledPicture, now: datetime) -> Iterator[CrawledPicture]:
    """The pictures in an HTML fragment, which may be escaped twice."""
    if PICTURE_MARKUP.search(text) is None and "&lt;" in text:
        text = html.unescape(text)
    if PICTURE_MARKUP.search(text) is not None:
        inner = read_page(f"<body>{text}</body>", page, headers_reserve=None, headers_nofollow=False, now=now)
        for picture in inner.pictures:
            yield replace(common, url=picture.url, alt=picture.alt, licence=picture.licence or common.licence)
