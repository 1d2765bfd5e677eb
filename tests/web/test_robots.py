import asyncio
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from pipeline.web.polite_client import PoliteClient
from pipeline.web.responses import RefusedError, Response
from pipeline.web.robots import MAX_ROBOTS_BYTES, matching_rules, parse_robots, robots_for_status
from pipeline.web.sites import SiteRulesCache
from tests.support.web_params import web
from tests.support.web_server import Reply, Request, Route, serving

PICTURE = URL("https://shop.example/pictures/dress.jpg?size=xl")


@pytest.mark.parametrize(
    ("content", "allowed"),
    [
        (b"", True),
        (b"User-agent: *\nDisallow: /", False),
        (b"User-agent: *\nDisallow: /\nAllow: /pictures/", True),  # the longest match decides
        (b"User-agent: *\nDisallow: /pictures/\nAllow: /pictures/", True),  # of equals, allow
        (b"User-agent: *\nDisallow: /\n\nUser-agent: atelier\nDisallow:", True),  # our own group, whatever its case
        (b"User-agent: *\nAllow: /\n\nUser-Agent: ATELIER\nDisallow: /", False),
        (b"User-agent: atelier\nAllow: /\n\nUser-agent: atelier\nDisallow: /pictures", False),  # groups of one name are one
        (b"User-agent: one\nUser-agent: atelier\nDisallow: /", False),  # a group for two
        (b"User-agent: someone-else\nDisallow: /", True),
        (b"User-agent: *\nDisallow: /*.jpg$", True),  # the query follows
        (b"User-agent: *\nDisallow: /*.jpg", False),
        (b"User-agent: *\nDisallow: /pictures/*?size=", False),
        (b"User-agent: *\nDisallow: /%70ictures/", False),  # percent-encoding of unreserved characters
        (b"\xef\xbb\xbfUser-agent: *\nDisallow: /", False),  # a byte-order mark
        (b"User-agent: *\r\nDisallow: /pictures # not for you\r\n", False),
        (b"\xff\xfe\x00 rubbish \x00\nUser-agent: *\nDisallow: /", False),
        (b"<html><body>Disallow: /</body></html>", True),
        (b"User-agent: Atelier/1.0\nDisallow: /", False),  # a version is no part of our name
        (b"User-agent: Atelier/0.1 (+https://x.example)\nAllow: /\n\nUser-agent: *\nDisallow: /", True),
        (b"User-agent: AtelierBot\nDisallow: /", True),  # other names, though they begin alike
        (b"User-agent: ate\nDisallow: /", True),
        (b"User-agent: atelier-2\nDisallow: /", True),
        (b"User-agent: one\nCrawl-delay: 5\nUser-agent: *\nDisallow: /", False),  # one group: only a rule ends its agents
        (b"User-agent: atelier\nNoindex: /x\nUser-agent: two\nDisallow: /", False),
        (b"User-agent: atelier\nSitemap: /s.xml\n\n# two\nUser-agent: two\nDisallow: /", False),
        (b"User-agent: atelier\nDisallow:\nUser-agent: two\nDisallow: /", True),  # an empty rule is one
        (b"User-agent: atelier\nCrawl-delay: 5\n\nUser-agent: *\nDisallow: /", False),
        (b"Disallow: /\nUser-agent: *\nAllow: /", True),  # a rule for nobody
        (b"User-agent: *\rDisallow: /pictures\r", False),
        (b"User-agent: * everybody\nDisallow: /", False),
        (b"User-agent: *\x00\nDisallow: /", False),
        (b"User-agent : *\nDisallow : /", False),
        (b"user agent: *\ndissallow: /", False),
        (b"User-agent *\nDisallow /", False),
        (b"User-agent: * # everybody\nDisallow: / # all of it", False),
        (b"User-agent: *\nDisallow: /pic*dress*.jpg?size=xl$", False),
        (b"User-agent: *\nDisallow: /pic*dress*.jpg$", True),
        (b"User-agent: *\nDisallow: /pictures\xe2\x80\xa8\nDisallow: /a\x0bb", True),  # not ends of lines
        (b"User-agent: *\nAllow: /\nDisallow: /" + b"x" * 100_000 + b"\nDisallow: /pictures/", False),
        ("User-agent: *\nDisallow: /".encode("utf-16"), False),
        (b"User-agent: *\nDisallow: /\nAllow: /pictures/\n\nUser-agent: *\nDisallow: /pictures/dress", False),
    ],
)
def test_rules_are_matched_as_rfc_9309_says(content: bytes, allowed: bool) -> None:
    assert (parse_robots(content).refusal(PICTURE) is None) is allowed


@pytest.mark.parametrize(
    ("rule", "path", "allowed"),
    [  # the table of section 2.2.2, then 2.2.3
        ("/foo/bar?baz=quz", "/foo/bar?baz=quz", False),
        ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar", False),
        ("/foo/bar?baz=https%3a%2f%2ffoo.bar", "/foo/bar?baz=https://foo.bar", False),
        ("/foo/bar/\u30c4", "/foo/bar/%E3%83%84", False),
        ("/foo/bar/%E3%83%84", "/foo/bar/%E3%83%84", False),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz", False),
        ("/a%2Fb", "/a/b", True),  # in a path a slash has a meaning of its own
        ("/*/private", "/x?page=/private", False),
        ("/path/file-with-a-%2A.html", "/path/file-with-a-*.html", False),
        ("/path/file-with-a-%2A.html", "/path/file-with-a-x.html", True),
        ("/path/foo-%24", "/path/foo-$", False),
        ("/path/foo-%24", "/path/foo-", True),
    ],
)
def test_percent_encoding_is_compared_as_rfc_9309_says(rule: str, path: str, allowed: bool) -> None:
    rules = parse_robots(f"User-agent: *\nDisallow: {rule}".encode())
    assert (rules.refusal(URL(f"https://shop.example{path}", encoded=True)) is None) is allowed


@pytest.mark.parametrize(
    ("status", "allowed"), [(404, True), (401, True), (403, True), (410, True), (500, False), (503, False)]
)
def test_a_missing_file_allows_and_a_broken_server_disallows(status: int, allowed: bool) -> None:
    assert (robots_for_status(status).refusal(PICTURE) is None) is allowed


def test_a_delay_does_not_end_the_agents_of_a_later_group_either() -> None:
    text = "User-agent: a\nDisallow: /a\nUser-agent: b\nCrawl-delay: 3\nUser-agent: *\nDisallow: /b\n"
    assert matching_rules(text).splitlines() == ["User-agent: *", "crawl-delay: 3", "disallow: /b"]


def test_500_kib_are_read_and_no_cut_line_counts() -> None:
    filler = b"User-agent: *\n" + b"# filler\n" * (MAX_ROBOTS_BYTES // 9)
    assert parse_robots(filler[: MAX_ROBOTS_BYTES - 12] + b"\nDisallow: /pictures").refusal(PICTURE) is None
    assert parse_robots(b"User-agent: *\nDisallow: /pictures\n" + filler).refusal(PICTURE) is not None


def test_500_kib_with_the_line_ends_of_old_macs_are_read() -> None:
    assert (
        parse_robots(b"User-agent: *\rDisallow: /pictures\r" + b"# filler\r" * (MAX_ROBOTS_BYTES // 9)).refusal(PICTURE)
        is not None
    )


def test_a_line_of_letters_takes_no_time() -> None:
    started = time.perf_counter()
    assert parse_robots(b"a" * (MAX_ROBOTS_BYTES - 1)).refusal(PICTURE) is None
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize(
    ("content", "delay_s"),
    [
        (b"User-agent: *\nCrawl-delay: 7", 7.0),
        (b"User-agent: *\nCrawl-delay: 7\n\nUser-agent: atelier\nCrawl-delay: 2.5", 2.5),
        (b"User-agent: *\nRequest-rate: 1/10", 10.0),
        (b"User-agent: *\nCrawl-delay: soon", 0.0),
        (b"User-agent: *\nCrawl-delay: 1,5", 1.5),
        (b"User-agent: *\nCrawl-delay: 5s", 5.0),
        (b"User-agent: one\nCrawl-delay: 7\nUser-agent: Atelier/2\nDisallow: /x", 7.0),
        (b"User-agent: *\nRequest-rate: 1/10 0600-2200", 10.0),
        (b"", 0.0),
    ],
)
def test_the_delay_a_site_asks_for(content: bytes, delay_s: float) -> None:
    assert parse_robots(content).delay_s == delay_s


def test_a_hostile_file_is_matched_in_no_time() -> None:
    content = b"User-agent: *\n" + (b"Disallow: /" + b"*a" * 200 + b"$\n") * 1000
    started = time.perf_counter()
    assert parse_robots(content).refusal(URL("https://shop.example/" + "a" * 3000 + "b")) is None
    assert time.perf_counter() - started < 10


def visit(routes: Mapping[str, Route], folder: Path, **changes: Any) -> list[str]:
    """Every path that the server was asked for by a visit to /dress.jpg."""

    async def run(url: str) -> None:
        async with PoliteClient(web(**changes), folder) as client:
            await client.get(url, accept="image/*", max_bytes=1000)

    with serving({"/dress.jpg": Reply(b"picture"), **routes}) as server:
        try:
            asyncio.run(run(f"{server.url}/dress.jpg"))
        except RefusedError as error:
            return [*(request.path for request in server.requests), error.reason]
        return [request.path for request in server.requests]


def test_robots_txt_comes_first_then_the_mining_file_then_the_picture(tmp_path: Path) -> None:
    assert visit({}, tmp_path) == ["/robots.txt", "/.well-known/tdmrep.json", "/dress.jpg"]


def test_a_disallowed_url_is_not_requested(tmp_path: Path) -> None:
    asked = visit({"/robots.txt": Reply(b"User-agent: Atelier\nDisallow: /dress")}, tmp_path)
    assert asked[-1] == "robots.txt disallows it"
    assert "/dress.jpg" not in asked


@pytest.mark.parametrize("disallowed", ["/.well-known/", "/"])
def test_a_disallowed_mining_file_is_not_requested(tmp_path: Path, disallowed: str) -> None:
    asked = visit({"/robots.txt": Reply(f"User-agent: *\nDisallow: {disallowed}".encode())}, tmp_path)
    assert asked == ["/robots.txt", "/dress.jpg" if disallowed != "/" else "robots.txt disallows it"]


def test_rules_from_an_earlier_run_are_kept_no_longer_than_a_day_in_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def get(url: URL, _: float) -> Response:
        asked.append(url.path)
        return Response(str(url), 404, CIMultiDictProxy(CIMultiDict()), b"")

    async def at_hours(hours: list[int]) -> None:
        cache = SiteRulesCache(tmp_path, get)
        for hour in hours:
            monkeypatch.setattr("pipeline.web.sites.time.time", lambda hour=hour: 3600.0 * hour)
            await cache.get(URL("https://shop.example"))

    asyncio.run(at_hours([0]))
    asyncio.run(at_hours([20, 23]))
    assert len(asked) == 2  # robots.txt and the mining file
    asyncio.run(at_hours([20, 25, 26]))
    assert len(asked) == 4


def _dropped(_: Request) -> list[bytes]:
    return []


def _dripping(_: Request) -> Any:
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
    for _second in range(20):
        time.sleep(0.1)
        yield b"#"


@pytest.mark.parametrize("route", [Reply(status=500), Reply(status=503), _dropped, _dripping, lambda _: [b"nonsense\r\n\r\n"]])
def test_an_unreachable_robots_txt_disallows_everything(tmp_path: Path, route: Route) -> None:
    asked = visit({"/robots.txt": route}, tmp_path, retries=0, timeout_s=0.5)
    assert set(asked[:-1]) == {"/robots.txt"}
    assert asked[-1].startswith("robots.txt is unreachable")


def hops(count: int) -> dict[str, Route]:
    """A robots.txt that is `count` redirects away and disallows everything."""
    places = ["/robots.txt", *(f"/hop/{number}" for number in range(count))]
    routes: dict[str, Route] = {
        place: Reply(status=301, headers={"Location": following}) for place, following in pairwise(places)
    }
    return {**routes, places[-1]: Reply(b"User-agent: *\nDisallow: /")}


def test_five_redirects_are_followed(tmp_path: Path) -> None:
    assert visit(hops(5), tmp_path)[-1] == "robots.txt disallows it"


def test_more_than_five_mean_unavailable_which_allows(tmp_path: Path) -> None:
    assert visit(hops(6), tmp_path)[-1] == "/dress.jpg"


def test_a_redirect_to_another_host_gives_the_rules_of_the_first(tmp_path: Path) -> None:
    with serving({"/rules": Reply(b"User-agent: *\nDisallow: /")}) as other:
        away = Reply(status=302, headers={"Location": f"{other.url}/rules"})
        assert visit({"/robots.txt": away}, tmp_path)[-1] == "robots.txt disallows it"


def test_only_500_kib_of_an_endless_file_are_read(tmp_path: Path) -> None:
    def endless(_: Request) -> Any:
        yield b"HTTP/1.1 200 OK\r\n\r\nUser-agent: *\nDisallow: /dress\n"
        for _block in range(2000):
            yield b"# and so on\n" * 1000

    assert visit({"/robots.txt": endless}, tmp_path)[-1] == "robots.txt disallows it"


def test_rules_are_kept_for_a_day_and_shared_between_runs(tmp_path: Path) -> None:
    routes: dict[str, Route] = {"/dress.jpg": Reply(b"picture")}

    async def run(url: str) -> None:
        async with PoliteClient(web(), tmp_path) as client:
            await client.get(url, accept="image/*", max_bytes=1000)

    with serving(routes) as server:
        asyncio.run(run(f"{server.url}/dress.jpg"))
        asyncio.run(run(f"{server.url}/dress.jpg"))
        assert [request.path for request in server.requests].count("/robots.txt") == 1
