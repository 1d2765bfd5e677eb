import gzip
import json
import logging
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.commands.show import manifest_counts
from pipeline.errors import ParamsError, SourceError
from pipeline.pages import story
from pipeline.params import parse_params
from pipeline.sources import crawler
from pipeline.sources.crawl_source import check_start_pages, crawl, crawl_in_process, largest_renditions, merge_sites
from pipeline.sources.pages.crawled import CrawledPicture
from pipeline.sources.params import CrawlSite, CrawlSource
from pipeline.storage.tables import MANIFEST, RAW, read_table, read_tables
from tests.support.data_stages import DataStages, tiny_params
from tests.support.web_params import QUICK, web
from tests.support.web_pictures import jpeg
from tests.support.web_server import Reply, Server, serving


def product(name: str, category: str, *images: str, links: str = "") -> Reply:
    thing = {"@type": "Product", "name": name, "category": category, "image": images, "offers": {"price": "10"}}
    return page(f'<script type="application/ld+json">{json.dumps(thing)}</script>{links}')


def page(html: str, **headers: str) -> Reply:
    return Reply(html.encode(), headers={"Content-Type": "text/html; charset=utf-8", **headers})


def link(*paths: str) -> str:
    return "".join(f'<a href="{path}">{path}</a>' for path in paths)


@pytest.fixture
def shop() -> Iterator[Server]:
    """A shop of three products, a feed, sitemaps, and pages that are not for us."""
    with serving({}) as server:
        server.routes |= {
            "/robots.txt": Reply(b"User-agent: *\nDisallow: /private\nSitemap: " + server.url.encode() + b"/sitemap.xml"),
            "/": page(link("/dresses", "/private", "/broken", "/gone", "https://elsewhere.example/") + '<img src="/logo.svg">'),
            "/dresses": page(link("/p/1", "/p/2?utm=1", "/p/1#reviews") + '<a href="/p/1"><img src="/i/1-300x400.jpg"></a>'),
            "/p/1": product("Wrap dress", "Women > Dresses", "/i/1-300x400.jpg", "/i/1-900x1200.jpg", links=link("/p/3")),
            "/p/2?utm=1": product("Shirt dress", "Dresses", "/i/2.jpg"),
            "/p/3": product("Beret", "Headwear", "/i/3.jpg"),
            "/p/4": product("Scarf", "Headwear", "/i/4.jpg"),
            "/broken": Reply(
                b"\x00\xff\xfe<html><script type='application/ld+json'>{{{", headers={"Content-Type": "text/html"}
            ),
            "/sitemap.xml": Reply(f"<sitemapindex><sitemap><loc>{server.url}/s.xml.gz</loc></sitemap></sitemapindex>".encode()),
            "/s.xml.gz": Reply(gzip.compress(f"<urlset><url><loc>{server.url}/p/4</loc></url></urlset>".encode())),
        }
        yield server


def dying(*_: object) -> None:
    """End the process that runs this."""
    os.kill(os.getpid(), signal.SIGKILL)


def source_of(server: Server, **changes: Any) -> CrawlSource:
    site = {
        "start": [f"{server.url}/"],
        "domains": ["127.0.0.1"],
        "max_depth": 3,
        "max_pages": 50,
        "max_pictures": 50,
        "follow": None,
        "sitemaps": False,
    }
    return CrawlSource(
        sites=[CrawlSite(**{**site, **changes})], categories={"dresses": "dress"}, licence="own", max_age_days=1.0
    )


def crawled(server: Server, scratch: Path, **changes: Any) -> list[CrawledPicture]:
    """What `crawl` gives, crawled in this process: a new process takes a second to import extruct."""
    source = source_of(server, **changes)
    check_start_pages(source)
    return merge_sites(source, crawl_in_process(source, web(), scratch))


def test_a_shop_is_crawled_with_respect_for_its_rules(shop: Server, tmp_path: Path) -> None:
    found = crawl(source_of(shop), web(), tmp_path)
    listed = {picture.url.removeprefix(shop.url): picture for picture in found}
    assert {path: (found.status, found.reason) for path, found in listed.items()} == {
        "/i/1-900x1200.jpg": ("listed", None),
        "/i/2.jpg": ("listed", None),
        "/i/3.jpg": ("listed", None),
        "/private": ("refused", "page: robots.txt disallows it"),
        "/gone": ("failed", "page: 404 Not Found"),
    }
    dress = listed["/i/1-900x1200.jpg"]
    assert (dress.category, dress.title, dress.price, dress.licence) == ("dress", "Wrap dress", 10.0, "own")
    assert dress.page == f"{shop.url}/p/1"
    assert (listed["/i/3.jpg"].category, listed["/i/3.jpg"].site_category) == (None, "Headwear")
    assert "/private" not in shop.paths()
    assert shop.paths().count("/p/1") == 1
    assert shop.paths().index("/gone") < shop.paths().index("/p/1")  # breadth first


def test_a_shop_is_collected_and_fetched(shop: Server, wardrobe: Path, tmp_path: Path) -> None:
    shop.routes |= {"/i/1-900x1200.jpg": Reply(jpeg(1)), "/i/2.jpg": Reply(jpeg(2), headers={"X-Robots-Tag": "noimageai"})}
    sources = {"source": ["folder", "crawl"], "crawl": source_of(shop).model_dump(), "web": QUICK}
    params = tiny_params(wardrobe, collect=sources, fetch={"web": QUICK})
    stages = DataStages(params, tmp_path / "data").up_to("fetch")
    manifest, raw = read_table(stages.manifest, MANIFEST), read_tables(stages.raw_tables, RAW)
    assert manifest["source"].value_counts().to_dict() == {"folder": 40, "crawl": 5}
    crawled_rows: list[dict[Any, Any]] = raw[raw["source"] == "crawl"].to_dict("records")
    ends = {row["url"].removeprefix(shop.url): (row["status"], row["reason"]) for row in crawled_rows}
    assert ends.pop("/i/1-900x1200.jpg")[0] == "ok"
    assert ends == {
        "/i/2.jpg": ("refused", "X-Robots-Tag: noimageai"),
        "/i/3.jpg": ("failed", "404 Not Found"),
        "/private": ("refused", "page: robots.txt disallows it"),
        "/gone": ("failed", "page: 404 Not Found"),
    }
    output = [line.split() for line in manifest_counts(manifest, raw).splitlines()]
    assert ["5", "crawl"] in output
    assert ["41", "ok"] in output
    assert story.count_unmapped_words(manifest).to_dict("records") == [{"word": "Headwear", "images": 1}]
    before = [path.read_bytes() for path in (stages.manifest, *stages.shards, *stages.raw_tables)]
    shop.requests.clear()
    stages.up_to("fetch")
    assert shop.paths() == ["/gone"]
    assert [path.read_bytes() for path in (stages.manifest, *stages.shards, *stages.raw_tables)] == before


def test_the_same_site_gives_the_same_pictures(shop: Server, tmp_path: Path) -> None:
    assert crawled(shop, tmp_path / "one") == crawled(shop, tmp_path / "other")


@pytest.mark.parametrize(
    ("changes", "pictures"),
    [
        ({"max_depth": 0}, set()),
        ({"max_depth": 2}, {"/i/1-900x1200.jpg", "/i/2.jpg"}),
        ({"max_pages": 6}, {"/i/1-900x1200.jpg"}),
        ({"max_pictures": 1}, {"/i/1-900x1200.jpg"}),
        ({"follow": "dresses|/p/[13]"}, {"/i/1-900x1200.jpg", "/i/3.jpg"}),
        ({"max_depth": 0, "sitemaps": True}, {"/i/4.jpg"}),
    ],
)
def test_limits_of_a_site(shop: Server, tmp_path: Path, changes: dict[str, Any], pictures: set[str]) -> None:
    found = crawled(shop, tmp_path, **changes)
    assert {picture.url.removeprefix(shop.url) for picture in found if picture.status == "listed"} == pictures


def test_a_feed_is_a_start_like_any_other(shop: Server, tmp_path: Path) -> None:
    feed = """<rss><channel><item><title>New</title><link>/p/3</link><category>Dresses</category>
    <enclosure url="/i/9.jpg" type="image/jpeg"/></item></channel></rss>"""
    shop.routes["/feed"] = Reply(feed.encode(), headers={"Content-Type": "application/rss+xml"})
    found = crawled(shop, tmp_path, start=[f"{shop.url}/feed"], max_depth=1)
    assert {picture.url.removeprefix(shop.url): picture.category for picture in found} == {
        "/i/9.jpg": "dress",
        "/i/3.jpg": None,
    }


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("sitemap.xml", lambda text: text.encode("utf-8-sig")),
        ("sitemap.xml", lambda text: text.encode("utf-16")),
        ("sitemap.xml", lambda text: gzip.compress(text.encode())),
        ("sitemap.xml.gz", lambda text: gzip.compress(gzip.compress(text.encode()))),
    ],
)
def test_a_relative_sitemap_is_read_in_any_wrapping(shop: Server, tmp_path: Path, name: str, pack: Any) -> None:
    text = f"<urlset><url><loc>{shop.url}/p/4</loc></url></urlset>"
    shop.routes |= {"/robots.txt": Reply(f"Sitemap: /{name}".encode()), f"/{name}": Reply(pack(text))}
    found = crawled(shop, tmp_path, max_depth=0, sitemaps=True)
    assert "/i/4.jpg" in {picture.url.removeprefix(shop.url) for picture in found}


@pytest.mark.parametrize(("name", "pack"), [("map.txt", bytes), ("map.txt.gz", gzip.compress)])
def test_a_text_sitemap_is_read(shop: Server, tmp_path: Path, name: str, pack: Any) -> None:
    shop.routes[f"/{name}"] = Reply(pack(f"{shop.url}/p/4\n".encode()), headers={"Content-Type": "text/plain"})
    found = crawled(shop, tmp_path, start=[f"{shop.url}/{name}"], max_depth=0)
    assert [picture.url.removeprefix(shop.url) for picture in found] == ["/i/4.jpg"]


def test_sitemaps_that_list_each_other_end(shop: Server, tmp_path: Path) -> None:
    for name, other in (("one", "two"), ("two", "one")):
        index = f"<sitemapindex><sitemap><loc>/{other}.xml</loc></sitemap></sitemapindex>"
        shop.routes[f"/{name}.xml"] = Reply(index.encode())
    assert crawled(shop, tmp_path, start=[f"{shop.url}/one.xml"], max_depth=0) == []
    assert shop.paths().count("/one.xml") == 1


def test_broken_structured_data_is_logged_in_one_line(shop: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = '<script type="application/ld+json">{"@type": "Product", "name": "Cap", "image": "/cap.jpg"};</script>'
    shop.routes["/"] = page(broken + '<script type="application/ld+json">nothing</script>' + link("/next"))
    shop.routes["/next"] = page(broken)
    caplog.set_level(logging.INFO)
    assert [picture.title for picture in crawled(shop, tmp_path)] == ["Cap"]
    [record] = [record for record in caplog.records if record.name == "pipeline.sources.crawl_source"]
    assert record.args == ("127.0.0.1", f"{shop.url}/", 2, 1)


def test_a_picture_with_blanks_in_its_address_is_fetched(shop: Server, wardrobe: Path, tmp_path: Path) -> None:
    shop.routes |= {"/": page('<img src="/red dress 1.jpg">'), "/red%20dress%201.jpg": Reply(jpeg(1))}
    source = source_of(shop, max_depth=0).model_dump()
    params = tiny_params(wardrobe, collect={"source": ["crawl"], "crawl": source, "web": QUICK}, fetch={"web": QUICK})
    raw = read_tables(DataStages(params, tmp_path / "data").up_to("fetch").raw_tables, RAW)
    assert raw[["url", "status"]].to_dict("records") == [{"url": f"{shop.url}/red%20dress%201.jpg", "status": "ok"}]


def test_reserved_pages_are_recorded_with_the_reason(shop: Server, tmp_path: Path) -> None:
    shop.routes["/"] = page('<img src="/i/5.jpg">' + link("/next"), **{"X-Robots-Tag": "noai"})
    shop.routes["/next"] = page('<meta name="robots" content="noindex,nofollow"><img src="/i/6.jpg">' + link("/p/3"))
    found = crawled(shop, tmp_path)
    assert {picture.url.removeprefix(shop.url): picture.reason for picture in found} == {
        "/i/5.jpg": "X-Robots-Tag: noai",
        "/i/6.jpg": "robots meta tag: noindex",
    }


@pytest.mark.parametrize(
    ("target", "status"),
    [("https://elsewhere.example/", "refused"), ("file:///etc/passwd", "failed"), ("/", None), ("/a", "refused")],
)
def test_redirects_stay_on_the_site_and_end(shop: Server, tmp_path: Path, target: str, status: str | None) -> None:
    shop.routes["/"] = Reply(status=302, headers={"Location": target})
    shop.routes |= {f"/{'a' * n}": Reply(status=302, headers={"Location": f"/{'a' * (n + 1)}"}) for n in range(1, 9)}
    assert [found.status for found in crawled(shop, tmp_path)] == [status] * (status is not None)
    assert len(shop.paths()) <= 6


def test_a_redirect_to_another_spelling_of_the_address_is_followed(shop: Server, tmp_path: Path) -> None:
    shop.routes["/"] = Reply(status=302, headers={"Location": "/?b=2&a=1"})
    shop.routes["/?b=2&a=1"] = Reply(status=302, headers={"Location": "/?a=1&b=2"})
    shop.routes["/?a=1&b=2"] = page('<img src="/i/5.jpg">')
    assert [found.url.removeprefix(shop.url) for found in crawled(shop, tmp_path)] == ["/i/5.jpg"]


def test_a_repeated_crawl_requests_only_failed_pages(shop: Server, tmp_path: Path) -> None:
    first = crawled(shop, tmp_path)
    shop.requests.clear()
    assert crawled(shop, tmp_path) == first
    assert shop.paths() == ["/gone"]


def test_an_expired_page_is_requested_again(shop: Server, tmp_path: Path) -> None:
    source = source_of(shop, max_depth=0).model_copy(update={"max_age_days": 1e-6})
    crawl_in_process(source, web(), tmp_path)
    shop.requests.clear()
    time.sleep(0.1)
    crawl_in_process(source, web(), tmp_path)
    assert shop.paths() == ["/"]


def test_an_interrupted_crawl_resumes(shop: Server, tmp_path: Path) -> None:
    whole = crawled(shop, tmp_path / "other")
    shop.requests.clear()
    crawled(shop, tmp_path, max_depth=1)  # leaves its pages behind, as a killed one does
    first = set(shop.paths())
    shop.requests.clear()
    assert crawled(shop, tmp_path) == whole
    assert first & set(shop.paths()) == {"/gone"}


def test_a_killed_crawler_is_a_one_line_error(shop: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.sources.crawl_source.crawl_in_process", dying)
    with pytest.raises(SourceError, match="the crawler exceeded"):
        crawl(source_of(shop), web(), tmp_path)


def test_a_start_off_its_site_and_a_missing_contact_are_one_line(shop: Server, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not in domains"):
        crawled(shop, tmp_path, domains=["shop.example"])
    site = CrawlSite(
        start=[shop.url], domains=["127.0.0.1"], max_depth=0, max_pages=1, max_pictures=1, follow=None, sitemaps=False
    )
    with pytest.raises(ParamsError, match=r"web\.contact"):
        crawl(CrawlSource(sites=[site], categories={}, licence=None, max_age_days=1.0), web(contact=""), tmp_path)
    assert shop.connections == 0


def test_the_largest_address_of_any_page_wins() -> None:
    small = CrawledPicture(url="https://x.example/a-300x400.jpg", page="1", title="A", words=("coats",))
    large = CrawledPicture(url="https://x.example/a-900x1200.jpg", page="2")
    [picture] = largest_renditions([small, large])
    assert (picture.url, picture.title) == ("https://x.example/a-900x1200.jpg", "A")


def test_invalid_links_are_ignored(shop: Server, tmp_path: Path) -> None:
    places = ["http://[bad", "file:///etc/passwd", "ftp://127.0.0.1/", "http://127.0.0.1:999999/", f"{shop.url}/p/3"]
    shop.routes |= {
        "/": page(link(*places[:-1], "http://127.0.0.1:x/", f"/{'a' * 10_000}", "/p/1") + '<base href="http://[x">'),
        "/map": Reply(f"<urlset>{''.join(f'<url><loc>{place}</loc></url>' for place in places)}</urlset>".encode()),
    }
    found = crawled(shop, tmp_path, start=[f"{shop.url}/", f"{shop.url}/map"], max_depth=1)
    assert {picture.url.removeprefix(shop.url) for picture in found} == {"/i/1-900x1200.jpg", "/i/3.jpg"}


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"200 OK\r\nContent-Type: text/html; charset=\xff\r\nX: \xfe", None),
        (b"302 Found\r\nLocation: http://[::1", "page: a redirect without a usable address"),
    ],
)
def test_a_page_that_cannot_be_handled_is_a_row(shop: Server, tmp_path: Path, head: bytes, reason: str | None) -> None:
    shop.routes["/"] = lambda _: [b"HTTP/1.1 " + head + b"\r\nContent-Length: 21\r\n\r\n<img src='/i/5.jpg'> "]
    [found] = crawled(shop, tmp_path)
    assert (found.url.removeprefix(shop.url), found.reason) == ("/" if reason else "/i/5.jpg", reason)


# The time limit may fall into a weak reference's callback, which swallows it; the next one a moment later does not.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_page_that_exceeds_the_cpu_limit_is_a_row(shop: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crawler, "MAX_PARSING_S", 0.5)
    shop.routes["/slow"] = page(f"<figure>{'<a href=/x>y</a>' * 10_000}{'<img src=/i/5.jpg>' * 10_000}</figure>")
    shop.routes["/"] = page(link("/slow", "/p/3"))
    found = crawled(shop, tmp_path, max_depth=1)
    assert {picture.url.removeprefix(shop.url): picture.reason for picture in found} == {
        "/i/3.jpg": None,
        "/slow": "page: takes more than 0.5 s to read",
    }


ROOT = Path(__file__).parents[2]


def leaves(params: Any, path: str = "") -> dict[str, Any]:
    """Every value of `params` by its path, lists and the mapping of categories whole."""
    if not isinstance(params, dict) or path.endswith(".categories"):
        return {path: params}
    return {key: leaf for name, below in params.items() for key, leaf in leaves(below, f"{path}.{name}").items()}


def merged(params: dict[str, Any], changes: dict[str, Any]) -> None:
    """Write `changes` into `params`, in place, so that a YAML alias changes with its anchor."""
    for name, value in changes.items():
        if isinstance(value, dict) and name != "categories":
            merged(params[name], value)
        else:
            params[name] = value


def test_the_documented_lines_crawl_a_shop(shop: Server, tmp_path: Path) -> None:
    blocks = [
        re.findall(r"# Your own shop.*?```yaml\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL | re.IGNORECASE)
        for name in ("docs/own-shop.md", "docs/collecting.md")
    ]
    assert blocks[0] == blocks[1]
    output = blocks[0][0].replace("https://shop.example/", f"{shop.url}/").replace("[shop.example]", "[127.0.0.1]")
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    before = leaves(content["collect"])
    merged(content, yaml.safe_load(output))
    changed = {path for path, value in leaves(content["collect"]).items() if before[path] != value}
    assert changed == {".source", ".crawl.sites", ".crawl.categories", ".crawl.licence", ".web.contact"}
    content["collect"]["web"] |= {"allow_loopback": True, "delay_s": 0.0, "retries": 0}  # a shop on this machine
    shop.routes |= {"/i/1-900x1200.jpg": Reply(jpeg(1)), "/i/2.jpg": Reply(jpeg(2)), "/i/3.jpg": Reply(jpeg(3))}
    stages = DataStages(parse_params(content), tmp_path / "data").up_to("fetch")
    raw = read_tables(stages.raw_tables, RAW)
    pictures: list[dict[Any, Any]] = raw[raw["status"] == "ok"].to_dict("records")
    assert {row["url"].removeprefix(shop.url): row["category"] for row in pictures if isinstance(row["category"], str)} == {
        "/i/1-900x1200.jpg": "dress",
        "/i/2.jpg": "dress",
    }
    assert {row["licence"] for row in pictures} == {"own"}
    assert {request.headers["user-agent"].partition(" ")[2] for request in shop.requests} == {"(+you@shop.example)"}
