"""Structured data of a page: schema.org things (JSON-LD, microdata) and OpenGraph."""

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urljoin

import extruct
from lxml.html import HtmlElement

from pipeline.sources.pages.json_ld import read_json
from pipeline.sources.pages.licences import licence_name
from pipeline.sources.pages.renditions import Rendition, names_picture, picture_url
from pipeline.web.responses import NotFetchedError
from pipeline.web.values import clean_text, iso_date, parse_pixels, parse_price

MAX_THINGS = 10_000  # on one page; the rest is ignored
PRODUCTS = frozenset({"Product", "ProductGroup", "ProductModel", "IndividualProduct", "SomeProducts"})
POSTS = frozenset(
    {"Article", "NewsArticle", "BlogPosting", "SocialMediaPosting", "ImageGallery", "CollectionPage", "CreativeWork"}
)
PICTURES = frozenset({"ImageObject", "Photograph"})
BY_LOWER_NAME = {name.lower(): name for name in (*PRODUCTS, *POSTS, *PICTURES, "BreadcrumbList")}
SEVERAL_ADDRESSES = re.compile(r"[\s,;|]+(?=https?://)", re.IGNORECASE)
PICTURE_KEYS = ("image", "images", "photo", "associatedMedia", "primaryImageOfPage")
THUMBNAIL_KEYS = ("thumbnailUrl", "thumbnail")  # if there is nothing else
ADDRESS_KEYS = ("contentUrl", "url", "@value", "image", *THUMBNAIL_KEYS)
OWN_KEYS = frozenset({*PICTURE_KEYS, *THUMBNAIL_KEYS, "@id", "@type", "url", "hasVariant", "isVariantOf"})  # not inherited
MAX_NUMBER = 1e15  # of a number used as text; also excludes NaN
MAX_GROUPS = 5  # nested
MAX_DEPTH = 20  # of nested values; deeper ones are ignored
DATE_KEYS = ("datePublished", "uploadDate", "releaseDate", "dateCreated")

Thing = Mapping[str, Any]


@dataclass(frozen=True)
class ItemPicture:
    """One picture of a thing."""

    rendition: Rendition
    alt: str | None
    licence: str | None
    published: str | None


@dataclass(frozen=True)
class Item:
    """A product, a post, or a picture on its own."""

    kind: Literal["product", "post", "picture"]
    title: str | None
    words: tuple[str, ...]
    price: float | None
    currency: str | None
    published: str | None
    licence: str | None
    shown: tuple[ItemPicture, ...]
    group: "Item | None" = None  # the group that it is a variant of


@dataclass(frozen=True)
class StructuredData:
    """The schema.org data of a page."""

    things: list[Thing]
    repaired: int  # invalid JSON scripts that were partly read
    unread: int  # scripts and microdata that could not be read


def text_of(value: Any, depth: int = MAX_DEPTH) -> str | None:
    """The first text in a schema.org value: a string, a number, a thing's name, or a list of these."""
    if isinstance(value, str):
        return clean_text(_unescaped(value))
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_NUMBER:
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, Mapping) and depth:
        keys = ("name", "@value", "text", "url", "@id")
        return next((text for key in keys if (text := text_of(value.get(key), depth - 1))), None)
    if isinstance(value, list) and depth:
        return next((text for part in value if (text := text_of(part, depth - 1))), None)
    return None


def _unescaped(text: str) -> str:
    """`text` without HTML entities, which scripts often escape twice."""
    for _ in range(3):
        if "&" not in text:
            break
        text = html.unescape(text)
    return text


def flatten(value: Any, depth: int = MAX_DEPTH) -> list[Any]:
    """`value` as a flat list, whether it is a scalar, a nested list or a JSON-LD container."""
    if isinstance(value, Mapping) and ("@list" in value or "@set" in value):
        value = value.get("@list", value.get("@set"))
    if isinstance(value, list):
        return [part for inner in value for part in flatten(inner, depth - 1)] if depth else []
    return [] if value is None else [value]


def picture_url_of(value: Any, base: str, depth: int = MAX_DEPTH) -> str | None:
    """The URL of the picture in a schema.org value: a string, or a thing with an address."""
    if isinstance(value, str):
        return picture_url(_unescaped(value), base)
    if isinstance(value, Mapping) and depth:
        parts = (value.get(key) for key in ADDRESS_KEYS)
        found = next((found for part in parts if (found := picture_url_of(part, base, depth - 1))), None)
        name = value.get("@id")
        return found or (picture_url(name, base) if isinstance(name, str) and names_picture(name) else None)
    if isinstance(value, list) and depth:
        return next((found for part in value if (found := picture_url_of(part, base, depth - 1))), None)
    return None


def types_of(thing: Thing) -> set[str]:
    """The names of a thing's schema.org types; known ones in schema.org's spelling."""
    kinds = flatten(thing.get("@type", thing.get("type")))
    names = (re.split(r"[/#:]", kind.strip().rstrip("/#"))[-1] for kind in kinds if isinstance(kind, str))
    return {BY_LOWER_NAME.get(name.lower(), name) for name in names}


def all_things(roots: Iterable[Any]) -> list[Thing]:
    """Every thing in and under `roots`, in document order."""
    found: list[Thing] = []
    waiting = list(roots)[::-1]
    while waiting and len(found) < MAX_THINGS:
        value = waiting.pop()
        if isinstance(value, Mapping):
            found.append(value)
            waiting.extend(list(value.values())[::-1])
        elif isinstance(value, list):
            waiting.extend(value[::-1])
    return found


def find_things(tree: HtmlElement, url: str) -> StructuredData:
    """Every schema.org thing on a page; what cannot be read costs only itself, and is counted."""
    roots: list[Any] = []
    repaired = unread = 0
    for script in tree.iter("script"):
        if (script.get("type") or "").partition(";")[0].strip().lower() == "application/ld+json":
            text = "".join(script.itertext())
            reading = read_json(text)
            roots.extend(reading.values)
            if not reading.valid and text.strip():
                repaired += bool(reading.values)
                unread += not reading.values
    microdata, failed = _microdata(tree, url)
    return StructuredData(all_things([*roots, *microdata]), repaired, unread + failed)


def _microdata(tree: HtmlElement, url: str) -> tuple[list[Any], int]:
    """The microdata of a page, and the number of outermost items that could not be read."""
    _drop_broken_addresses(tree)
    found, failed = _extracted(tree, url)
    if not failed:
        return found, 0
    parts = [_extracted(scope, url) for scope in tree.xpath("//*[@itemscope and not(ancestor::*[@itemscope])]")]
    return [item for items, _ in parts for item in items], sum(failed for _, failed in parts)


def _extracted(element: HtmlElement, url: str) -> tuple[list[Any], bool]:
    """The microdata in an element, and whether extruct failed."""
    try:
        return extruct.extract(element, base_url=url, syntaxes=["microdata"], uniform=True)["microdata"], False
    except NotFetchedError:  # the CPU time limit of the page
        raise
    except Exception:  # extruct may raise anything on broken markup
        return [], True


def _drop_broken_addresses(tree: HtmlElement) -> None:
    """Remove invalid URLs from `tree`: extruct would drop a whole item because of one."""
    for element in tree.iter():
        for name in ("src", "href", "data"):
            if isinstance(element.tag, str) and "[" in element.get(name, ""):
                try:
                    urljoin("http://x.example/", element.get(name))
                except ValueError:
                    del element.attrib[name]


def read_breadcrumbs(things: Iterable[Thing]) -> list[str]:
    """The levels of the first breadcrumb trail, from the top."""
    for thing in things:
        if "BreadcrumbList" in types_of(thing):
            steps = [step for step in flatten(thing.get("itemListElement")) if isinstance(step, Mapping)]
            steps.sort(key=lambda step: parse_price(text_of(step.get("position"))) or 0)
            names = [text_of(step.get("name")) or text_of(step.get("item")) for step in steps]
            return [name for name in names if name is not None]
    return []


def find_items(things: list[Thing], url: str) -> list[Item]:
    """The products and posts among `things` that show a picture, then the pictures that no other item shows."""
    graph = _Graph(things, url)
    products = [_product(thing, graph) for thing in things if types_of(thing) & PRODUCTS]
    posts = [_item("post", graph.whole(thing), graph) for thing in things if types_of(thing) & POSTS]
    pictures = [_picture(thing, url) for thing in things if types_of(thing) & PICTURES and _stands_alone(thing)]
    # Beside products, a post describes their category, and its picture is a banner.
    described = [item for item in products if item.shown] or [item for item in posts if item.shown]
    seen = {shown.rendition.url for item in described for shown in item.shown}
    return described + [item for item in pictures if item.shown and item.shown[0].rendition.url not in seen]


def main_item(items: list[Item]) -> Item | None:
    """The product or post that is the subject of the page: the only one, or the group that all are variants of."""
    whole = [item for item in items if item.kind != "picture"]
    heads = [item.group or item for item in whole]
    if len({head.title or head for head in heads}) != 1:  # two scripts may describe the same item, one better
        return None
    main = max(heads, key=lambda head: len(head.words))
    words = {item.words for item in whole}
    return replace(main, words=words.pop()) if not main.words and len(words) == 1 else main


class _Graph:
    """The things of a page and their references to one another."""

    def __init__(self, things: list[Thing], url: str) -> None:
        self.url = url
        self._heads: dict[int, Item] = {}  # by id() of the group
        self._by_id: dict[str, dict[str, Any]] = {}
        for thing in things:
            if (name := self._id_of(thing.get("@id"))) is not None and len(thing) > 1:
                known = self._by_id.setdefault(name, {})
                known.update({key: value for key, value in thing.items() if key not in known})
        self._groups = {
            key: thing for thing in things for variant in flatten(thing.get("hasVariant")) for key in self._keys_of(variant)
        }
        self._by_group_id = {text: thing for thing in things if (text := text_of(thing.get("productGroupID")))}

    def named(self, value: Any) -> Thing | None:
        """The thing that `value` refers to, or none."""
        reference = value.get("@id") if isinstance(value, Mapping) else value
        return self._by_id.get(self._id_of(reference) or "")

    def whole(self, thing: Thing) -> Thing:
        """`thing` merged with what the page says about it elsewhere."""
        elsewhere = self.named(thing) if "@id" in thing else None
        return {**elsewhere, **thing} if elsewhere is not None else thing

    def groups_of(self, thing: Thing) -> list[Thing]:
        """The groups that `thing` is a variant of, the nearest first."""
        groups: list[Thing] = []
        above = self._group_of(thing)
        while (
            above is not None and above is not thing and len(groups) < MAX_GROUPS and all(above is not each for each in groups)
        ):
            groups.append(above)
            above = self._group_of(above)
        return groups

    def _group_of(self, thing: Thing) -> Thing | None:
        above = next((group for key in self._keys_of(thing) if (group := self._groups.get(key)) is not None), None)
        for value in flatten(thing.get("isVariantOf")):
            above = above or self.named(value) or (value if isinstance(value, Mapping) else None)
        return above or self._by_group_id.get(text_of(thing.get("inProductGroupWithID")) or "")

    def head(self, group: Thing) -> Item:
        """The product that a group describes."""
        if id(group) not in self._heads:
            self._heads[id(group)] = _item("product", self.whole(group), self)
        return self._heads[id(group)]

    def _id_of(self, value: Any) -> str | None:
        try:
            return urljoin(self.url, value) if isinstance(value, str) and value else None
        except ValueError:
            return value if isinstance(value, str) else None

    def _keys_of(self, value: Any) -> list[Any]:
        """The keys of a variant: id() of the object and its @id."""
        if isinstance(value, Mapping):
            name = self._id_of(value.get("@id"))
            return [id(value), *([name] if name is not None else [])]
        return [name] if (name := self._id_of(value)) is not None else []


def _product(thing: Thing, graph: _Graph) -> Item:
    """The product that `thing` describes; a variant inherits from its groups."""
    own, groups = graph.whole(thing), graph.groups_of(thing)
    if not groups:
        return _item("product", own, graph)
    inherited = {key: value for group in groups[::-1] for key, value in graph.whole(group).items() if key not in OWN_KEYS}
    item = _item("product", {**inherited, **{key: value for key, value in own.items() if flatten(value)}}, graph)
    words = dict.fromkeys((*item.words, *(word for group in groups for word in graph.head(group).words)))
    return replace(item, words=tuple(words), group=graph.head(groups[-1]))


def _stands_alone(thing: Thing) -> bool:
    """Whether an ImageObject is more than part of another thing, such as a publisher's logo."""
    return any(key in thing for key in ("license", "datePublished", "uploadDate", "acquireLicensePage"))


def _item(kind: Literal["product", "post"], thing: Thing, graph: _Graph) -> Item:
    offers = [offer for offer in flatten(thing.get("offers")) if isinstance(offer, Mapping)]
    prices = [
        part for offer in offers for part in (offer, *flatten(offer.get("priceSpecification"))) if isinstance(part, Mapping)
    ]
    named = [
        text
        for key in ("category", "articleSection", "keywords")
        for part in flatten(thing.get(key))
        if (text := text_of(part))
    ]
    price = (parse_price(text_of(part.get("price", part.get("lowPrice")))) for part in prices)
    return Item(
        kind=kind,
        title=text_of(thing.get("name")) or text_of(thing.get("headline")),
        words=tuple(named),
        price=next((number for number in price if number is not None), None),
        currency=next((text for part in prices if (text := text_of(part.get("priceCurrency")))), None),
        published=_published(thing),
        licence=licence_name(text_of(thing.get("license"))),
        shown=tuple(_item_pictures(thing, graph)),
    )


def _published(thing: Thing) -> str | None:
    return next((found for key in DATE_KEYS if (found := iso_date(text_of(thing.get(key))))), None)


def _item_pictures(thing: Thing, graph: _Graph) -> Iterator[ItemPicture]:
    values = [part for key in PICTURE_KEYS for value in flatten(thing.get(key)) for part in _split_pictures(value)]
    for value in values or [value for key in THUMBNAIL_KEYS for value in flatten(thing.get(key))]:
        referred = graph.named(value) if not isinstance(value, Mapping) or len(value) <= 2 else None
        if referred is not None or isinstance(value, Mapping):
            yield from _picture(referred or value, graph.url).shown
        elif (address := picture_url_of(value, graph.url)) is not None:
            yield ItemPicture(Rendition(address, None), None, None, None)


def _split_pictures(value: Any) -> list[Any]:
    """The pictures in one value: several URLs in a string, or a list of URLs in one thing."""
    if isinstance(value, str):
        parts = SEVERAL_ADDRESSES.split(value.strip())
        return parts if all(map(names_picture, parts)) else [value]
    if isinstance(value, Mapping):
        key = next((key for key in ADDRESS_KEYS if value.get(key)), None)
        if key is not None and len(parts := flatten(value[key])) > 1:
            return [{**value, key: part} for part in parts]
    return [value]


def _picture(thing: Thing, url: str) -> Item:
    address = picture_url_of(thing, url)
    width = parse_price(text_of(thing.get("width")))  # written like a price: 1,200 or `1200 px`
    licence, published = licence_name(text_of(thing.get("license"))), _published(thing)
    alt = next((text for key in ("caption", "description", "name") if (text := text_of(thing.get(key)))), None)
    shown = (ItemPicture(Rendition(address, int(width) if width else None), alt, licence, published),) if address else ()
    return Item("picture", text_of(thing.get("name")), (), None, None, published, licence, shown)


@dataclass(frozen=True)
class OpenGraph:
    """The OpenGraph tags of a page."""

    properties: Mapping[str, str]  # the first of each
    shown: tuple[ItemPicture, ...]


def read_open_graph(metas: Iterable[tuple[str, str]], url: str) -> OpenGraph:
    """The OpenGraph tags among the (name, content) meta tags of a page: each `og:image` with the tags that describe it.

    Without any, the pictures of Twitter cards are used.
    """
    pairs = [(name.strip().lower(), value) for name, value in metas if ":" in name and value]
    pictures: list[dict[str, str]] = []
    for name, value in pairs:
        part = name.removeprefix("og:image").lstrip(":")
        if not name.startswith("og:image"):
            continue
        if part in ("", "url"):
            pictures.append({"url": value})
        elif pictures:
            pictures[-1][part] = value
    pictures = pictures or [{"url": value} for name, value in pairs if name in ("twitter:image", "twitter:image:src")]
    shown: dict[str, ItemPicture] = {}
    for picture in pictures:
        address = picture_url(picture.get("secure_url"), url) or picture_url(picture["url"], url)
        if address is not None:
            rendition = Rendition(address, parse_pixels(picture.get("width")))
            shown.setdefault(address, ItemPicture(rendition, clean_text(picture.get("alt")), None, None))
    return OpenGraph(dict(reversed(pairs)), tuple(shown.values()))
