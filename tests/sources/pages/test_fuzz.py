"""Pages, feeds and sitemaps broken at random: none may raise, and what is whole must still be read."""

import json
import random
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.sources.pages.crawled import CrawledPicture
from pipeline.sources.pages.feeds import read_listing
from pipeline.sources.pages.html import read_page
from pipeline.sources.pages.renditions import asset_key
from pipeline.web.urls import absolute_url

PAGES = Path(__file__).parent / "saved"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
URL = "https://shop.example/p/1"
JSON_LD = re.compile(r'(<script type="application/ld\+json"[^>]*>)(.*?)(</script>)', re.DOTALL)
WHOLE_ADDRESS = re.compile(r"https?://[^\s/?#]+[^\s#]*")

ODD_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1e308,
        float("nan"),
        float("-inf"),
        10**400,
        "",
        " ",
        "#",
        "?",
        "\x00",
        "\ud83d",
        "\ufeff",
        "//",
        "/",
    ),
    *(
        "http://[::1",
        "http://x:99999/a.jpg",
        "javascript:void(0)",
        "mailto:a@b",
        "data:image/png;base64,xx",
        "blob:x",
        "about:blank",
    ),
    *(
        "http://\ud83d.example/a.jpg",
        "http://exa mple/a.jpg",
        "/a b.jpg",
        "\\\\x\\a.jpg",
        "&amp;amp;amp;",
        "{width}",
        "9" * 5000,
    ),
    *(
        [],
        {},
        [[]],
        [{}],
        {"@id": {}},
        {"@id": []},
        {"@id": None},
        {"@list": {}},
        {"@value": []},
        {"url": {"url": {"url": None}}},
    ),
)
SIGNS = (
    *"\"'{}[],:;\\<>&=/#?%",
    "\x00",
    "\x0b",
    "\ufeff",
    "\ud83d",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<script>",
    "</",
    "//",
    "/*",
    "\n",
    "NaN",
)


def product() -> dict[str, Any]:
    """A product group with everything that is read of one."""
    variant = {
        "@type": "Product",
        "@id": "#v",
        "name": "Coat - red",
        "image": ["/red.jpg", {"@id": "#i"}],
        "offers": {"price": 1.5},
    }
    image = {"@type": "ImageObject", "@id": "#i", "contentUrl": "/i.jpg", "width": 800, "caption": "Coat", "license": "CC0"}
    steps = [{"@type": "ListItem", "position": 1, "item": {"@id": "/coats", "name": "Coats"}}]
    return {
        "@context": "https://schema.org",
        "@graph": [
            {"@type": ["ProductGroup"], "productGroupID": "1", "name": "Coat", "category": "Coats", "hasVariant": [variant]},
            {"@type": "Product", "isVariantOf": {"@id": "#v"}, "inProductGroupWithID": "1", "image": {"@list": ["/b.jpg"]}},
            {"@type": "Article", "headline": "Coats", "image": image, "datePublished": "2025-01-01", "keywords": "a,b"},
            {"@type": "BreadcrumbList", "itemListElement": steps},
            image,
        ],
    }


def swapped(value: Any, rng: random.Random, share: float) -> Any:
    """`value` with about `share` of what is in it replaced, wrapped or renamed."""
    if rng.random() < share:
        return rng.choice((rng.choice(ODD_VALUES), [value], {"@id": value}, {"@value": value}, {"name": value, "image": value}))
    if isinstance(value, dict):
        keys = [rng.choice(list(value)) if rng.random() < share else key for key in value]
        return {key: swapped(part, rng, share) for key, part in zip(keys, value.values(), strict=True)}
    if isinstance(value, list):
        return [swapped(part, rng, share) for part in value]
    return value


def nested(value: Any, rng: random.Random) -> Any:
    """`value`, deep inside lists or objects."""
    for _ in range(rng.choice((3, 30, 150))):
        value = (
            [value] if rng.random() < 0.5 else {rng.choice(("image", "url", "@id", "name", "hasVariant", "isVariantOf")): value}
        )
    return value


def cut_and_spoiled(text: str, rng: random.Random) -> str:
    """`text` with signs put in, taken out or doubled, and perhaps cut off."""
    for _ in range(rng.randint(1, 8)):
        place = rng.randint(0, len(text))
        until = min(len(text), place + rng.randint(0, 20))
        text = rng.choice(
            (
                text[:place] + rng.choice(SIGNS) + text[place:],
                text[:place] + text[until:],
                text[:until] + text[place:],
                text[:place] + str(rng.choice(ODD_VALUES)) + text[until:],
            )
        )
    return text[: rng.randint(0, len(text))] if rng.random() < 0.2 else text


def fuzzed_page(rng: random.Random, pages: list[str]) -> str:
    """A page with broken JSON-LD, and sometimes with broken markup as well."""
    if rng.random() < 0.5:
        script = json.dumps(swapped(product(), rng, rng.choice((0.02, 0.1, 0.3))))
        if rng.random() < 0.2:
            script = json.dumps(nested(product(), rng))
        script = script if rng.random() < 0.5 else cut_and_spoiled(script, rng)
        text = f'<script type="application/ld+json">{script}</script><img src="/detail.jpg">'
    else:
        text = rng.choice(pages)
        text = JSON_LD.sub(lambda match: match[1] + cut_and_spoiled(match[2], rng) + match[3], text)
    return cut_and_spoiled(text, rng) if rng.random() < 0.3 else text


def check(pictures: tuple[CrawledPicture, ...]) -> None:
    """What every picture must be that is listed at all."""
    for picture in pictures:
        assert WHOLE_ADDRESS.fullmatch(picture.url), picture.url
        assert absolute_url(picture.url, "") == picture.url
        assert asset_key(picture.url)
        assert all(isinstance(word, str) and word for word in (*picture.words, picture.title or "-", picture.alt or "-"))
        repr(picture).encode()


def fuzz(count: int, seed: int, broken: Callable[[random.Random], Any], read: Callable[[Any], None]) -> None:
    """Read `count` inputs, each made from a seed of its own."""
    for number in range(count):
        content = broken(random.Random(seed * 1_000_000 + number))
        try:
            read(content)
        except Exception as error:
            error.add_note(f"seed {seed}, number {number}: {content!r:.2000}")
            raise


def test_the_same_page_unbroken_is_read_whole() -> None:
    text = f'<script type="application/ld+json">{json.dumps(product())}</script><img src="/detail.jpg">'
    pictures = read_page(text, URL, headers_reserve=None, headers_nofollow=False, now=NOW).pictures
    assert [(picture.url.rpartition("/")[2], picture.title, picture.words) for picture in pictures] == [
        ("red.jpg", "Coat - red", ("Coats",)),
        ("i.jpg", "Coat - red", ("Coats",)),
        ("b.jpg", "Coat - red", ("Coats",)),
        ("detail.jpg", "Coat", ("Coats",)),
    ]


@pytest.mark.parametrize("count", [200, pytest.param(6000, marks=pytest.mark.slow)])
def test_pages_with_broken_json_ld_raise_nothing(count: int) -> None:
    pages = [path.read_text(encoding="utf-8") for path in sorted(PAGES.glob("*.html"))]

    def read(text: str) -> None:
        check(read_page(text, URL, headers_reserve=None, headers_nofollow=False, now=NOW).pictures)

    fuzz(count, 1, lambda rng: fuzzed_page(rng, pages), read)


@pytest.mark.parametrize("count", [100, pytest.param(2000, marks=pytest.mark.slow)])
def test_broken_feeds_and_sitemaps_raise_nothing(count: int) -> None:
    feeds = [path.read_text(encoding="utf-8") for path in sorted(PAGES.iterdir()) if path.suffix in (".xml", ".rss", ".atom")]
    item: dict[str, Any] = {"url": "/p", "title": "T", "image": "/a.jpg", "tags": ["x"], "content_html": '<img src="/c.jpg">'}
    item["attachments"] = [{"url": "/b.jpg", "mime_type": "image/jpeg"}]
    json_feed = {"version": "https://jsonfeed.org/version/1.1", "title": "Feed", "items": [item, dict(item)]}

    def broken(rng: random.Random) -> bytes:
        text = rng.choice([*feeds, json.dumps(swapped(json_feed, rng, 0.1)), "https://x.example/1\nhttps://x.example/2\n"])
        encoding = rng.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"))
        return cut_and_spoiled(text, rng).encode(encoding, "replace")

    def read(content: bytes) -> None:
        listing = read_listing(content, "https://shop.example/feed", NOW)
        if listing is not None:
            check(listing.pictures)
            assert all(WHOLE_ADDRESS.fullmatch(page) for page in (*listing.pages, *listing.sitemaps))

    fuzz(count, 2, broken, read)
