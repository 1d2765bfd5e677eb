import html
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.sources.pages.feeds import Listing, read_listing

PAGES = Path(__file__).parent / "saved"
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


def test_entities_are_not_expanded_and_no_file_is_read() -> None:
    found = read_listing(LAUGHS, "https://x.example/feed", NOW)
    assert found is not None
    [picture] = found.pictures
    assert picture.url == "https://x.example/1.jpg"
    assert "ha" not in (picture.title or "")
    assert "root" not in (picture.title or "")


@pytest.mark.parametrize(
    "content", [b"", b"<", b"not xml", b"<html><body/></html>", b"\x00\xff", b"<other/>", b"<?xml version='1.0'?>"]
)
def test_content_that_is_no_listing_is_none(content: bytes) -> None:
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


SITEMAP = '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url><loc>https://shop.example/a</loc></url></urlset>'
DECLARED = '<?xml version="1.0" encoding="UTF-8"?>'


@pytest.mark.parametrize(
    "content",
    [
        SITEMAP.encode(),
        (DECLARED + SITEMAP).encode("utf-8-sig"),
        ("\ufeff\n\n" + DECLARED + SITEMAP).encode("utf-8-sig"),
        (DECLARED + SITEMAP).encode("utf-16"),
        (DECLARED.replace("UTF-8", "UTF-16") + SITEMAP).encode("utf-16"),
        (DECLARED.replace("UTF-8", "UTF-16") + SITEMAP).encode("utf-16-be"),
        (DECLARED.replace("UTF-8", "utf-16") + SITEMAP).encode(),  # as .NET's StringWriter declares UTF-8
        (DECLARED.replace("UTF-8", "latin-1") + SITEMAP.replace("</urlset>", "<x>é</x></urlset>")).encode("latin-1"),
        (DECLARED.replace("UTF-8", "no-such") + SITEMAP).encode(),
        (DECLARED + SITEMAP.replace("</urlset>", "<x>é</x></urlset>")).encode("latin-1"),
        ("\n  <!-- ours -->\n" + DECLARED + SITEMAP).encode(),
        ("<!-- <html> -->" + "<!--" + "x" * 30_000 + "-->" + SITEMAP).encode(),
        ("<!DOCTYPE html><html><head><title>Sitemap</title></head><body>" + SITEMAP + "</body></html>").encode(),
        ("<html><body><pre>" + html.escape(DECLARED + SITEMAP) + "</pre></body></html>").encode(),
        html.escape(DECLARED + SITEMAP).encode(),
        SITEMAP.replace("<url>", "\x00<url>").encode(),
        b'"https://shop.example/a",\n',
        ("<br />\n<b>Warning</b>: include(x.php)\n" + DECLARED + SITEMAP).encode(),
        (DECLARED + "<?xml-stylesheet href='x.xsl'?><!DOCTYPE urlset>" + SITEMAP).encode(),
        SITEMAP.replace("http://www", "https://www").encode(),
        SITEMAP.replace(' xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"', "").encode(),
        SITEMAP.replace(
            "<url>", "<url><lastmod>yesterday, 25:00</lastmod><news:news><news:title>x</news:title></news:news>"
        ).encode(),
        SITEMAP.replace("https://shop.example/a", "<![CDATA[ https://shop.example/a ]]>").encode(),
        SITEMAP.replace("<url>", "<url><x>&nbsp;&eacute; \x01\x0b & co</x>").encode(),
        SITEMAP.replace("</urlset>", "<url><loc>https://shop.example/cut").encode(),
        SITEMAP.replace("</urlset>", "<url><loc>https://shop.example/cut</lo").encode(),
        SITEMAP.replace("url>", "URL>").replace("loc>", "Loc>").encode(),
        b"\n# pages\nhttps://shop.example/a\n\n",
        "https://shop.example/a\r\n/not-whole\r\n".encode("utf-8-sig"),
        "https://shop.example/a\n".encode("utf-16"),
    ],
)
def test_a_sitemap_is_read_whatever_stands_around_it(content: bytes) -> None:
    found = read_listing(content, "https://shop.example/sitemap", NOW)
    assert found is not None
    assert (found.kind, found.pages) == ("sitemap", ("https://shop.example/a",))


def test_ampersands_of_their_own_stay_in_addresses() -> None:
    for written in (
        "https://shop.example/?a=1&b=2",
        "https://shop.example/?a=1&amp;b=2",
        "<![CDATA[https://shop.example/?a=1&b=2]]>",
    ):
        found = read_listing(f"<urlset><url><loc>{written}</loc></url></urlset>".encode(), "https://shop.example/", NOW)
        assert found is not None
        assert found.pages == ("https://shop.example/?a=1&b=2",)


def test_blanks_in_the_addresses_of_pictures_are_encoded() -> None:
    sitemap = "<urlset><url><loc>/p</loc><image:image><image:loc> /red dress.jpg </image:loc></image:image></url></urlset>"
    feed = '<rss><channel><item><link>/p</link><enclosure url="/red dress.jpg" type="image/jpeg"/></item></channel></rss>'
    for text in (sitemap, feed):
        found = read_listing(text.encode(), "https://shop.example/", NOW)
        assert found is not None
        assert [picture.url for picture in found.pictures] == ["https://shop.example/red%20dress.jpg"]


@pytest.mark.parametrize(
    "entry",
    [
        '<itunes:author>x</itunes:author><media:content url="/a.jpg"/>',
        '<media:content url="/a.php" medium="image"/>',
        '<enclosure url="/a.jpg" type="IMAGE/JPG"/>',
        '<enclosure url="/a.jp2" type="image/jp2"/><media:thumbnail url="/a.jpg"/>',
        '<itunes:image href="/a.jpg"/>',
        "<image><url>/a.jpg</url></image>",
        "<content:encoded><![CDATA[&lt;img src='/a.jpg'&gt;]]></content:encoded>",
        "<description>&lt;IMG SRC='/a.jpg'&gt;&nbsp;</description>",
        '<atom:link rel="enclosure" type="image/png" href="/a.jpg"/>',
    ],
)
def test_an_entry_shows_its_picture_though_its_prefixes_are_undeclared(entry: str) -> None:
    found = read_listing(
        f"<rss><channel><item><title>T</title>{entry}</item></channel></rss>".encode(), "https://x.example/", NOW
    )
    assert found is not None
    assert [(picture.url.partition(".example")[2], picture.title) for picture in found.pictures] in (
        [("/a.jpg", "T")],
        [("/a.php", "T")],
    )


def test_a_json_feed() -> None:
    item = {
        "url": "/1",
        "title": "Coat",
        "image": "/1.jpg",
        "date_published": "2025-02-03T10:00:00Z",
        "tags": ["coats", 7, None],
        "attachments": [{"url": "/2.jpg", "mime_type": "image/jpeg"}, {"url": "/2.mp3", "mime_type": "audio/mpeg"}, None],
        "content_html": '<img src="/3.jpg" alt="Back">',
    }
    feed = {"version": "https://jsonfeed.org/version/1.1", "items": [item, None, {"external_url": "/2"}]}
    found = read_listing(json.dumps(feed).encode("utf-8-sig"), "https://blog.example/feed.json", NOW)
    assert found is not None
    assert (found.kind, found.pages) == ("feed", ("https://blog.example/1", "https://blog.example/2"))
    assert [picture.url.rpartition("/")[2] for picture in found.pictures] == ["1.jpg", "2.jpg", "3.jpg"]
    first = found.pictures[0]
    assert (first.title, first.words, first.published) == ("Coat", ("coats", "7"), "2025-02-03T10:00:00+00:00")
    assert found.pictures[2].alt == "Back"


@pytest.mark.parametrize("wrapping", [")]}',\n{}", "[{}]", "cb({});", "\ufeff{}"])
def test_a_json_feed_is_read_whatever_is_around_it(wrapping: str) -> None:
    item = {"id": "https://shop.example/p", "image": "/a.jpg"}
    feed = json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": [item]})
    found = read_listing(wrapping.replace("{}", feed).encode(), "https://shop.example/feed", NOW)
    assert found is not None
    assert (found.pages, [picture.url for picture in found.pictures]) == (
        ("https://shop.example/p",),
        ["https://shop.example/a.jpg"],
    )


@pytest.mark.parametrize(
    ("entry", "pictures"),
    [
        (
            "<g:image_link><![CDATA[/a.jpg]]></g:image_link><g:additional_image_link>/b.jpg</g:additional_image_link>",
            ["a", "b"],
        ),
        (
            "<g:image_link>/a.jpg</g:image_link><g:additional_image_link>/b.jpg,/c.jpg</g:additional_image_link>",
            ["a", "b", "c"],
        ),
        ('<description><p><img src="/a.jpg"></p></description>', ["a"]),  # not escaped
        ('<description><![CDATA[<picture><source srcset="/a.jpg"></picture>]]></description>', ["a"]),
    ],
)
def test_an_entry_shows_every_picture(entry: str, pictures: list[str]) -> None:
    text = f"<rss><channel><item><link>/p</link><g:product_type>Dresses</g:product_type>{entry}</item></channel></rss>"
    found = read_listing(text.encode(), "https://shop.example/feed", NOW)
    assert found is not None
    assert [picture.url for picture in found.pictures] == [f"https://shop.example/{name}.jpg" for name in pictures]
    assert {picture.words for picture in found.pictures} == {("Dresses",)}


@pytest.mark.parametrize(
    ("images", "pages"),
    [
        (
            "<url><loc>/p</loc><image:image><image:loc>/a.jpg</image:loc><image:loc>/b.jpg</image:loc></image:image></url>",
            ["p"],
        ),
        ("<url><loc>/p</loc></url><image><loc>/a.jpg</loc></image><image><loc>/b.jpg</loc></image>", ["p"]),
        ("<url><image><loc>/a.jpg</loc></image><image><loc>/b.jpg</loc></image></url>", []),
    ],
)
def test_a_sitemap_shows_every_picture(images: str, pages: list[str]) -> None:
    found = read_listing(f"<urlset>{images}</urlset>".encode(), "https://shop.example/sitemap.xml", NOW)
    assert found is not None
    assert [picture.url for picture in found.pictures] == ["https://shop.example/a.jpg", "https://shop.example/b.jpg"]
    assert list(found.pages) == [f"https://shop.example/{page}" for page in pages]


def test_an_rss_1_item_is_named_by_its_attribute() -> None:
    item = '<item rdf:about="/p"><title>x</title></item>'
    text = f'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">{item}</rdf:RDF>'
    found = read_listing(text.encode(), "https://shop.example/feed", NOW)
    assert found is not None
    assert found.pages == ("https://shop.example/p",)


def test_a_sitemap_index_may_hold_pages_and_a_sitemap_sitemaps() -> None:
    both = "<sitemap><loc>/s.xml</loc></sitemap><url><loc>/p</loc></url>"
    for root in ("sitemapindex", "urlset"):
        found = read_listing(f"<{root}>{both}</{root}>".encode(), "https://shop.example/", NOW)
        assert found is not None
        assert (found.sitemaps, found.pages) == (("https://shop.example/s.xml",), ("https://shop.example/p",))


@pytest.mark.parametrize(
    "text",
    ['{"version": 1, "items": []}', "A text\nhttps://x.example/\nmore\nof it", "<html><body><feed></feed>", "# only a comment"],
)
def test_a_page_or_a_text_is_no_listing(text: str) -> None:
    assert read_listing(text.encode(), "https://x.example/", NOW) is None


def test_a_picture_is_no_listing() -> None:
    assert read_listing(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00 <urlset>", "https://x.example/a.jpg", NOW) is None
