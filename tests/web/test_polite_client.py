import asyncio
import gzip
import random
import re
import time
import zlib
from collections.abc import Callable, Coroutine, Iterable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from pipeline import __version__
from pipeline.errors import ParamsError
from pipeline.web import polite_client
from pipeline.web.compression import Gunzipper
from pipeline.web.polite_client import PoliteClient, backoff_s, retry_after_s, user_agent
from pipeline.web.responses import FailedError, RefusedError, RequestError, Response, Retry
from tests.support.web_params import web
from tests.support.web_server import Reply, Request, Route, Server, serving

MAX_BYTES = 100_000
NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polite_client, "FIRST_BACKOFF_S", 0.02)


def visit(url: str, folder: Path, accept: str = "image/*", **changes: Any) -> Response:
    async def run() -> Response:
        async with PoliteClient(web(**changes), folder) as client:
            return await client.get(url, accept=accept, max_bytes=MAX_BYTES)

    return asyncio.run(run())


def failure(route: Route, folder: Path, **changes: Any) -> RequestError:
    """What a visit to `route` ends in."""
    with serving({"/a": route}) as server, pytest.raises(RequestError) as caught:
        visit(f"{server.url}/a", folder, **changes)
    return caught.value


# Who we are.


def test_the_user_agent_names_us_and_a_contact() -> None:
    assert user_agent("crawler@atelier.example") == f"Atelier/{__version__} (+crawler@atelier.example)"
    assert user_agent("https://atelier.example/bot") == f"Atelier/{__version__} (+https://atelier.example/bot)"


def test_no_request_is_made_without_a_contact(tmp_path: Path) -> None:
    with serving({"/a": Reply(b"x")}) as server:
        with pytest.raises(ParamsError, match=r"web\.contact"):
            visit(f"{server.url}/a", tmp_path, contact="")
        assert server.connections == 0


def test_every_request_carries_the_user_agent_and_no_cookie(tmp_path: Path) -> None:
    with serving({"/a": Reply(b"x", headers={"Set-Cookie": "track=me"}), "/b": Reply(b"y")}) as server:
        visit(f"{server.url}/a", tmp_path)
        visit(f"{server.url}/b", tmp_path)
        assert {request.headers["user-agent"] for request in server.requests} == {user_agent("crawler@atelier.example")}
        assert all("cookie" not in request.headers for request in server.requests)


# At what pace.


def gaps_s(server: Server) -> list[float]:
    moments = [request.at_s for request in server.requests]
    return [later - earlier for earlier, later in pairwise(moments)]


def test_requests_to_a_host_are_rate_limited(tmp_path: Path) -> None:
    with serving({"/a": Reply(b"x"), "/b": Reply(b"x"), "/c": Reply(b"x")}) as server:

        async def run() -> None:
            async with PoliteClient(web(delay_s=0.3), tmp_path) as client:
                await asyncio.gather(*(client.get(f"{server.url}/{name}", accept="*/*", max_bytes=9) for name in "abc"))

        asyncio.run(run())
        assert len(server.requests) == 5
        assert min(gaps_s(server)) > 0.2


def test_processes_with_a_common_folder_share_the_rate_limit(tmp_path: Path) -> None:
    with serving({"/a": Reply(b"x")}) as server:

        async def run() -> None:
            async with PoliteClient(web(delay_s=0.3), tmp_path) as one, PoliteClient(web(delay_s=0.3), tmp_path) as other:
                await asyncio.gather(*(client.get(f"{server.url}/a", accept="*/*", max_bytes=9) for client in (one, other)))

        asyncio.run(run())
        assert min(gaps_s(server)) > 0.2


def test_crawl_delay_overrides_a_shorter_delay(tmp_path: Path) -> None:
    with serving({"/robots.txt": Reply(b"User-agent: *\nCrawl-delay: 0.4"), "/a": Reply(b"x")}) as server:
        visit(f"{server.url}/a", tmp_path)
        assert gaps_s(server)[1] > 0.35


def test_a_delay_above_max_wait_s_fails(tmp_path: Path) -> None:
    with serving({"/robots.txt": Reply(b"User-agent: *\nCrawl-delay: 3600"), "/a": Reply(b"x")}) as server:
        with pytest.raises(FailedError, match="asks for 3600 s between requests"):
            visit(f"{server.url}/a", tmp_path)
        assert server.paths() == []


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed(tmp_path: Path, status: int) -> None:
    answers = iter([Reply(status=status, headers={"Retry-After": "1"}), Reply(b"here")])
    with serving({"/a": lambda _: next(answers)}) as server:
        assert visit(f"{server.url}/a", tmp_path).body == b"here"
        assert gaps_s(server)[-1] > 0.95


def test_retry_after_delays_all_clients(tmp_path: Path) -> None:
    answers = iter([Reply(status=429, headers={"Retry-After": "1"}), Reply(b"here")])
    with serving({"/a": lambda _: next(answers), "/b": Reply(b"there")}) as server:

        async def run() -> None:
            async with PoliteClient(web(delay_s=0.01), tmp_path) as one, PoliteClient(web(delay_s=0.01), tmp_path) as other:
                first = asyncio.create_task(one.get(f"{server.url}/a", accept="*/*", max_bytes=9))
                while "/a" not in server.paths():
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.2)
                await other.get(f"{server.url}/b", accept="*/*", max_bytes=9)
                await first

        asyncio.run(run())
        at = {request.path: request.at_s for request in reversed(server.requests)}
        assert at["/b"] - at["/a"] > 0.95


def test_a_retry_after_beyond_patience_ends_the_visit(tmp_path: Path) -> None:
    error = failure(Reply(status=503, headers={"Retry-After": "86000"}), tmp_path)
    assert error.reason == "the host asks to come back in 86000 s"
    assert error.retry is Retry.NEXT_RUN


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("Mon, 01 Jun 2026 12:00:30 GMT", 30.0),
        ("Mon, 01 Jun 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_in_both_forms(value: str, seconds: float | None) -> None:
    assert retry_after_s(CIMultiDictProxy(CIMultiDict({"Retry-After": value})), NOW) == seconds


def test_pauses_double_and_differ() -> None:
    chance = random.Random(0)
    for attempt in range(1, 12):
        span = min(polite_client.MAX_BACKOFF_S, polite_client.FIRST_BACKOFF_S * 2 ** (attempt - 1))
        pauses = {backoff_s(attempt, chance) for _ in range(20)}
        assert len(pauses) > 1
        assert all(span / 2 <= pause <= span for pause in pauses)


# What may come back.


@pytest.mark.parametrize(
    ("status", "asked", "again"),
    [
        (404, 1, Retry.NEVER),
        (410, 1, Retry.NEVER),
        (451, 1, Retry.NEVER),
        (403, 1, Retry.NEVER),
        (429, 2, Retry.NEXT_RUN),
        (503, 2, Retry.NEXT_RUN),
        *((status, 2, Retry.NEXT_RUN) for status in (408, 425, 500, 502, 504)),
        (204, 1, Retry.NEXT_RUN),
        (304, 1, Retry.NEXT_RUN),
    ],
)
def test_bad_statuses(tmp_path: Path, status: int, asked: int, again: Retry) -> None:
    with serving({"/a": Reply(status=status)}) as server:
        with pytest.raises(FailedError, match=str(status)) as caught:
            visit(f"{server.url}/a", tmp_path)
        assert server.paths() == ["/a"] * asked
        assert caught.value.retry is again


def test_redirects_are_followed_to_the_end(tmp_path: Path) -> None:
    routes: dict[str, Route] = {f"/{hop}": Reply(status=302, headers={"Location": f"{hop + 1}"}) for hop in range(5)}
    with serving({**routes, "/5": Reply(b"here")}) as server:
        answer = visit(f"{server.url}/0", tmp_path)
        assert (answer.body, answer.url) == (b"here", f"{server.url}/5")


@pytest.mark.parametrize("location", ["/a", "/A", "?again"])
def test_a_redirect_loop_ends(tmp_path: Path, location: str) -> None:
    loop = Reply(status=301, headers={"Location": location})
    with serving({"/a": loop, "/A": Reply(status=301, headers={"Location": "/a"}), "/a?again": loop}) as server:
        with pytest.raises(FailedError, match="more than 5 redirects"):
            visit(f"{server.url}/a", tmp_path)
        assert len(server.paths()) == 6


@pytest.mark.parametrize("headers", [{}, {"Location": "http://[broken"}])
def test_a_redirect_without_a_usable_address(tmp_path: Path, headers: dict[str, str]) -> None:
    assert failure(Reply(status=302, headers=headers), tmp_path).reason == "a redirect without a usable address"


def drip(head: bytes) -> Callable[[Request], Iterator[bytes]]:
    def answer(_: Request) -> Iterator[bytes]:
        yield head
        for _byte in range(200):
            time.sleep(0.05)
            yield b"#"

    return answer


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX:"]
)
def test_a_slow_drip_ends_at_the_total_timeout(tmp_path: Path, head: bytes) -> None:
    with serving({"/a": drip(head)}) as server:
        visit_started = time.perf_counter()
        with pytest.raises(FailedError, match=r"took longer than 0\.6 s in total"):
            visit(f"{server.url}/a", tmp_path, timeout_s=0.6)
        assert time.perf_counter() - visit_started < 5
        assert server.paths() == ["/a"]  # it is not asked again in this run


def whole(head: bytes, *parts: bytes) -> Callable[[Request], list[bytes]]:
    return lambda _: [b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n", *parts]


ZIPPED = gzip.compress(b"x")
BOMB = gzip.compress(b"\0" * 50_000_000)
BREAKS = "the body is incomplete"


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (whole(b"Content-Length: 1000", b"half"), FailedError, BREAKS),
        (whole(b"Transfer-Encoding: chunked", b"5\r\nhello\r\n"), FailedError, BREAKS),
        (
            whole(b"Transfer-Encoding: chunked", b"zz\r\nhello\r\n"),
            FailedError,
            "is incomplete|not valid HTTP|connection broke",
        ),
        (whole(b"Transfer-Encoding: chunked", b"ffffffffffffffff\r\nhello\r\n"), FailedError, "is incomplete|not valid HTTP"),
        (whole(b"Content-Length: -5", b"hello"), FailedError, "not valid HTTP"),
        (whole(b"Content-Length: 5\r\nContent-Length: 50", b"hello"), FailedError, "not valid HTTP"),
        (lambda _: [b"SSH-2.0-OpenSSH_9.2\r\n"], FailedError, "not valid HTTP|connection broke"),
        (lambda _: [], FailedError, "the connection broke"),
        (whole(b"X: " + b"y" * 100_000, b"hello"), FailedError, "not valid HTTP"),
        (whole(b"Content-Length: 100001", b"x"), RefusedError, "larger than 100000 bytes"),
        (whole(b"Content-Length: 99999999999999999999", b"x"), FailedError, "not valid HTTP"),
        (whole(b"Server: endless", b"x" * 100_001), RefusedError, "larger than 100000 bytes"),
        (whole(b"Transfer-Encoding: chunked", b"186A1\r\n" + b"x" * 100_001), RefusedError, "larger than 100000 bytes"),
        (whole(b"Content-Encoding: gzip", BOMB), RefusedError, "larger than 100000 bytes"),
        (whole(b"Content-Encoding: gzip", ZIPPED, b"\0" * 1_000_000), RefusedError, "larger than 100000 bytes"),
        (whole(b"Content-Encoding: gzip", ZIPPED + ZIPPED[:10]), FailedError, "the compressed body is incomplete"),
        (whole(b"Content-Encoding: gzip", gzip.compress(BOMB)[:40]), FailedError, "the compressed body is incomplete"),
        (whole(b"Content-Encoding: gzip", b"not gzip at all"), FailedError, "the compressed body is damaged"),
        (whole(b"Content-Encoding: br", b"?"), FailedError, "an encoding that was not requested: br"),
        (whole(b"Content-Encoding: gzip, gzip", BOMB), FailedError, "an encoding that was not requested"),
        (whole(b"Content-Encoding: deflate", zlib.compress(b"x")), FailedError, "an encoding that was not requested"),
    ],
)
def test_incomplete_and_oversized_bodies(tmp_path: Path, answer: Route, kind: type[RequestError], reason: str) -> None:
    error = failure(answer, tmp_path, retries=0, timeout_s=30.0)
    assert isinstance(error, kind)
    assert re.search(reason, error.reason)


def test_a_body_of_exactly_the_limit_is_taken(tmp_path: Path) -> None:
    content = b"x" * MAX_BYTES
    with serving({"/a": Reply(content), "/z": Reply(gzip.compress(content), headers={"Content-Encoding": "gzip"})}) as server:
        assert visit(f"{server.url}/a", tmp_path).body == content
        assert visit(f"{server.url}/z", tmp_path, accept="text/html").body == content


@pytest.mark.parametrize("rest", [b"", b"padding", b"\0" * 50_000])
def test_a_gzip_body_of_two_members_is_taken_whole_and_what_follows_is_not(tmp_path: Path, rest: bytes) -> None:
    body = gzip.compress(b"one, ") + gzip.compress(b"two") + rest
    with serving({"/a": Reply(body, headers={"Content-Encoding": "gzip"})}) as server:
        assert visit(f"{server.url}/a", tmp_path, accept="text/html").body == b"one, two"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_gzip_members_are_taken_whole_however_the_stream_is_cut(size: int) -> None:
    stream = gzip.compress(b"one, ") + gzip.compress(b"two") + b"padding" + gzip.compress(b"more")
    gunzipper = Gunzipper(MAX_BYTES)
    assert b"".join(gunzipper.feed(stream[start : start + size]) for start in range(0, len(stream), size)) == b"one, two"
    gunzipper.finish()


def test_a_broken_body_is_retried(tmp_path: Path) -> None:
    answers: Iterator[Reply | Iterable[bytes]] = iter(
        [[b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"], Reply(b"all of it")]
    )
    with serving({"/a": lambda _: next(answers)}) as server:
        assert visit(f"{server.url}/a", tmp_path).body == b"all of it"


def test_a_closed_port_fails(tmp_path: Path) -> None:
    with serving({}) as server:
        pass
    with pytest.raises(RefusedError, match=r"robots\.txt is unreachable \(no connection to 127\.0\.0\.1"):
        visit(f"{server.url}/a", tmp_path, retries=0)


def test_an_unresponsive_host_is_given_up(tmp_path: Path) -> None:
    with serving({"/a": drip(b"HTTP/1.1 200 OK\r\n\r\n")}) as server:

        async def run() -> list[str]:
            async with PoliteClient(web(timeout_s=0.2, retries=0, connections_per_host=1), tmp_path) as client:
                reasons = []
                for _ in range(polite_client.MAX_UNANSWERED + 2):
                    with pytest.raises(FailedError) as caught:
                        await client.get(f"{server.url}/a", accept="*/*", max_bytes=9)
                    reasons.append(caught.value.reason)
                return reasons

        reasons = asyncio.run(run())
        assert reasons[-2:] == ["127.0.0.1 no longer answers"] * 2
        assert len(server.paths()) == polite_client.MAX_UNANSWERED


def test_bodies_in_flight_share_a_budget_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.web import client

    monkeypatch.setattr(client, "MAX_BUFFERED_BYTES", 150_000)
    with serving({f"/{number}": Reply(b"x" * MAX_BYTES) for number in range(6)}) as server:

        async def run() -> list[Response]:
            async with PoliteClient(web(), tmp_path) as client:
                visits: list[Coroutine[Any, Any, Response]] = [
                    client.get(f"{server.url}/{number}", accept="*/*", max_bytes=MAX_BYTES) for number in range(6)
                ]
                return await asyncio.gather(*visits)

        assert [len(answer.body) for answer in asyncio.run(run())] == [MAX_BYTES] * 6
