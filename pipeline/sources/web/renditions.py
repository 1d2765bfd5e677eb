"""One picture out of its many sizes: the largest that the page itself offers; no address is ever guessed."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from lxml.html import HtmlElement

from pipeline.images.formats import FORMATS
from pipeline.sources.web.values import MAX_CHARACTERS, pixels_of

# What lazy-loading scripts and zoom galleries call the address, from the largest rendition they promise to the smallest.
ZOOMED = ("data-zoom-image", "data-zoom", "data-zoom-src", "data-large_image", "data-large", "data-full", "data-hi-res-src")
PLAIN = ("data-src", "data-lazy-src", "data-lazy", "data-original", "data-image", "src")
SETS = ("srcset", "data-srcset", "data-lazy-srcset")

SIZE_PARAMETERS = frozenset(
    {"w", "width", "imwidth", "sw", "wid", "h", "height", "imheight", "sh", "hei", "size", "resize", "fit", "crop", "dpr"}
    | {"q", "quality", "auto", "fm", "format"}
)
# photo-300x200.jpg (WordPress), photo_600x.jpg and photo_large.jpg (Shopify), photo._AC_SX300_.jpg (Amazon)
SIZE_IN_NAME = re.compile(
    r"(?:-(\d{2,4})x\d{2,4}|_(\d{2,4})x(?:\d{2,4})?|_(?:pico|icon|thumb|small|compact|medium|large|grande)|\._[A-Z]{2}[A-Z0-9_,]*_)"
    r"(?:_crop_[a-z]+)?(?=\.[A-Za-z]{3,4}$)"
)
SIZE_IN_PATH = re.compile(
    r"/(?:(?:[wh]_\d+|q_[a-z0-9:]+|c_[a-z]+|f_[a-z]+|g_[a-z:]+|dpr_[a-z0-9.]+)(?:,|(?=/)))+(?=/)"
)  # Cloudinary
WEB_EXTENSIONS = [extension for known in FORMATS if known.on_web for extension in known.extensions]
PICTURE_NAME = re.compile(rf"\.(?:{'|'.join(WEB_EXTENSIONS)})$", re.IGNORECASE)
NEXT_ADDRESS = re.compile(r"[\s,]*([^\s,]\S*)")
WIDTH_IN_QUERY = ("w", "width", "imwidth", "sw", "wid")


@dataclass(frozen=True)
class Rendition:
    """One address of a picture, and how large a promise it makes."""

    url: str
    width: int | None  # pixels, where the page or the address says
    zoomed: bool = False  # the page's own "large" version


def srcset_candidates(srcset: str) -> Iterator[tuple[str, str]]:
    """(address, descriptor) of each candidate, by the HTML standard: an address may hold commas, but not end in one."""
    position = 0
    while (match := NEXT_ADDRESS.match(srcset, position)) is not None:
        address = match[1]
        position = match.end()
        if address.endswith(","):
            yield address.rstrip(","), ""
            continue
        end = srcset.find(",", position)
        end = len(srcset) if end < 0 else end
        yield address, srcset[position:end].strip()
        position = end


def _width_of(descriptor: str) -> int | None:
    match = re.search(r"(\d+)w\b", descriptor)
    return pixels_of(match[1]) if match else None


def _density_of(descriptor: str) -> float:
    match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)x", descriptor)
    return float(match[1]) if match else 1.0


def asset(url: str) -> str:
    """What all renditions of one picture have in common: `url` without the sizes that shops write into it."""
    parts = urlsplit(url)
    path = SIZE_IN_PATH.sub("", SIZE_IN_NAME.sub("", parts.path))
    query = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name.lower() not in SIZE_PARAMETERS])
    return urlunsplit(("", parts.netloc.lower(), path, query, ""))


def width_in(url: str) -> int | None:
    """The width in pixels that `url` names, or none."""
    parts = urlsplit(url)
    for name, value in parse_qsl(parts.query):
        if name.lower() in WIDTH_IN_QUERY and (width := pixels_of(value)) is not None:
            return width
    if (match := SIZE_IN_NAME.search(parts.path)) is not None and (digits := match[1] or match[2]):
        return int(digits)
    steps = SIZE_IN_PATH.search(parts.path)
    match = re.search(r"\bw_(\d+)", steps[0]) if steps else None
    return pixels_of(match[1]) if match else None


def is_sized(url: str) -> bool:
    """Whether `url` names a size: one that does not, beside others that do, is the original."""
    parts = urlsplit(url)
    named = any(name.lower() in SIZE_PARAMETERS for name, _ in parse_qsl(parts.query))
    return named or SIZE_IN_NAME.search(parts.path) is not None or SIZE_IN_PATH.search(parts.path) is not None


def largest(renditions: Iterable[Rendition]) -> Rendition:
    """The rendition that promises the most pixels; the first of equals."""
    candidates = list(renditions)
    sized = {asset(candidate.url) for candidate in candidates if is_sized(candidate.url)}

    def promise(candidate: Rendition) -> tuple[bool, bool, int]:
        original = not is_sized(candidate.url) and asset(candidate.url) in sized
        return candidate.zoomed, original, candidate.width or width_in(candidate.url) or 0

    return max(candidates, key=promise)


def picture_address(value: str | None, base: str) -> str | None:
    """The absolute http address in an attribute, or none for data, blobs, drawings and templates."""
    if value is None or not (value := value.strip()) or "{" in value or len(value) > MAX_CHARACTERS:
        return None
    try:
        url = urljoin(base, value)
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.lower().endswith((".svg", ".ico")):
        return None
    return urlunsplit(parts._replace(fragment=""))


def _sets_of(element: HtmlElement, base: str) -> Iterator[Rendition]:
    declared = pixels_of(element.get("width"))
    for attribute in SETS:
        for value, descriptor in srcset_candidates(element.get(attribute, "")):
            if (url := picture_address(value, base)) is not None:
                width = _width_of(descriptor)
                if width is None and declared is not None:
                    width = round(declared * _density_of(descriptor))
                yield Rendition(url, width)


def renditions_of(image: HtmlElement, base: str) -> list[Rendition]:
    """Every address an `img` offers: its own, those of a `picture` around it, and of a link around it to a picture."""
    found = list(_named(image, ZOOMED, base, zoomed=True))
    found.extend(_sets_of(image, base))
    # After the image's own set: of equals the first wins, and `source` is where AVIF made from the JPEG stands. (To libxml2 a
    # `source` has an end tag, so what follows it stands inside it.)
    for picture in image.iterancestors("picture"):
        for source in picture.iter("source"):
            found.extend(_sets_of(source, base))
    found.extend(_named(image, PLAIN, base, zoomed=False))
    for link in image.iterancestors("a"):
        if is_picture_link(link.get("href", "")):
            found.extend(_named(link, ("href",), base, zoomed=True))
    return found


def _named(element: HtmlElement, attributes: Iterable[str], base: str, *, zoomed: bool) -> Iterator[Rendition]:
    for attribute in attributes:
        if (url := picture_address(element.get(attribute), base)) is not None:
            yield Rendition(url, None, zoomed)


def is_picture_link(href: str) -> bool:
    """Whether a link leads to a picture and not to a page."""
    return PICTURE_NAME.search(href.partition("?")[0]) is not None
