"""Renditions of one picture: which URLs show the same picture, and which is the largest that the page offers.

No URL is guessed.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pipeline.imaging.formats import FORMATS
from pipeline.web.urls import absolute_url
from pipeline.web.values import MAX_CHARACTERS, parse_pixels

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
# /12-large_default/dress.jpg (PrestaShop), /cache/0f83…/d/r/dress.jpg (Magento), /stencil/1280x1280/ (BigCommerce)
SIZE_IN_FOLDER = re.compile(
    r"(?<=/\d)(\d*)-[a-z0-9_]{1,40}_default(?:_2x)?(?=/)"
    r"|(?<=/product)/cache/(?:\d+/(?:small_image|image|thumbnail)/(?:\d+x\d*/)?)?[0-9a-f]{32}(?=/)"
    r"|(?<=/stencil)/(?:\d+w|\d+x\d+|original)(?=/)"
)
WEB_EXTENSIONS = [extension for known in FORMATS if known.on_web for extension in known.extensions]
PICTURE_NAME = re.compile(rf"\.(?:{'|'.join(WEB_EXTENSIONS)})$", re.IGNORECASE)
NEXT_ADDRESS = re.compile(r"[\s,]*([^\s,]\S*)")
DESCRIPTORS = re.compile(r"(?:\+?\d+(?:\.\d+)?[wxh]\s*)*", re.IGNORECASE)
LAST_DESCRIPTOR = re.compile(r"(.*?)\s+((?:\+?\d+(?:\.\d+)?[wxh]\s*)+)", re.IGNORECASE | re.DOTALL)
WIDTH_IN_QUERY = ("w", "width", "imwidth", "sw", "wid")


@dataclass(frozen=True)
class Rendition:
    """One URL of a picture, with what is known about its size."""

    url: str
    width: int | None  # in pixels, if the page or the URL states it
    zoomed: bool = False  # the page's own "large" version
    density: float = 1.0  # device pixels per CSS pixel, if only that is known
    lazy: bool = False  # loaded by a script


def srcset_candidates(srcset: str) -> Iterator[tuple[str, str]]:
    """(URL, descriptor) of each candidate by the HTML standard: a URL may contain commas but not end with one.

    Beyond the standard, a URL may contain spaces, and the comma after a descriptor may be missing.
    """
    position = 0
    while (match := NEXT_ADDRESS.match(srcset, position)) is not None:
        address = match[1]
        position = match.end()
        if address.endswith(","):
            yield address.rstrip(","), ""
            continue
        end = srcset.find(",", position)
        end = len(srcset) if end < 0 else end
        described = srcset[position : min(end, position + MAX_CHARACTERS)].strip()
        known = DESCRIPTORS.match(described)
        if known is not None and not known[0] and (spaced := LAST_DESCRIPTOR.fullmatch(f"{address} {described}")) is not None:
            address, described = spaced[1], spaced[2].strip()
        elif known is not None and not known[0] and names_picture(described):
            address, described = f"{address} {described}", ""
        elif known is not None and known[0] and len(known[0]) < len(described):
            end = srcset.index(described, position) + len(known[0])
            described = known[0].strip()
        position = end
        if not DESCRIPTORS.fullmatch(address):  # a template with an empty URL
            yield address, described


def srcset_renditions(srcset: str, base: str, declared_px: int | None, *, lazy: bool = False) -> Iterator[Rendition]:
    """The renditions in a `srcset`; `declared_px` is the declared width of the element."""
    offered = [(url, text) for value, text in srcset_candidates(srcset) if (url := picture_url(value, base)) is not None]
    named = next(
        (width for url, text in offered if _density_of(text) == 1 and (width := width_from_url(url)) is not None), None
    )
    single_px = declared_px or named  # width of the candidate of density 1
    for url, text in offered:
        density = _density_of(text)
        width = _width_of(text)
        if width is None and single_px is not None:
            width = round(single_px * density)
        yield Rendition(url, width, density=density, lazy=lazy)


def _width_of(descriptor: str) -> int | None:
    match = re.search(r"(\d+)w\b", descriptor, re.IGNORECASE)
    return parse_pixels(match[1]) if match else None


def _density_of(descriptor: str) -> float:
    match = re.fullmatch(r"\+?(\d{1,3}(?:\.\d{1,6})?)x", descriptor, re.IGNORECASE)
    return float(match[1]) if match else 1.0


def asset_key(url: str) -> str:
    """A key that all renditions of one picture share: `url` without the sizes that shops write into it."""
    parts = urlsplit(url)
    path = SIZE_IN_FOLDER.sub(r"\1", SIZE_IN_PATH.sub("", SIZE_IN_NAME.sub("", parts.path)))
    query = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name.lower() not in SIZE_PARAMETERS])
    return urlunsplit(("", parts.netloc.lower(), path, query, ""))


def width_from_url(url: str) -> int | None:
    """The width in pixels that `url` states, or none."""
    parts = urlsplit(url)
    for name, value in parse_qsl(parts.query):
        if name.lower() in WIDTH_IN_QUERY and (width := parse_pixels(value)) is not None:
            return width
    if (match := SIZE_IN_NAME.search(parts.path)) is not None and (digits := match[1] or match[2]):
        return int(digits)
    steps = SIZE_IN_PATH.search(parts.path)
    match = re.search(r"\bw_(\d+)", steps[0]) if steps else None
    return parse_pixels(match[1]) if match else None


def has_size(url: str) -> bool:
    """Whether `url` states a size. One that does not, beside others that do, is the original."""
    parts = urlsplit(url)
    named = any(name.lower() in SIZE_PARAMETERS for name, _ in parse_qsl(parts.query))
    return named or any(size.search(parts.path) is not None for size in (SIZE_IN_NAME, SIZE_IN_PATH, SIZE_IN_FOLDER))


def largest_rendition(renditions: Iterable[Rendition]) -> Rendition:
    """The rendition with the most pixels; the first of equals."""
    candidates = list(renditions)
    sized = {asset_key(candidate.url) for candidate in candidates if has_size(candidate.url)}

    def rank(candidate: Rendition) -> tuple[bool, bool, int, float]:
        original = not has_size(candidate.url) and asset_key(candidate.url) in sized
        return candidate.zoomed, original, candidate.width or width_from_url(candidate.url) or 0, candidate.density

    return max(candidates, key=rank)


def picture_url(value: str | None, base: str) -> str | None:
    """The absolute http(s) URL in an attribute; none for data, blobs, SVG, icons, templates and the page itself."""
    if value is None or "{" in value or (url := absolute_url(value, base)) is None:
        return None
    parts = urlsplit(url)
    if parts.path.lower().endswith((".svg", ".svgz", ".ico")) or (parts.path in ("", "/") and not parts.query):
        return None
    return None if url == base.partition("#")[0] else url


def names_picture(href: str) -> bool:
    """Whether the path of `href` has the extension of a picture."""
    return PICTURE_NAME.search(re.split(r"[?#]", href.strip(), maxsplit=1)[0]) is not None
