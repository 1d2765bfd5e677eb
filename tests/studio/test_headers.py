"""Fuzzed request headers, paths and bodies: the studio responds with a 4xx, never with an internal error."""

import json
import logging
import random
import socket
import string
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from studio import http_limits
from tests.support.studio_model import write_stand_in
from tests.support.studio_server import Client, served, served_studio

TOKEN = "0123456789abcdef"
METHODS = ["GET", "GET", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "get", "\xff", ""]
PATHS = [
    "/",
    "/main.js",
    "/api/studio",
    "/api/grid",
    "/api/pictures",
    "/api/move",
    "/api/suggestions?category=dress",
    "/api/uploads",
    "/api/uploads/x",
    "/api/collections",
    "/api/collections/1",
    "/api/collections/1/pieces",
    "/api/collections/1/pieces/1/picture",
    "/api/collections/1/sheet.png?columns=2",
    "/api/directions/x?category=dress",
    "/api/jobs/AAAAAAAAAAAA",
    "/picture/0123456789ab-0-s1.0.1000.png?side=64",
    "/openapi.json",
]
ODD_PARTS = [
    *("%00", "%ff", "%ed%a0%80", "%2f..%2f", "%", "%zz", "..", "//", ";", "?", "&", "=", "#", "*", "%f0%9f%91%97"),
    *("9" * 5000, "-1", "1e9", "NaN", "\xe9", "?side=" + "9" * 400, "?columns=%D9%A3", "?token=%ff", "?category=%00"),
]
HEADERS = [
    *("Host", "Origin", "Referer", "Content-Type", "Content-Length", "Range", "If-None-Match", "If-Modified-Since", "Accept"),
    *("Accept-Language", "Accept-Encoding", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix"),
    *("Forwarded", "Cookie", "Authorization", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Transfer-Encoding"),
    *("Upgrade", "Connection", "Expect", "TE", "Date", "X-\xff", "", " "),
]
VALUES = [
    *("", " ", "\x00", "\x7f", "\xff\xfe", "\t", "a" * 3000, "a" * 70_000, ",", ";", "=", '"', "*", "null", "NaN", "-1", "0"),
    *("http://[::1", "http://]", "http://[", "[::1", "[", "]", ":", "::", "localhost", "127.0.0.1", "127.0.0.1:99999"),
    *("http://127.0.0.1:x", "http://127.0.0.1:99999999999", "https://a\xbd", "9" * 25, "9" * 5000, "1e400", "\xb2"),
    *(
        "application/json",
        "application/json; charset=\xff",
        "application/json; charset=utf-7",
        "text/plain",
        "multipart/form-data",
    ),
    *("multipart/form-data; boundary=\xff", "multipart/form-data; boundary=x; filename=../../x", "image/png", "/", ";;;="),
    *("bytes=0-", "bytes=9-1", "bytes=" + "0-1," * 500, "bytes=" + "9" * 400 + "-", 'W/"x", *, "', "chunked", "gzip, chunked"),
    *("websocket", "close", "keep-alive", "100-continue", "200-ok", "atelier-token=x", "atelier-token=\x01; ;;", "=;" * 500),
    *(
        "cross-site",
        "same-origin",
        "Bearer ",
        "Bearer \xff",
        "Basic " + "A" * 2000,
        "de;q=9, *;q=x",
        "Sun, 99 Foo 99999999 99:99",
    ),
]
BODIES = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b'{"seed": 1, "count": 1}',
    b'{"seed": NaN}',
    b'{"seed": 1e999, "count": -1e999}',
    b'{"seed": ' + b"9" * 5000 + b"}",
    b'{"seed": 1, "truncation": ' + b"9" * 400 + b"}",
    b'{"name": "\\ud800"}',
    b'{"\\ud800": "\\udfff"}',
    b'{"name": "\\u0000"}',
    b'{"name": "\xff\xfe"}',
    b"\xef\xbb\xbf{}",
    b"\x00" * 100,
    b"[" * 50_000,
    b'{"a":' * 20_000,
    b'{"addresses": ' + b"[" * 900 + b"]" * 900 + b"}",
    b"\xff\xd8\xff" + b"x" * 400,
    b"\x89PNG\r\n\x1a\n",
    b'--x\r\nContent-Disposition: form-data; name="a"; filename="../../\x00\xff"\r\n\r\nx\r\n--x--\r\n',
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("studio")
    with served_studio(folder) as found:
        yield found


class Errors(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep `record`, with its traceback."""
        self.found.append(self.format(record))


@contextmanager
def accidents() -> Iterator[list[str]]:
    """What the studio logs as errors meanwhile, and uvicorn, whose log does not propagate."""
    errors, loggers = Errors(), [logging.getLogger(name) for name in ("", "uvicorn")]
    for one in loggers:
        one.addHandler(errors)
    try:
        yield errors.found
    finally:
        for one in loggers:
            one.removeHandler(errors)


def status_of(client: Client, request: bytes) -> int:
    """The status of the answer to the bytes of one `request`, on a connection of its own."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as connection:
        connection.sendall(request)
        answer = b""
        try:
            while b"\r\n" not in answer and (part := connection.recv(4096)):
                answer += part
        except ConnectionResetError:  # it was refused while bytes were still on their way
            pass
    words = answer.split(b" ")
    return int(words[1]) if words[0].startswith(b"HTTP/") else 0


def odd_request(rng: random.Random, port: int, token: str | None) -> bytes:
    """A request that is mostly in order, with a few odd parts."""
    path = rng.choice(PATHS)
    if rng.random() < 0.4:
        place = rng.randrange(1, len(path) + 1)
        path = path[:place] + rng.choice(ODD_PARTS) + path[place:]
    body = rng.choice(BODIES) if rng.random() < 0.7 else b""
    headers = {"Host": f"127.0.0.1:{port}", "Content-Type": "application/json", "Content-Length": str(len(body))}
    if token and rng.random() < 0.8:
        headers["Authorization"] = f"Bearer {token}"
    lines = [*headers.items(), ("Connection", "close")]
    for _ in range(rng.randrange(4)):
        value = rng.choice(VALUES)
        if rng.random() < 0.3:
            value += rng.choice(VALUES[:40]) + "".join(rng.choices(string.printable[:95], k=5))
        odd = (rng.choice(HEADERS), value)
        where = rng.randrange(len(lines) + 1)
        lines[where : where + rng.randrange(2)] = [odd]
    head = "".join(f"{name}: {value}\r\n" for name, value in lines)
    return f"{rng.choice(METHODS)} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


def ask_oddly(client: Client, count: int, seed: int, token: str | None) -> Counter[int]:
    """How often each status came back from `count` odd requests; fails with the first that met an accident."""
    rng, found = random.Random(seed), Counter[int]()
    with accidents() as errors:
        for _ in range(count):
            request = odd_request(rng, client.port, token)
            status = status_of(client, request)
            found[status] += 1
            assert status < 500 or status == 503, request[:2000]
            assert errors == [], request[:2000]
    return found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies that were announced and do not come are waited for only briefly."""
    monkeypatch.setattr(http_limits, "BODY_TIMEOUT_S", 0.2)
    monkeypatch.setattr(http_limits, "HEAD_TIMEOUT_S", 0.5)


@pytest.mark.usefixtures("impatient")
def test_odd_requests_are_refused_without_an_accident(client: Client) -> None:
    found = ask_oddly(client, 400, 1, None)
    assert {200, 400, 404, 405, 422} <= set(found)  # they get far enough to matter
    assert client.request("POST", "/api/grid", {"seed": 1}).status == 200


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize("root_path", ["", "/api-of/atelier"])
def test_thousands_of_odd_requests_are_refused_without_an_accident(tmp_path: Path, token: str | None, root_path: str) -> None:
    with served(write_stand_in(tmp_path / "model"), tmp_path, token=token, root_path=root_path) as client:
        ask_oddly(client, 5000, 2, token)


@pytest.mark.parametrize("name", ["Host", "Origin", "Content-Length", "Cookie", "Authorization", "Sec-Fetch-Site", "Range"])
@pytest.mark.parametrize("value", [b"", b"\xff\xfe", b"\x00", b"http://[::1", b"x" * 70_000])
def test_no_value_of_a_header_is_an_accident(client: Client, caplog: pytest.LogCaptureFixture, name: str, value: bytes) -> None:
    head = b"GET /api/studio HTTP/1.1\r\n" + (b"" if name == "Host" else b"Host: 127.0.0.1\r\n")
    status = status_of(client, head + name.encode() + b": " + value + b"\r\nConnection: close\r\n\r\n")
    assert status == 200 or 400 <= status < 500
    assert caplog.records == [] or all(record.levelno < logging.ERROR for record in caplog.records)


@pytest.mark.parametrize("path", ["/api/uploads", "/api/grid"])
def test_a_client_that_disconnects_within_its_body_causes_no_error(client: Client, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    with accidents() as errors:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", client.port), timeout=60) as connection:
                connection.sendall(head.encode() + b"{")
        for _ in range(3):  # by then those who hung up are dealt with
            assert client.request("POST", "/api/grid", {"seed": 1, "count": 1}).status == 200
    assert errors == []


@pytest.mark.parametrize(
    ("known", "status"),
    [("{}", 304), ("W/{}", 304), ('"other", {}', 304), ('"other"', 200), ("", 200), ('"', 200), ("\xff", 200)],
)
def test_a_page_with_a_matching_etag_is_not_sent_again(client: Client, known: str, status: int) -> None:
    tag = client.request("GET", "/main.js").headers["etag"]
    assert client.request("GET", "/main.js", headers={"if-none-match": known.format(tag)}).status == status


@pytest.mark.parametrize(
    "odd",
    [lambda name: f"/api/{name}/", lambda name: f"//api/{name}", lambda name: f"/api//{name}"],
    ids=["end", "start", "middle"],
)
def test_a_path_with_an_extra_slash_is_not_redirected(client: Client, odd: Callable[[str], str]) -> None:
    answer = client.request("GET", odd("studio"))
    assert answer.status == 404
    assert "location" not in answer.headers
    assert json.loads(answer.content)["detail"]
