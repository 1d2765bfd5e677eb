from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.sources.web.feeds import Listing, read_listing

PAGES = Path(__file__).parent / "pages"
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def listing(name: str, url: str) -> Listing:
    found = read_listing((PAGES / name).read_bytes(), url, NOW)
    assert found is not None
    return found


def test_a_social_platforms_feed() -> None:
    found = listing("mastodon.rss", "https://social.example/@coats.rss")
    coat, hat = found.pictures
    assert coat.url == "https://files.social.example/media/original/coat.jpg"
    assert coat.alt == "A long grey wool coat on a hanger"
    assert coat.published == "2025-03-04T10:15:00+00:00"
    assert coat.words == ("coat", "handmade")
    assert coat.page == "https://social.example/@coats/1"
    assert (hat.url, hat.title, hat.published) == (
        "https://files.social.example/media/original/hat.png",
        "With an enclosure",
        None,
    )
    assert found.pages == ("https://social.example/@coats/1", "https://social.example/@coats/2")


def test_an_atom_feed_with_licences_sizes_and_thumbnails() -> None:
    found = listing("flickr.atom", "https://photos.example/feed")
    assert [(picture.url.rpartition("/")[2], picture.licence, picture.published) for picture in found.pictures] == [
        ("1_b.jpg", "CC-BY-2.0", "2024-11-02T12:00:00+00:00"),
        ("1_m.jpg", "CC-BY-2.0", "2024-11-02T12:00:00+00:00"),
        ("2_o.jpg", "CC-BY-NC-SA-4.0", None),  # the largest of its group
        ("3_t.jpg", None, None),  # a thumbnail, where there is nothing else
    ]
    assert found.pictures[0].words == ("jacket",)
    assert found.kind == "feed"


def test_pictures_inside_the_html_of_an_entry() -> None:
    found = listing("wordpress.rss", "https://blog.example/feed")
    [picture] = found.pictures
    assert picture.url == "https://blog.example/wp/a-768x1024.jpg"
    assert (picture.alt, picture.title, picture.words) == ("A dress", "Capsule wardrobe", ("Dresses",))
    assert picture.licence == "CC-BY-SA-4.0"  # the channel's


def test_a_sitemap_with_pictures() -> None:
    found = listing("sitemap.xml", "https://shop.example/sitemap.xml")
    assert found.pages == ("https://shop.example/p/1", "https://shop.example/p/2")
    bag, second = found.pictures
    assert (bag.url, bag.title, bag.alt, bag.licence) == (
        "https://cdn.example/1.jpg",
        "Bucket bag",
        "In tan leather",
        "CC0-1.0",
    )
    assert (second.url, second.page) == ("https://cdn.example/1b.jpg", "https://shop.example/p/1")


def test_an_index_of_sitemaps() -> None:
    found = listing("sitemap_index.xml", "https://shop.example/sitemap.xml")
    assert found.sitemaps == ("https://shop.example/products.xml.gz", "https://shop.example/pages.xml")


LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;"><!ENTITY e SYSTEM "file:///etc/passwd">]>
<rss><channel><item><title>&d;&e;</title><link>https://x.example/1</link>
<enclosure url="https://x.example/1.jpg" type="image/jpeg"/></item></channel></rss>"""


def test_entities_are_not_unfolded_and_no_file_is_read() -> None:
    found = read_listing(LAUGHS, "https://x.example/feed", NOW)
    assert found is not None
    [picture] = found.pictures
    assert picture.url == "https://x.example/1.jpg"
    assert "ha" not in (picture.title or "")
    assert "root" not in (picture.title or "")


@pytest.mark.parametrize(
    "content", [b"", b"<", b"not xml", b"<html><body/></html>", b"\x00\xff", b"<other/>", b"<?xml version='1.0'?>"]
)
def test_what_is_no_listing_is_none(content: bytes) -> None:
    assert read_listing(content, "https://x.example/", NOW) is None


@pytest.mark.parametrize(
    "content",
    [
        b"<rss/>",
        b"<rss><channel><item/></channel></rss>",
        b"<feed><entry><link/><content/></entry></feed>",
        b"<urlset><url/><url><loc/></url></urlset>",
        b"<sitemapindex><sitemap/></sitemapindex>",
        b"<rss><channel><item><enclosure/><enclosure url='http://[' type='image/png'/></item></channel></rss>",
        b"<rss><channel><item><enclosure url='/cut.jp",
    ],
)
def test_empty_and_broken_listings_break_nothing(content: bytes) -> None:
    found = read_listing(content, "https://x.example/", NOW)
    assert found is None or found.pictures == ()
