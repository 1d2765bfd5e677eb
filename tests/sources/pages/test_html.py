from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.sources.pages.crawled import CrawledPicture
from pipeline.sources.pages.html import Page, read_page

PAGES = Path(__file__).parent / "saved"
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def page(name: str, url: str) -> Page:
    text = (PAGES / name).read_text(encoding="utf-8")
    return read_page(text, url, headers_reserve=None, headers_nofollow=False, now=NOW)


def by_url(found: Page) -> dict[str, CrawledPicture]:
    return {picture.url: picture for picture in found.pictures}


def test_a_shopify_product_in_its_largest_renditions() -> None:
    found = page("shopify_product.html", "https://northernloom.example/products/linen-camp-collar-shirt")
    files = "https://northernloom.example/cdn/shop/files"
    pictures = by_url(found)
    assert list(pictures) == [
        f"{files}/camp-shirt-front.jpg?v=1714&width=2400",  # out of JSON-LD, OpenGraph and srcset
        f"{files}/camp-shirt-navy.jpg?v=1714&width=1920",
        f"{files}/camp-shirt-back_1080x.jpg?v=1715",  # lazy, behind a placeholder and a template
    ]
    front, navy, _ = pictures.values()
    assert (front.title, front.price, front.currency) == ("Linen Camp Collar Shirt - Sand / S", 89.0, "EUR")
    assert front.alt == "Sand linen shirt with a camp collar, front"
    assert (navy.title, navy.price) == ("Linen Camp Collar Shirt - Navy / S", 79.0)
    assert "https://northernloom.example/collections/dresses" in found.links
    assert not any("account" in link for link in found.links)  # rel=nofollow


def test_a_woocommerce_product_at_its_originals() -> None:
    found = page("woocommerce_product.html", "https://ateliernord.example/produkt/wickelkleid/")
    uploads = "https://ateliernord.example/wp-content/uploads/2024/03"
    pictures = by_url(found)
    assert list(pictures) == [f"{uploads}/wickelkleid.jpg", f"{uploads}/wickelkleid-seite.jpg"]
    front = pictures[f"{uploads}/wickelkleid.jpg"]
    assert front.words == ("Damen > Kleider", "Kleider", "Start")
    assert (front.title, front.price, front.currency) == ("Wickelkleid aus Viskose", 129.9, "EUR")
    assert front.alt == "Wickelkleid von vorn"


def test_microdata_base_picture_elements_and_zoom() -> None:
    found = page("microdata_product.html", "https://harbourlast.example/men/boots/42")
    assert list(by_url(found)) == [
        "https://harbourlast.example/media/catalog/product/boot.jpg",
        "https://harbourlast.example/media/boot-side-large.avif",
    ]
    boot = found.pictures[0]
    assert (boot.title, boot.price, boot.currency, boot.alt) == ("Suede Desert Boot", 1295.5, "GBP", "Brown desert boot")
    assert boot.words == ("Ankle Boots", "Men")
    assert found.links == (
        "https://harbourlast.example/men",
        "https://harbourlast.example/men/ankle-boots",
        "https://harbourlast.example/men/ankle-boots?page=2",
        "https://elsewhere.example/",
    )


def test_a_magazine_with_a_licence_for_each_picture() -> None:
    found = page("magazine_article.html", "https://mag.example/fashion/pleated-skirt")
    licences = {picture.url.rpartition("/")[2]: picture.licence for picture in found.pictures}
    assert licences == {"pleats.jpg": "CC-BY-SA-3.0-DE", "street-1800.webp": "CC0-1.0", "detail.jpg": "CC-BY-NC-4.0"}
    hero, street, detail = found.pictures
    assert (hero.published, hero.alt) == ("2025-02-03", "Pleats on the runway")
    assert hero.url == "https://mag.example/img/hero/pleats.jpg"
    assert street.published == "2025-02-03"
    assert street.title == "The return of the pleated skirt"
    assert "w_1600" in detail.url
    assert detail.words == ("Skirts", "pleats", "runway", "paris")
    assert found.feeds == ("https://mag.example/feed.xml",)
    assert found.links[0] == "https://mag.example/fashion/pleated-skirt?page=2"


def test_a_reserved_page_is_recorded_and_not_followed() -> None:
    found = page("reserved_page.html", "https://handsoff.example/")
    assert [(picture.status, picture.reason) for picture in found.pictures] == [("refused", "robots meta tag: noimageai")]
    assert found.links == ()


def test_a_reservation_in_the_headers_counts_as_one_in_the_page() -> None:
    found = read_page("<p><img src=/a.jpg>", "https://x.example/", headers_reserve="because", headers_nofollow=True, now=NOW)
    assert [(picture.url, picture.status, picture.reason) for picture in found.pictures] == [
        ("https://x.example/a.jpg", "refused", "because")
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "<",
        "\x00\x01",
        "<html>",
        "<?xml version='1.0' encoding='latin-1'?><html><body><p>x</p></body></html>",
        "<div>" * 20_000,
        "<script type='application/ld+json'>{</script><script type='application/ld+json'>[[[[</script>",
        "<script type='application/ld+json'>" + "[" * 5_000 + "</script>",
        '<script type="application/ld+json">{"@type": "Product", "image": [null, 3, {"url": {"@id": 7}}, []]}</script>',
        '<script type="application/ld+json">{"@type": ["Product", 3], "image": "http://[", "name": {"@value": null}}</script>',
        "<img><img src=''><img src='data:image/png;base64,xx'><img srcset=',,,'><img src='http://[::1'>",
        "<meta property='og:image'><meta property='og:image:width' content='9'><meta content='x'>",
        "<a href='http://[x'>x</a><base href='http://[y'>",
    ],
)
def test_broken_pages_break_nothing(text: str) -> None:
    assert read_page(text, "https://x.example/", headers_reserve=None, headers_nofollow=False, now=NOW).pictures == ()


def test_one_broken_script_costs_only_itself() -> None:
    text = """<script type="application/ld+json">{broken</script>
    <script type="application/ld+json">{"@type": "Product", "name": "Cap", "image": "/cap.jpg"}</script>"""
    found = read_page(text, "https://x.example/", headers_reserve=None, headers_nofollow=False, now=NOW)
    assert [(picture.url, picture.title) for picture in found.pictures] == [("https://x.example/cap.jpg", "Cap")]
