"""What a page says about itself for machines: schema.org things (JSON-LD, microdata) and OpenGraph, read by extruct."""

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import extruct
from lxml.html import HtmlElement

from pipeline.sources.web.licences import licence_name
from pipeline.sources.web.renditions import Rendition, picture_address
from pipeline.sources.web.values import iso_date, pixels_of, plain, price_of

MAX_THINGS = 10_000  # on one page; a page that says more is not believed
PRODUCTS = frozenset({"Product", "ProductGroup", "ProductModel", "IndividualProduct", "SomeProducts"})
POSTS = frozenset(
    {"Article", "NewsArticle", "BlogPosting", "SocialMediaPosting", "ImageGallery", "CollectionPage", "CreativeWork"}
)
PICTURES = frozenset({"ImageObject", "Photograph"})
PICTURE_KEYS = ("image", "photo", "associatedMedia", "primaryImageOfPage")
DATE_KEYS = ("datePublished", "uploadDate", "releaseDate", "dateCreated")

Thing = Mapping[str, Any]


@dataclass(frozen=True)
class Shown:
    """One picture of a thing."""

    rendition: Rendition
    alt: str | None
    licence: str | None
    published: str | None


@dataclass(frozen=True)
class Item:
    """A product, a post, or a picture on its own, as the page describes it."""

    kind: Literal["product", "post", "picture"]
    title: str | None
    words: tuple[str, ...]
    price: float | None
    currency: str | None
    published: str | None
    licence: str | None
    shown: tuple[Shown, ...]


def text_of(value: Any) -> str | None:
    """The first plain text in a schema.org value: a string, a number, a thing's name, or a list of these."""
    if isinstance(value, str):
        return plain(html.unescape(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, Mapping):
        return next((text for key in ("name", "@value", "text", "url", "@id") if (text := text_of(value.get(key)))), None)
    if isinstance(value, list):
        return next((text for part in value if (text := text_of(part))), None)
    return None


def many(value: Any) -> list[Any]:
    """`value` as a list, whichever way it was given."""
    if isinstance(value, Mapping) and "@list" in value:
        value = value["@list"]
    return value if isinstance(value, list) else [] if value is None else [value]


def address_of(value: Any) -> str | None:
    """The address in a schema.org value: a string, or what a thing says about where it is."""
    if isinstance(value, Mapping):
        return next((found for key in ("contentUrl", "url", "@id") if (found := address_of(value.get(key)))), None)
    return value if isinstance(value, str) else None


def types_of(thing: Thing) -> set[str]:
    """The names of a thing's schema.org types."""
    return {re.split(r"[/#:]", kind)[-1] for kind in many(thing.get("@type")) if isinstance(kind, str)}


def all_things(roots: Iterable[Any]) -> list[Thing]:
    """Every thing in and under `roots`, in the page's order."""
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


def things_on(tree: HtmlElement, url: str) -> list[Thing]:
    """Every schema.org thing on a page; a script that is not JSON costs only itself."""
    roots: list[Any] = []
    for script in tree.iter("script"):
        if script.get("type", "").split(";")[0].strip().lower() == "application/ld+json":
            roots.extend(extruct.extract(script, base_url=url, syntaxes=["json-ld"], errors="ignore").get("json-ld", []))
    roots.extend(
        extruct.extract(tree, base_url=url, syntaxes=["microdata"], uniform=True, errors="ignore").get("microdata", [])
    )
    return all_things(roots)


def breadcrumbs(things: Iterable[Thing]) -> list[str]:
    """The levels of the first breadcrumb trail, from the top."""
    for thing in things:
        if "BreadcrumbList" in types_of(thing):
            steps = [step for step in many(thing.get("itemListElement")) if isinstance(step, Mapping)]
            steps.sort(key=lambda step: price_of(text_of(step.get("position"))) or 0)
            names = [text_of(step.get("name")) or text_of(step.get("item")) for step in steps]
            return [name for name in names if name is not None]
    return []


def items_on(things: list[Thing], url: str) -> list[Item]:
    """The products and posts among `things` that show a picture, then the pictures that no other item shows."""
    by_id = {thing["@id"]: thing for thing in things if isinstance(thing.get("@id"), str) and len(thing) > 1}
    products = [_item("product", thing, by_id, url) for thing in things if types_of(thing) & PRODUCTS]
    posts = [_item("post", thing, by_id, url) for thing in things if types_of(thing) & POSTS]
    pictures = [_picture(thing, url) for thing in things if types_of(thing) & PICTURES and _stands_alone(thing)]
    # Beside products, a post is the shelf they stand on, and its picture a banner.
    described = [item for item in products if item.shown] or [item for item in posts if item.shown]
    seen = {shown.rendition.url for item in described for shown in item.shown}
    return described + [item for item in pictures if item.shown and item.shown[0].rendition.url not in seen]


def _stands_alone(thing: Thing) -> bool:
    """Whether an ImageObject is more than a part of another thing, such as a publisher's logo."""
    return any(key in thing for key in ("license", "datePublished", "uploadDate", "acquireLicensePage"))


def _item(kind: Literal["product", "post"], thing: Thing, by_id: Mapping[str, Thing], url: str) -> Item:
    offers = [offer for offer in many(thing.get("offers")) if isinstance(offer, Mapping)]
    prices = [part for offer in offers for part in (offer, *many(offer.get("priceSpecification"))) if isinstance(part, Mapping)]
    named = [
        text for key in ("category", "articleSection", "keywords") for part in many(thing.get(key)) if (text := text_of(part))
    ]
    price = (price_of(text_of(part.get("price", part.get("lowPrice")))) for part in prices)
    return Item(
        kind=kind,
        title=text_of(thing.get("name")) or text_of(thing.get("headline")),
        words=tuple(named),
        price=next((number for number in price if number is not None), None),
        currency=next((text for part in prices if (text := text_of(part.get("priceCurrency")))), None),
        published=_published(thing),
        licence=licence_name(text_of(thing.get("license"))),
        shown=tuple(_shown(thing, by_id, url)),
    )


def _published(thing: Thing) -> str | None:
    return next((found for key in DATE_KEYS if (found := iso_date(text_of(thing.get(key))))), None)


def _shown(thing: Thing, by_id: Mapping[str, Thing], url: str) -> Iterator[Shown]:
    for key in PICTURE_KEYS:
        for value in many(thing.get(key)):
            if isinstance(value, Mapping):
                value = by_id.get(value.get("@id", ""), value) if len(value) <= 2 else value
                yield from _picture(value, url).shown
            elif isinstance(value, str) and value in by_id:
                yield from _picture(by_id[value], url).shown
            elif isinstance(value, str) and (address := picture_address(value, url)) is not None:
                yield Shown(Rendition(address, None), None, None, None)


def _picture(thing: Thing, url: str) -> Item:
    address = picture_address(address_of(thing), url)
    width = price_of(text_of(thing.get("width")))  # a length, written like a price: 1,200 or `1200 px`
    licence, published = licence_name(text_of(thing.get("license"))), _published(thing)
    alt = next((text for key in ("caption", "description", "name") if (text := text_of(thing.get(key)))), None)
    shown = (Shown(Rendition(address, int(width) if width else None), alt, licence, published),) if address else ()
    return Item("picture", text_of(thing.get("name")), (), None, None, published, licence, shown)


@dataclass(frozen=True)
class OpenGraph:
    """The OpenGraph tags of a page."""

    properties: Mapping[str, str]  # the first of each
    shown: tuple[Shown, ...]


def open_graph(tree: HtmlElement, url: str) -> OpenGraph:
    """The OpenGraph tags of a page, with each `og:image` and the tags that follow it and describe it."""
    found = extruct.extract(tree, base_url=url, syntaxes=["opengraph"], errors="ignore").get("opengraph", [])
    pairs = [(name.lower(), value) for graph in found for name, value in graph["properties"] if value]
    pictures: list[dict[str, str]] = []
    for name, value in pairs:
        part = name.removeprefix("og:image").lstrip(":")
        if not name.startswith("og:image"):
            continue
        if part in ("", "url"):
            pictures.append({"url": value})
        elif pictures:
            pictures[-1][part] = value
    shown: list[Shown] = []
    for picture in pictures:
        address = picture_address(picture.get("secure_url", picture["url"]), url)
        if address is not None and address not in {other.rendition.url for other in shown}:
            shown.append(Shown(Rendition(address, pixels_of(picture.get("width"))), plain(picture.get("alt")), None, None))
    return OpenGraph(dict(reversed(pairs)), tuple(shown))
