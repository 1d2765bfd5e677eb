"""Access control and limits: host names, origins, tokens, and the size and speed of bodies."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from studio import http_limits
from studio.http_limits import COOKIE, MAX_BODY_BYTES, Guard, host_name

TOKEN = "0123456789abcdef"
Answer = tuple[int, dict[str, str], bytes]


async def echo_length(_scope: Any, receive: Any, send: Any) -> None:
    length = 0
    while True:
        message = await receive()
        length += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(length).encode()})


async def swallow_errors(scope: Any, receive: Any, send: Any) -> None:
    """As frameworks do: whatever goes wrong with a body is the client's mistake."""
    try:
        await echo_length(scope, receive, send)
    except Exception:
        await send({"type": "http.response.start", "status": 400, "headers": []})
        await send({"type": "http.response.body", "body": b"mistake"})


def asked(
    app: Callable[..., Awaitable[None]] = echo_length,
    *,
    method: str = "GET",
    path: str = "/api/studio",
    headers: dict[str, str] | None = None,
    query: str = "",
    body: list[bytes] | None = None,
    delay_s: float = 0,
    repeated: list[tuple[str, str]] | None = None,
    **guard: Any,
) -> Answer:
    """Status, headers and body of the answer to one request through the guard."""
    parts = body or [b""]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(delay_s)
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    given = list(({"host": "127.0.0.1:8420"} | (headers or {})).items()) + (repeated or [])
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given],
    }
    guarded = Guard(app, **({"token": None, "max_upload_bytes": 1000} | guard))
    asyncio.run(guarded(scope, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:])


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8420", "[::1]:8420", "LOCALHOST:1"])
def test_loopback_names_are_served(host: str) -> None:
    assert asked(headers={"host": host})[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "192.168.1.7:8420", "", "localhost.evil.example:80"]
)
def test_other_host_names_are_refused(host: str) -> None:
    status, _, body = asked(headers={"host": host})
    assert status == 421
    assert "name" in json.loads(body)["detail"]


def test_with_a_token_ip_addresses_and_allowed_hosts_are_served() -> None:
    known = {"authorization": f"Bearer {TOKEN}"}
    assert asked(headers={"host": "192.168.1.7:8420"} | known, token=TOKEN)[0] == 200
    assert asked(headers={"host": "studio.lan"} | known, token=TOKEN)[0] == 421
    assert asked(headers={"host": "studio.lan"} | known, token=TOKEN, names=frozenset({"Studio.lan"}))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_requests_from_other_sites_are_refused(headers: dict[str, str]) -> None:
    assert asked(method="POST", headers=headers)[0] == 403


def test_requests_from_the_own_page_are_served() -> None:
    own = {"origin": "http://127.0.0.1:8420", "sec-fetch-site": "same-origin"}
    assert asked(method="POST", headers=own)[0] == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://[::1",
        "http://]",
        "http://[::1]]",
        "http://a\u00bd.example",
        "//",
        "http:",
        "",
        "\u00ff",
        "[",
        "http://[v1.x]",
        "x" * 9000,
    ],
)
def test_a_malformed_origin_is_refused(origin: str) -> None:
    assert asked(headers={"origin": origin})[0] == 403


@pytest.mark.parametrize("length", ["", "-1", "+1", "1e3", "\u00b2", "9" * 5000, "1, 1", "0x10", " 1"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_malformed_content_length_is_refused(method: str, length: str) -> None:
    assert asked(method=method, headers={"content-length": length})[0] == 400


@pytest.mark.parametrize("name", ["host", "origin", "content-length", "sec-fetch-site", "authorization"])
def test_a_repeated_single_header_is_refused(name: str) -> None:
    known = {"host": "127.0.0.1", "origin": "http://127.0.0.1", "content-length": "0", "sec-fetch-site": "same-origin"}
    value = known.get(name, f"Bearer {TOKEN}")
    assert asked(headers={"host": "127.0.0.1", name: value})[0] == 200
    assert asked(headers={"host": "127.0.0.1", name: value}, repeated=[(name, value)])[0] == 400


@pytest.mark.parametrize(
    "host", ["[::1", "]::1[", "[[::1]]", "[]", "localhost:\u00b2", "\u00ff", "localhost:8420:1", "x" * 9000]
)
@pytest.mark.parametrize("token", [None, TOKEN])
def test_a_malformed_host_is_refused(host: str, token: str | None) -> None:
    assert asked(headers={"host": host, "authorization": f"Bearer {TOKEN}"}, token=token)[0] == 421


def test_origins_of_allowed_hosts_are_served_behind_a_proxy_with_another_host() -> None:
    given: dict[str, Any] = {"token": None, "names": frozenset({"Design.example", "design.example:8443"})}
    for origin in ("https://design.example", "https://design.example:8443", "http://127.0.0.1:8420"):
        assert asked(method="POST", headers={"origin": origin}, **given)[0] == 200
    for origin in ("https://design.example:9", "https://a.design.example", "https://localhost", "null"):
        assert asked(method="POST", headers={"origin": origin}, **given)[0] == 403
    assert asked(headers={"host": "design.example:8443"}, **given)[0] == 200


@pytest.mark.parametrize("prefix", ["", "/atelier"])
def test_limits_are_the_same_under_a_root_path(prefix: str) -> None:
    root: dict[str, Any] = {"root_path": "/atelier"}
    assert asked(method="POST", path=f"{prefix}/api/uploads", headers={"content-length": "1001"}, **root)[0] == 413
    assert asked(path=f"{prefix}/api/studio", headers={"sec-fetch-site": "same-site"}, **root)[0] == 403
    assert asked(path=f"{prefix}/", headers={"sec-fetch-site": "same-site"}, **root)[0] == 200


@pytest.mark.parametrize(
    ("root", "path", "location"),
    [
        ("", "/", "./"),
        ("", "/index.html", "./"),
        ("", "/api/studio", "../"),
        ("/a/b", "/a/b/", "./"),
        ("/a/b", "/a/b/api/studio", "../"),
        ("/a/b", "/", "./"),
        ("/a/b", "/a/b", "/a/b/"),
        ("", "/a//b/c", "../../../"),
    ],
)
def test_the_token_redirects_to_the_first_page_under_any_prefix(root: str, path: str, location: str) -> None:
    status, headers, _ = asked(path=path, query=f"token={TOKEN}", token=TOKEN, root_path=root)
    assert (status, headers["location"]) == (303, location)
    assert headers["set-cookie"].endswith(f"; Path={root}/")


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer 0123456789abcdeX"}, {"cookie": f"{COOKIE}=x"}, {"cookie": "a=b; ;;\x01"}]
)
def test_without_the_token_requests_are_refused(headers: dict[str, str]) -> None:
    assert asked(headers=headers, token=TOKEN)[0] == 401


def test_the_token_in_the_query_becomes_an_http_only_cookie() -> None:
    status, headers, _ = asked(path="/", query=f"token={TOKEN}", token=TOKEN)
    assert (status, headers["location"]) == (303, "./")
    assert headers["set-cookie"] == f"{COOKIE}={TOKEN}; HttpOnly; SameSite=Strict; Path=/"
    assert asked(headers={"cookie": f"{COOKIE}={TOKEN}"}, token=TOKEN)[0] == 200


def test_every_response_has_the_security_headers() -> None:
    for headers in (asked()[1], asked(headers={"host": "evil.example"})[1]):
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("app", [echo_length, swallow_errors])
def test_a_body_that_grows_too_large_is_refused(app: Callable[..., Awaitable[None]]) -> None:
    block = MAX_BODY_BYTES // 4
    assert asked(app, method="POST", path="/api/grid", body=[b"x" * block] * 4)[2] == str(4 * block).encode()
    status, _, body = asked(app, method="POST", path="/api/grid", body=[b"x" * block] * 5)
    assert status == 413
    assert "KiB" in json.loads(body)["detail"]


def test_a_body_with_too_large_a_content_length_is_not_read() -> None:
    status, headers, _ = asked(method="POST", path="/api/uploads", headers={"content-length": "1001"}, body=[b"never read"])
    assert (status, headers["connection"]) == (413, "close")
    assert asked(method="POST", path="/api/uploads", headers={"content-length": "1000"}, body=[b"x" * 1000])[0] == 200


@pytest.mark.parametrize("app", [echo_length, swallow_errors])
def test_a_slow_body_times_out(app: Callable[..., Awaitable[None]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_limits, "BODY_TIMEOUT_S", 0.1)
    assert asked(app, method="POST", path="/api/grid", body=[b"x"] * 50, delay_s=0.03)[0] == 408


def test_the_oldest_body_is_aborted_when_all_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_limits, "MAX_TOTAL_BODY_BYTES", 2500)
    sent: dict[str, list[dict[str, Any]]] = {name: [] for name in ("first", "second", "third")}
    guarded = Guard(echo_length, token=None, max_upload_bytes=1000)

    async def send(name: str, *, stalls: bool) -> None:
        parts = [b"x" * 900, b"x" * 10]

        async def receive() -> dict[str, Any]:
            if stalls and len(parts) == 1:
                await asyncio.sleep(60)
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def answered(message: Any) -> None:
            sent[name].append(dict(message))

        headers = [(b"host", b"127.0.0.1")]
        scope = {"type": "http", "method": "POST", "path": "/api/uploads", "query_string": b"", "headers": headers}
        await guarded(scope, receive, answered)

    async def three() -> None:
        slow = [asyncio.create_task(send(name, stalls=True)) for name in ("first", "second")]
        await asyncio.sleep(0.01)
        await send("third", stalls=False)
        await slow[0]
        slow[1].cancel()

    asyncio.run(three())
    assert sent["first"][0]["status"] == 503
    assert not sent["second"]
    assert sent["third"][1]["body"] == b"910"


def test_host_names_lose_their_port() -> None:
    assert [host_name(host) for host in ("a:1", "A", "[::1]:80", "[::1]")] == ["a", "a", "[::1]", "[::1]"]
