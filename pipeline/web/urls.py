"""Normalisation of the URLs in pages, feeds and lists."""

import html
import re
from urllib.parse import urljoin, urlsplit

from w3lib.url import safe_url_string

MAX_URL_CHARACTERS = 8192
IGNORED = re.compile(r"[\t\r\n]")  # as browsers do
SPACE_OR_CONTROL = re.compile(r"[\x00-\x20\x7f]")
FORBIDDEN_IN_HOSTS = re.compile(r'[\x00-\x20\x7f"<>\\^`{|}%\ufffd]')
AMPERSANDS = re.compile(r"&(?:amp|#0*38|#x0*26);", re.IGNORECASE)
ENTITIES = re.compile(r"&(?:quot|apos|lt|gt|#\d{1,7}|#x[0-9a-f]{1,6});", re.IGNORECASE)
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SECOND_URL = re.compile(r"\s\w+://")
LONE_SURROGATES = re.compile(r"[\ud800-\udfff]")


def absolute_url(text: str | None, base: str) -> str | None:
    """The http(s) URL that `text` refers to on a page at `base`, without its fragment.

    None if it is invalid or only a fragment.

    Parsed as browsers parse an attribute: surrounding spaces are dropped, inner ones encoded, and backslashes become slashes.
    """
    if text is None or len(text) > MAX_URL_CHARACTERS or not (reference := _clean_reference(text)) or reference.startswith("#"):
        return None
    try:
        url = urljoin(base, reference)
        parts = urlsplit(url)
        requestable = parts.scheme in ("http", "https") and parts.hostname and not FORBIDDEN_IN_HOSTS.search(parts.netloc)
        if not requestable or parts.port == 0:  # accessing a port out of range raises
            return None
        return _percent_encode(parts._replace(fragment="").geturl())
    except ValueError:  # an invalid IPv6 address, port or host
        return None


def encode_spaces(url: str) -> str:
    """`url` with its spaces as %20, as browsers send it; `checked_url` reports any other fault."""
    url = url.strip()
    several = SECOND_URL.search(url) is not None
    if " " not in url or several or not url.lower().startswith(("http://", "https://")) or CONTROL.search(url):
        return url
    try:
        return _percent_encode(url)
    except ValueError:
        return url


def _percent_encode(url: str) -> str:
    """`url` with spaces and control characters percent-encoded. Raises ValueError."""
    return safe_url_string(LONE_SURROGATES.sub("\ufffd", url)) if SPACE_OR_CONTROL.search(url) else url


def _clean_reference(text: str) -> str:
    """`text` without doubly escaped entities, line ends, backslashes and lone surrogates."""
    text = IGNORED.sub("", text).strip("".join(map(chr, range(33))))
    if "&" in text:
        for _ in range(3):
            text = AMPERSANDS.sub("&", text)
        text = ENTITIES.sub(lambda entity: html.unescape(entity[0]), text)
    path, mark, query = text.partition("?")
    return LONE_SURROGATES.sub("\ufffd", path.replace("\\", "/") + mark + query)
