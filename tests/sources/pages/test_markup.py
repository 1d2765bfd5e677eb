"""What shops do to the pictures on their pages, each case with the pictures that must come of it."""

import json
from datetime import UTC, datetime

import pytest

from pipeline.sources.pages.crawled import CrawledPicture
from pipeline.sources.pages.html import Page, read_page

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SHOP = "https://shop.example"
URL = f"{SHOP}/p/1"


def read(text: str) -> Page:
    return read_page(text, URL, headers_reserve=None, headers_nofollow=False, now=NOW)


def addresses(pictures: tuple[CrawledPicture, ...]) -> list[str]:
    return [picture.url.removeprefix(SHOP) for picture in pictures]


def three(markup: str) -> str:
    return "".join(markup.replace("N", str(number)) for number in range(3))


COATS = ["/coat0.jpg", "/coat1.jpg", "/coat2.jpg"]


@pytest.mark.parametrize(
    "attribute", ["data-src", "data-lazy-src", "data-lazy", "data-original", "data-image", "data-srcset", "data-zoom-image"]
)
@pytest.mark.parametrize(
    "placeholder", ["/i/loading.gif", "/i/shared.jpg", "/i/shared_1200x.jpg", "data:image/gif;base64,R0lGODlh"]
)
def test_lazy_pictures_behind_one_placeholder_are_all_listed(attribute: str, placeholder: str) -> None:
    text = three(f'<img src="{placeholder}" {attribute}="/coatN.jpg" width="300" height="300">')
    assert addresses(read(text).pictures) == COATS


@pytest.mark.parametrize(
    "markup",
    [
        '<img src="/blank.gif" width="1" height="1" data-src="/coatN.jpg">',
        '<img src="/px.gif" srcset="/px.gif 1w, /coatN.jpg 800w">',
        '<img src="/i/first.png" class="lazy"><noscript><img src="/coatN.jpg"></noscript>',
        "<noscript>&lt;img src='/coatN.jpg'&gt;</noscript>",
        '<picture><source data-srcset="/coatN.jpg 800w"><img src="/i/loading.gif"></picture>',
        '<a href="/coatN.jpg"><img src="/i/loading.gif" width="80" height="80"></a>',
        '<div style="background-image: url(&quot;/coatN.jpg&quot;)"></div>',
        '<div style="background: #fff url(/coatN.jpg) no-repeat"></div>',
        '<div data-bg="/coatN.jpg"></div>',
        '<picture><source srcset="/small.webp 10w"><source srcset="/coatN.jpg 800w"></picture>',
        '<div data-src="/coatN.jpg"><a href="#"><img src="/tN.jpg" width="60"></a></div>',
        '<amp-img src="/coatN.jpg" width="300" height="300"></amp-img>',
    ],
)
def test_each_of_three_pictures_is_listed(markup: str) -> None:
    assert addresses(read(three(markup)).pictures) == COATS


def test_a_preview_that_the_structured_data_names_is_the_picture_itself() -> None:
    text = """<script type="application/ld+json">{"@type": "Product", "name": "Coat", "image": "/full/coat.jpg"}</script>
    <img src="/full/coat.jpg" data-original="/original/coat.jpg">"""
    assert len(read(text).pictures) == 1


def test_lazy_microdata_shows_what_is_loaded() -> None:
    image = '<img itemprop="image" src="/i/first.png" data-src="/coatN.jpg">'
    item = f'<div itemscope itemtype="http://schema.org/Product">{image}</div>'
    assert addresses(read(three(item)).pictures) == COATS


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ('<img src="/a.jpg" srcset="/a.jpg 1x, /b.jpg 2x, /c.jpg 3x">', "/c.jpg"),
        ('<img srcset="/a_300x.jpg 1x, /b.jpg 2X">', "/b.jpg"),
        ('<img width="300" srcset="/a.jpg 1x, /b.jpg 1.5x">', "/b.jpg"),
        ('<a href="/large.jpg"><img src="/thumb.jpg" width="80" height="80"></a>', "/large.jpg"),
        ('<a href="/large.JPG?v=1#top"><img src="/thumb.jpg" width="80"></a>', "/large.JPG?v=1"),
        ('<a href="#" data-image="/m.jpg" data-zoom-image="/xl.jpg"><img src="/t.jpg" width="60"></a>', "/xl.jpg"),
        (
            '<picture><source type="image/jxl" srcset="/a.jxl 2000w"><source type="image/avif" srcset="/a.avif 900w">'
            '<img src="/a.jpg"></picture>',
            "/a.avif",
        ),
        ('<picture><source srcset="/a.jp2 2000w"><source srcset="/a.webp 900w"><img src="/a.jpg"></picture>', "/a.webp"),
        ('<img src="data:," data-src="/a_{width}x.jpg" data-widths="[180, 2048, 360]">', "/a_2048x.jpg"),
        ('<img src="/a.jpg" data-lazy="true" data-zoom="1" data-image="12345" data-src="#">', "/a.jpg"),
        ('<img src="/a.jpg" data-a-dynamic-image=\'{"/b.jpg":[466,466],"/c.jpg":[1000,1000]}\'>', "/c.jpg"),
        ('<link rel="preload" as="image" imagesrcset="/a.jpg 400w, /b.jpg 1600w" imagesizes="50vw">', "/b.jpg"),
        ('<meta name="twitter:image" content="/a.jpg">', "/a.jpg"),
        ('<body><div><meta property="og:image" content="/a.jpg"></div>', "/a.jpg"),
        ('<meta property="og:image" content="/a.jpg"><meta property="og:image:secure_url" content="javascript:x">', "/a.jpg"),
        ('<base target="_blank"><base href="/sub/"><img src="a.jpg">', "/sub/a.jpg"),
        ('<a href="javascript:void(0)"><img src="/a.jpg"></a>', "/a.jpg"),
        ("""<a href="javascript:zoom('/xl.jpg')"><img src="/t.jpg" width="60"></a>""", "/xl.jpg"),
        ("""<a href="#" rel="{gallery:'g', smallimage:'/m.jpg', largeimage:'/xl.jpg'}"><img src="/t.jpg"></a>""", "/xl.jpg"),
        ("""<img src="/t.jpg" data-cloudzoom="zoomImage:'/xl.jpg'">""", "/xl.jpg"),
        (
            '<img src="/t.jpg" width="94" data-image-medium-src="/m.jpg" data-image-large-src="/xl.jpg">',
            "/xl.jpg",
        ),  # PrestaShop
        ('<img src="/t.jpg" data-hires="/xl.jpg" data-hover-large="/back.jpg">', "/xl.jpg"),
        ('<a data-fancybox="gallery" href="/xl.jpg"></a>', "/xl.jpg"),
        ('<svg><image xlink:href="/a.jpg"/></svg>', "/a.jpg"),
        ('<header><img src="/logo.jpg"></header><article><header><img src="/a.jpg"></header></article>', "/a.jpg"),
        ('<a href="/p/1#zoom"><img src="/a.jpg"></a>', "/a.jpg"),
    ],
)
def test_the_largest_that_can_be_decoded_is_listed(text: str, url: str) -> None:
    assert addresses(read(text).pictures) == [url]


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("/red dress 1.jpg", "/red%20dress%201.jpg"),
        (" \n/red.jpg\t", "/red.jpg"),
        ("/a.jpg?v=1&amp;amp;w=2", "/a.jpg?v=1&w=2"),
        ("\\img\\a.jpg", "/img/a.jpg"),
        ("//shop.example/a.jpg", "/a.jpg"),
        ("/w_4,h_3/a.jpg", "/w_4,h_3/a.jpg"),
    ],
)
def test_an_address_is_read_as_browsers_read_it(written: str, url: str) -> None:
    thing = f'<script type="application/ld+json">{{"@type": "Product", "image": "{written}"}}</script>'
    for text in (f'<img src="{written}">', f'<meta property="og:image" content="{written}">', f'<img srcset="{written} 1x">'):
        assert addresses(read(text).pictures) == [url]
    assert addresses(read(thing.replace("\\", "\\\\")).pictures) == [url]


NO_ADDRESSES = [
    *("", " ", "#", "#top", "?", "/", "javascript:void(0)", "mailto:a@b.example", "tel:1", "data:image/gif;base64,R0lGODlh"),
    *(
        "blob:https://shop.example/x",
        "about:blank",
        "http://[::1",
        "http://[::1/a.jpg",
        "http://x:99999/a.jpg",
        "http://x:y/a.jpg",
    ),
    *("http:///a.jpg", "http://exa mple/a.jpg", "ftp://x.example/a.jpg", "http://\ufffd/a.jpg", "/a.svg", f"/{'a' * 9000}.jpg"),
]


@pytest.mark.parametrize("written", NO_ADDRESSES)
def test_what_is_no_address_is_no_row_and_no_link(written: str) -> None:
    thing = f'{{"@type": "Product", "image": ["{written}", {{"url": "{written}"}}, {{"@id": "{written}"}}]}}'
    text = f"""<script type="application/ld+json">{thing}</script><img src="{written}"><img data-src="{written}">
    <img srcset="{written} 2x"><meta property="og:image" content="{written}">
    <div style="background-image:url({written})"></div>"""
    assert read(text).pictures == ()
    if written not in ("?", "/", "/a.svg"):
        assert read(f'<a href="{written}">x</a>').links == ()


def test_a_gallery_in_an_attribute_is_read() -> None:
    text = """<div data-gallery='[{"src": "/a.jpg", "thumb": "/a-t.jpg"}, {"url": "/b.jpg"}]'></div>
    <div data-images='["/c.jpg", "no picture", 7, null]' data-options='{"loop": true}' data-broken='[{"src": "/d.jpg"'></div>"""
    assert addresses(read(text).pictures) == ["/a.jpg", "/b.jpg", "/c.jpg"]


def test_swatches_and_icons_are_still_left_out() -> None:
    text = """<span class="swatch" style="background-image:url(/red.jpg)"></span>
    <i style="width: 20px; height: 20px; background-image: url(/s.jpg)"></i><img src="/s.png" width="24" height="24">
    <nav><div style="background-image:url(/n.jpg)"></div></nav><a href="/p/2"><img src="/other.jpg"></a>"""
    assert read(text).pictures == ()


@pytest.mark.parametrize(
    "text",
    [
        f'<div style="{"background:" * 100_000}"></div>',
        f'<img srcset="a b{" 1x" * 300_000}!">',
        f'<img srcset="{"a b, " * 20_000}">',
        f"<div data-list='{'[' * 100_000}\"a.jpg\"'></div>",
        f'<script type="application/ld+json">{"{[}" * 100_000}</script>',
        "".join(f'<img src="/{number}.gif" data-src="/a.jpg">' for number in range(5_000)),
        "<noscript>&lt;img&gt;</noscript>" * 5_000,
    ],
    ids=["style", "descriptors", "candidates", "list", "brackets", "placeholders", "noscript"],
)
@pytest.mark.timeout(60)
def test_markup_written_to_take_long_does_not(text: str) -> None:
    assert len(read(text).pictures) <= 500


def test_a_shopify_product_kept_as_json_in_a_script() -> None:
    product = '{"images": ["//shop.example/a.jpg?v=1", "//shop.example/b.jpg"], "media": [{"src": "//shop.example/a.jpg?v=1"}]}'
    script = f'<script type="application/json" id="ProductJson-1">{product}</script>'
    other = '<script type="application/json" id="related">{"images": ["//shop.example/c.jpg"]}</script>'
    assert addresses(read(script + other).pictures) == ["/a.jpg?v=1", "/b.jpg"]


def test_a_gallery_of_magento() -> None:
    cache = "/catalog/product/cache/0f831c1845fc143d00d6d1ebc49f446a"
    data = [{"thumb": f"{cache}/{name}.jpg", "full": f"/catalog/product/{name}.jpg", "isMain": name == "a"} for name in "ab"]
    content = json.dumps({"[data-gallery-role=gallery-placeholder]": {"mage/gallery/gallery": {"data": data}}})
    script = f'<script type="text/x-magento-init">{content}</script>'
    found = addresses(read(f'<img src="{cache.replace("0f", "1e")}/a.jpg">{script}').pictures)
    assert found == ["/catalog/product/a.jpg", "/catalog/product/b.jpg"]


def test_the_sizes_of_prestashop_are_one_picture() -> None:
    sizes = {"small_default": {"url": "/12-small_default/a.jpg", "width": 98}}
    sizes |= {"large_default": {"url": "/12-large_default/a.jpg", "width": 800}}
    text = f"<div data-product='{json.dumps({'bySize': sizes})}'></div><img src=\"/13-home_default/a.jpg\">"
    assert sorted(addresses(read(text).pictures)) == ["/12-large_default/a.jpg", "/13-home_default/a.jpg"]
