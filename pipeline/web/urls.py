"""URLs as pages, feeds and lists write them, made into URLs that can be requested."""

import html
import re
from urllib.parse import urljoin, urlsplit

from w3lib.url import safe_url_string

MAX_URL_CHARACTERS = 8192
IGNORED_IN_URLS = re.compile(r"[\t\r\n]")  # as browsers do
BLANK_OR_CONTROL = re.compile(r"[\x00-\x20\x7f]")
FORBIDDEN_IN_HOSTS = re.compile(r'[\x00-\x20\x7f"<>\\^`{|}%\ufffd]')
AMPERSANDS = re.compile(r"&(?:amp|#0*38|#x0*26);", re.IGNORECASE)
ENTITIES = re.compile(r"&(?:quot|apos|lt|gt|#\d{1,7}|#x[0-9a-f]{1,6});", re.IGNORECASE)
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SEVERAL_URLS = re.compile(r"\s\w+://")
LONE_SURROGATES = re.compile(r"[\ud800-\udfff]")


def absolute_url(text: str | None, base: str) -> str | None:
    """The http(s) URL that `text` means on a page at `base`, without its fragment; None when there is none but that page's.

    Read as browsers read an attribute: blanks around it are dropped, blanks inside are encoded, backslashes are slashes.
    """
    if text is None or len(text) > MAX_URL_CHARACTERS or not (written := _unescaped(text)) or written.startswith("#"):
        return None
    try:
        url = urljoin(base, written)
        parts = urlsplit(url)
        requestable = parts.scheme in ("http", "https") and parts.hostname and not FORBIDDEN_IN_HOSTS.search(parts.netloc)
        if not requestable or parts.port == 0:  # reading a port out of range raises
            return None
        return _encoded(parts._replace(fragment="").geturl())
    except ValueError:  # brackets that are no IPv6 address, a port of six digits, a host that nobody can spell
        return None


def blanks_encoded(url: str) -> str:
    """`url` with the spaces in it as %20, as browsers send it; what else is wrong with it stays for `checked_url` to refuse."""
    url = url.strip()
    several = SEVERAL_URLS.search(url) is not None
    if " " not in url or several or not url.lower().startswith(("http://", "https://")) or CONTROL.search(url):
        return url
    try:
        return _encoded(url)
    except ValueError:
        return url


def _encoded(url: str) -> str:
    """`url` with the blanks and control characters in it percent-encoded; any other URL as it is. Raises ValueError."""
    return safe_url_string(LONE_SURROGATES.sub("\ufffd", url)) if BLANK_OR_CONTROL.search(url) else url


def _unescaped(text: str) -> str:
    """`text` without what has no meaning in a URL: entities escaped twice, line ends, backslashes, half characters."""
    text = IGNORED_IN_URLS.sub("", text).strip("".join(map(chr, range(33))))
    if "&" in text:
        for _ in range(3):
            text = AMPERSANDS.sub("&", text)
        text = ENTITIES.sub(lambda entity: html.unescape(entity[0]), text)
    place, mark, query = text.partition("?")
    return LONE_SURROGATES.sub("\ufffd", place.replace("\\", "/") + mark + query)
