"""Pictures in the markup of a page: `img`, `picture`, lazy loading, zoom galleries, backgrounds, JSON in attributes."""

import json
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any
from urllib.parse import urlsplit

from lxml import etree, html
from lxml.html import HtmlElement

from pipeline.imaging.formats import is_decoded_type, is_undecoded_name
from pipeline.sources.pages.renditions import (
    Rendition,
    asset_key,
    largest_rendition,
    names_picture,
    picture_url,
    srcset_renditions,
)
from pipeline.web.values import parse_pixels

IMAGE_TAGS = ("img", "amp-img", "amp-anim", "image")
# Attributes of zoom galleries, from the largest rendition to the smallest.
ZOOM_ATTRIBUTES = (
    "data-zoom-image",
    "data-zoom",
    "data-zoom-src",
    "data-zoom-img",
    "data-zoom-url",
    "data-magnify-src",
    "data-orig-file",
    "data-large_image",
    "data-large-image",
    "data-large-file",
    "data-large-src",
    "data-large",
    "data-full",
    "data-full-src",
    "data-full-url",
    "data-full-image",
    "data-hi-res-src",
    "data-highres",
    "data-pswp-src",
    "data-mfp-src",
)
# Attributes of lazy-loading scripts.
LAZY_ATTRIBUTES = (
    "data-src",
    "data-lazy-src",
    "data-lazy",
    "data-lazyload",
    "data-lazy-image",
    "data-original",
    "data-original-src",
    "data-image",
    "data-image-src",
    "data-img",
    "data-img-src",
    "data-img-url",
    "data-echo",
    "data-ll-src",
    "data-defer-src",
    "data-delayed-url",
    "data-actualsrc",
    "data-cfsrc",
    "data-flickity-lazyload",
    "data-flickity-lazyload-src",
    "data-splide-lazy",
)
LAZY_SRCSET_ATTRIBUTES = (
    "data-srcset",
    "data-lazy-srcset",
    "data-lazy-set",
    "data-original-set",
    "data-ll-srcset",
    "data-flickity-lazyload-srcset",
    "data-splide-lazy-srcset",
    "data-cfsrcset",
)
BACKGROUND_ATTRIBUTES = ("data-bg", "data-bg-src", "data-bg-image", "data-background", "data-background-image", "data-bgset")
# Any other attribute whose name suggests a large picture.
PROMISES_LARGE = re.compile(
    r"data-(?=.*(?:zoom|large|big|full|hi-?res|high|xl|orig|master|magnif|retina))(?!.*(?:thumb|hover))"
)
# Attributes with options or calls of zoom scripts that are not JSON.
SCRIPTED_ATTRIBUTES = ("onclick", "rel", "data-rel", "data-cloudzoom", "data-options", "data-zoom-options")
LARGE_OPTION = re.compile(r"""(?:zoom|large|big|full)\w{0,20}["']?\s*:\s*["']([^"'\s]+)["']""", re.IGNORECASE)
CALLED_WITH = re.compile(r"""\(\s*["']([^"'\s]+)["']""")
PLACEHOLDER_NAME = re.compile(
    r"/(?:(?:lazy|image|img|product|ajax|woocommerce|preload)[-_]?)?(?:"
    r"(?:placeholder|spacer|spinner|loading|loader|lazyload|no[-_]?image)"
    r"(?:[-_.]?(?:\d+(?:x\d*)?|image|img|icon|bg|white|gr[ae]y|small|large|square|spinner|loader|transparent))*\.(?:gif|png|jpe?g|webp)"
    r"|(?:blank|pixel|transparent|clear|empty|dummy|gr[ae]y|trans|lazy|t|1x1|1px)(?:[-_]?\d+x\d+)?\.(?:gif|png|webp))$",
    re.IGNORECASE,
)
PLACEHOLDER_SIDE_PX = 2  # declared size of an `img` that a script fills
ORNAMENT = re.compile(r"swatch|icon|logo|sprite|flag|avatar|badge|pattern", re.IGNORECASE)
STYLE_URL = re.compile(r"background(?:-image)?\s*:[^;]*?url\(\s*(\"[^\"]*\"|'[^']*'|[^)]*)\)", re.IGNORECASE)
STYLE_SIDE = re.compile(r"(?:^|[;\s])(?:width|height)\s*:\s*(\d{1,6})(?:\.\d+)?px", re.IGNORECASE)
LEVELS_AROUND = 3  # of ancestors that may hold the large picture of a thumbnail
DEFAULT_WIDTH_PX = 1080  # one of the defaults of lazysizes, which fills the templates of Shopify's themes
TEMPLATE = re.compile(r"\{width\}|%7Bwidth%7D", re.IGNORECASE)
MAX_STYLE_CHARACTERS = 10_000  # of a style attribute
MAX_LIST_CHARACTERS = 1_000_000  # of JSON in an attribute
MAX_PROMISED = 10  # attributes per element
MAX_LISTED = 500  # pictures per element
MIN_SIDE_PX = 100  # smaller pictures are icons, swatches or tracking pixels
# Keys of the URLs of one picture in a gallery's JSON, the largest first.
ENTRY_KEYS = (
    *("zoom", "zoom_image", "zoomimage", "full", "full_src", "fullsrc", "original", "large", "large_src", "largeimage", "big"),
    *(
        "hires",
        "url",
        "src",
        "href",
        "image",
        "img",
        "image_url",
        "imageurl",
        "contenturl",
        "file",
        "path",
        "medium",
        "preview",
    ),
    *("thumb", "thumbnail", "thumb_src", "small"),
)


GALLERY_KEYS = ("images", "media", "data", "gallery")  # of Shopify's products and Magento's widget


def renditions_of(image: HtmlElement, base: str, known: Container[str] = frozenset()) -> list[Rendition]:
    """Every rendition that an `img` offers: its own, those of an enclosing `picture`, and those of an enclosing link.

    `known` are the assets that the page names as pictures elsewhere, so they are not placeholders.
    """
    sets, addresses = _own_renditions(image, base, known)
    found = [*_attribute_renditions(image, ZOOM_ATTRIBUTES, base, zoomed=True), *sets]
    # After the image's own set: the first of equals wins, and a `source` is often an AVIF converted from the JPEG.
    for picture in image.iterancestors("picture"):
        found.extend(source_renditions(picture, base, known))
    found.extend(addresses)
    for link in image.iterancestors("a"):
        if names_picture(link.get("href", "")):
            found.extend(_attribute_renditions(link, ("href",), base, zoomed=True))
        found.extend(_attribute_renditions(link, (*ZOOM_ATTRIBUTES, *LAZY_ATTRIBUTES), base, zoomed=True))
        found.extend(_hinted_renditions(link, base))
        found.extend(_scripted_renditions(link, base))
    for around in islice(image.iterancestors(), LEVELS_AROUND):
        if around.tag != "a":
            found.extend(_attribute_renditions(around, (*ZOOM_ATTRIBUTES, "data-src"), base, zoomed=True))
    found.extend(_hinted_renditions(image, base))
    found.extend(_scripted_renditions(image, base))
    listed = list(listed_renditions(image, base))
    found.extend(listed[0] if len(listed) == 1 else [])
    return [rendition for rendition in found if not is_undecoded_name(urlsplit(rendition.url).path)]


def _hinted_renditions(element: HtmlElement, base: str) -> Iterator[Rendition]:
    """The pictures in unlisted `data-` attributes whose names suggest a large picture."""
    promised = (
        name
        for name, value in element.items()
        if PROMISES_LARGE.match(name) and name not in (*ZOOM_ATTRIBUTES, *LAZY_ATTRIBUTES) and names_picture(value)
    )
    yield from _attribute_renditions(element, islice(promised, MAX_PROMISED), base, zoomed=True)


def _scripted_renditions(element: HtmlElement, base: str) -> Iterator[Rendition]:
    """The large picture in the options or the call of a zoom script."""
    href = element.get("href") or ""
    calls = [href] if href.strip().lower().startswith("javascript:") else []
    for text in (*calls, *(element.get(name) or "" for name in SCRIPTED_ATTRIBUTES)):
        for address in (*LARGE_OPTION.findall(text[:MAX_STYLE_CHARACTERS]), *CALLED_WITH.findall(text[:MAX_STYLE_CHARACTERS])):
            if names_picture(address) and (url := picture_url(address, base)) is not None:
                yield Rendition(url, None, zoomed=True)


def source_renditions(picture: HtmlElement, base: str, known: Container[str] = frozenset()) -> list[Rendition]:
    """The renditions of the `source` elements of a `picture`, of the types that we decode."""
    # libxml2 expects an end tag for `source`, so it nests what follows.
    sources = [source for source in picture.iter("source") if is_decoded_type(source.get("type") or "")]
    return [rendition for source in sources for part in _own_renditions(source, base, known) for rendition in part]


def _own_renditions(element: HtmlElement, base: str, known: Container[str]) -> tuple[list[Rendition], list[Rendition]]:
    """The renditions in the srcsets of an element, and in its single addresses.

    If a script loads one lazily, the others are placeholders, unless they are the same picture.
    """
    declared = parse_pixels(element.get("width"))
    sets = list(srcset_renditions(element.get("srcset", ""), base, declared))
    for attribute in LAZY_SRCSET_ATTRIBUTES:
        sets.extend(srcset_renditions(element.get(attribute, ""), base, declared, lazy=True))
    addresses = list(_attribute_renditions(element, LAZY_ATTRIBUTES, base, lazy=True))
    addresses.extend(_attribute_renditions(element, ("src",), base))
    if element.tag == "image":  # in an inline SVG
        addresses.extend(_attribute_renditions(element, ("href", "xlink:href"), base))
    lazy = {asset_key(rendition.url) for rendition in (*sets, *addresses) if rendition.lazy}

    def is_picture(rendition: Rendition) -> bool:
        return not lazy or asset_key(rendition.url) in lazy or asset_key(rendition.url) in known

    return list(filter(is_picture, sets)), list(filter(is_picture, addresses))


def _attribute_renditions(
    element: HtmlElement, attributes: Iterable[str], base: str, *, zoomed: bool = False, lazy: bool = False
) -> Iterator[Rendition]:
    for attribute in attributes:
        value = element.get(attribute)
        if value is None:
            continue
        if attribute.startswith("data-"):  # the same attributes may hold flags and numbers
            value = _fill_template(value, element)
            if "/" not in value and not names_picture(value):
                continue
        url = picture_url(value, base)
        if url is not None and not (attribute != "src" and is_placeholder_name(url)):
            yield Rendition(url, None, zoomed, lazy=lazy)


def _fill_template(template: str, element: HtmlElement) -> str:
    """`template` with the largest width that the element offers, else with the default of the loader."""
    widths = [int(width) for width in re.findall(r"\d{1,5}", element.get("data-widths") or "")]
    return TEMPLATE.sub(str(max(widths, default=DEFAULT_WIDTH_PX)), template)


def is_placeholder_name(url: str) -> bool:
    """Whether `url` has the name of a placeholder shown until a picture is loaded."""
    return PLACEHOLDER_NAME.search(urlsplit(url).path) is not None


def drop_placeholders(offers: Sequence[list[Rendition]]) -> list[list[Rendition]]:
    """`offers`, the renditions of each `img` of a page, without placeholders.

    A placeholder has the name of one, or is an address that several images share which have nothing else in common.
    """
    beside: dict[str, list[frozenset[str]]] = {}
    for offered in offers:
        assets = frozenset(asset_key(rendition.url) for rendition in offered)
        for one in assets if len(assets) > 1 else ():
            beside.setdefault(one, []).append(assets - {one})
    shared = {one for one, others in beside.items() if len(others) > 1 and not frozenset.intersection(*others)}
    return [
        [each for each in offered if asset_key(each.url) not in shared and not is_placeholder_name(each.url)]
        for offered in offers
    ]


def reveal_lazy_pictures(tree: HtmlElement, base: str) -> None:
    """Modify `tree` as a script would: show lazily loaded pictures and the content of `noscript`."""
    for image in tree.iter(*IMAGE_TAGS):
        if image.get("itemprop") is not None:
            sets, addresses = _own_renditions(image, base, frozenset())
            if lazy := [rendition for rendition in (*sets, *addresses) if rendition.lazy]:
                image.set("src", largest_rendition(lazy).url)
    for fallback in list(tree.iter("noscript")):
        text = fallback.text or ""
        if "<img" in text.lower():  # escaped instead of markup
            try:
                fallback.extend(part for part in html.fragments_fromstring(text) if isinstance(part, HtmlElement))
            except (etree.ParserError, ValueError):
                continue
    shown = Counter(image.get("src") for image in tree.iter(*IMAGE_TAGS))
    for fallback in tree.iter("noscript"):
        before, image = fallback.getprevious(), next(fallback.iter("img"), None)
        # An image that several share, each before a `noscript` picture, is a placeholder for that picture.
        stands_in = before is not None and before.tag in IMAGE_TAGS and shown[before.get("src")] > 1
        if stands_in and image is not None and "data-src" not in before.attrib and not is_small(image, []):
            before.set("data-src", image.get("src", ""))


def is_small(element: HtmlElement, offered: Iterable[Rendition]) -> bool:
    """Whether an element is shown as small as an icon and offers nothing larger."""
    sides = [
        side for name in ("width", "height") if (side := parse_pixels((element.get(name) or "").removesuffix("px"))) is not None
    ]
    sides += [int(side) for side in STYLE_SIDE.findall((element.get("style") or "")[:MAX_STYLE_CHARACTERS])]
    if any(rendition.zoomed for rendition in offered):  # a thumbnail
        return False
    if any(rendition.lazy for rendition in offered):  # the declared size may be that of a placeholder
        sides = [side for side in sides if side > PLACEHOLDER_SIDE_PX]
    return any(side < MIN_SIDE_PX for side in sides)


def background_renditions(element: HtmlElement, base: str) -> list[Rendition]:
    """The background picture of an element without an `img` inside."""
    found = list(_attribute_renditions(element, BACKGROUND_ATTRIBUTES, base, lazy=True))
    if not found:
        addresses = (
            picture_url(value.strip("\"' "), base)
            for value in STYLE_URL.findall((element.get("style") or "")[:MAX_STYLE_CHARACTERS])
        )
        found = [Rendition(address, None) for address in addresses if address is not None and not is_placeholder_name(address)]
    if not found or ORNAMENT.search(f"{element.get('class', '')} {element.get('id', '')}"):
        return []
    if element.tag in IMAGE_TAGS or next(element.iter(*IMAGE_TAGS, "picture"), None) is not None:
        return []  # the background is a placeholder of the image
    if element.tag == "a" and names_picture(element.get("href", "")):
        found.extend(_attribute_renditions(element, ("href", *ZOOM_ATTRIBUTES), base, zoomed=True))
    return found


def listed_renditions(element: HtmlElement, base: str) -> Iterator[list[Rendition]]:
    """The pictures in the JSON of `data-` attributes, each with its renditions."""
    for name, value in element.items():
        if name.startswith("data-") and value.lstrip()[:1] in ("[", "{") and len(value) <= MAX_LIST_CHARACTERS and "." in value:
            try:
                listed = json.loads(value)
            except (ValueError, RecursionError):
                continue
            yield from islice(_pictures_in(listed, base), MAX_LISTED)


def scripted_galleries(tree: HtmlElement, base: str) -> Iterator[list[Rendition]]:
    """The pictures in the JSON of product galleries in scripts, each with its renditions."""
    for script in tree.iter("script"):
        kind = (script.get("type") or "").partition(";")[0].strip().lower()
        text = script.text or ""
        magento = kind == "text/x-magento-init" and "mage/gallery/gallery" in text
        product = kind == "application/json" and any("product" in f"{name} {value}".lower() for name, value in script.items())
        if not (magento or product) or len(text) > MAX_LIST_CHARACTERS:
            continue
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            continue
        yield from islice(chain.from_iterable(_pictures_in(gallery, base) for gallery in _galleries_in(content)), MAX_LISTED)


def _galleries_in(content: Any) -> Iterator[list[Any]]:
    """The values of the keys of galleries, outermost first."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value[::-1])
        elif isinstance(value, dict):
            galleries = [key for key in GALLERY_KEYS if isinstance(value.get(key), list)]
            yield from (value[key] for key in galleries if value[key])
            waiting.extend([part for key, part in value.items() if key not in galleries][::-1])


def _pictures_in(listed: Any, base: str) -> Iterator[list[Rendition]]:
    """The pictures in a JSON value: strings that are URLs, and objects that describe one picture or contain others."""
    waiting = [listed]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value[::-1])
        elif isinstance(value, str):
            if (url := _listed_url(value, base)) is not None:
                yield [Rendition(url, None)]
        elif isinstance(value, dict):
            if offered := _entry_renditions(value, base):
                yield offered
            known = {key for key in value if key.lower() in ENTRY_KEYS and isinstance(value[key], str)} if offered else set()
            waiting.extend([part for key, part in value.items() if key not in known][::-1])


def _entry_renditions(entry: dict[str, Any], base: str) -> list[Rendition]:
    """The renditions of the picture that an object describes, the largest first; empty if it describes none."""
    by_name = {key.lower(): value for key, value in entry.items() if isinstance(value, str)}
    named = [url for key in ENTRY_KEYS if (url := _listed_url(by_name.get(key, ""), base)) is not None]
    sets = list(srcset_renditions(by_name.get("srcset", ""), base, None))
    # Amazon's form: {address: [width, height]}.
    sized = [
        Rendition(url, sides[0])
        for key, sides in entry.items()
        if isinstance(sides, list) and sides and isinstance(sides[0], int) and (url := _listed_url(key, base)) is not None
    ]
    width = entry.get("width")
    if len(named) == 1 and isinstance(width, int) and not isinstance(width, bool):
        return [Rendition(named[0], width), *sets, *sized]
    return [*(Rendition(url, None, zoomed=place == 0) for place, url in enumerate(named)), *sets, *sized]


def _listed_url(value: str, base: str) -> str | None:
    """The URL of a picture in a JSON string; only a URL with a picture's extension counts, because others are plain words."""
    url = picture_url(value, base) if names_picture(value) else None
    return url if url is not None and not is_placeholder_name(url) else None
