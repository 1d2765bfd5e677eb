import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from pipeline.web.addresses import is_public
from pipeline.web.client import checked_url
from pipeline.web.polite_client import PoliteClient
from pipeline.web.responses import RefusedError, RequestError
from tests.support.web_params import web
from tests.support.web_server import Reply, Server, serving

PUBLIC = ["93.184.216.34", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
NOT_PUBLIC = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2001:0:5ef5:79fd:0:59d:a0e5:ba1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "2620:0:2d0:200:0:5efe:a00:1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "localhost",
    "",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_the_web_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_non_public_addresses(address: str) -> None:
    assert not is_public(address)


class Names(AbstractResolver):
    """Resolves every name to the addresses given, one list after another, over and over."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = answers
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:  # noqa: ARG002 (the interface)
        answer = self._answers[self.asked % len(self._answers)]
        self.asked += 1
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in answer
        ]

    async def close(self) -> None:
        pass


def visited(url: str, folder: Path, resolver: AbstractResolver | None = None, **changes: Any) -> bytes:
    async def visit() -> bytes:
        async with PoliteClient(web(**changes), folder, resolver=resolver) as client:
            return (await client.get(url, accept="image/*", max_bytes=1000)).body

    return asyncio.run(visit())


@pytest.fixture
def listeners() -> Iterator[list[Server]]:
    """Servers on every address of this machine that can be listened on."""
    candidates = ["127.0.0.1", "127.0.0.2", "::1", *_own_addresses()]
    with ExitStack() as stack:
        servers = []
        for address in dict.fromkeys(candidates):
            try:
                servers.append(stack.enter_context(serving({}, address)))
            except OSError:
                continue
        yield servers


def _own_addresses() -> list[str]:
    try:
        return [str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)]
    except OSError:
        return []


def test_thirty_targets_get_no_connection(listeners: list[Server], tmp_path: Path) -> None:
    port, second = listeners[0].port, listeners[1].port
    own = [server.url for server in listeners]
    literal = [
        *own,
        f"http://0.0.0.0:{port}",
        f"http://0:{port}",
        f"http://127.1:{port}",
        f"http://2130706433:{port}",
        f"http://0x7f000001:{port}",
        f"http://0x7f.1:{port}",
        f"http://0177.0.0.1:{port}",
        f"http://127.0.0.1.:{port}",
        f"http://[::ffff:127.0.0.1]:{port}",
        f"http://[::ffff:7f00:2]:{second}",
        f"http://[::7f00:1]:{port}",
        f"http://[64:ff9b::7f00:1]:{port}",
        f"http://[2002:7f00:1::]:{port}",
        f"http://[::]:{port}",
        f"http://localhost:{port}",
        f"http://LOCALHOST:{port}",
        f"http://①②⑦.⓪.⓪.①:{port}",
        f"http://example.com@127.0.0.1:{port}",
        f"http://127.0.0.1:{port}\\@example.com",
        f"http://169.254.169.254:{port}/latest/meta-data/",
        f"https://127.0.0.1:{port}",
        "file:///etc/passwd",
        f"gopher://127.0.0.1:{port}/_GET",
        f"ftp://127.0.0.1:{port}/",
        "data:image/png;base64,AAAA",
        "//127.0.0.1/",
    ]
    named = [[server.url.split("//")[1].rsplit(":", 1)[0].strip("[]")] for server in listeners]
    targets = [(url, None) for url in literal] + [(f"http://shop.example:{port}/", Names(addresses)) for addresses in named]
    assert len(targets) >= 30
    for number, (url, resolver) in enumerate(targets):
        with pytest.raises(RequestError):
            visited(url, tmp_path / str(number), resolver, allow_loopback=False, retries=0)
    assert [server.connections for server in listeners] == [0] * len(listeners)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://10.0.0.1/", "not at a public address"),
        ("http://169.254.169.254/latest/meta-data/", "not at a public address"),
        ("http://[::ffff:10.0.0.1]/", "not at a public address"),
        ("//192.168.0.1/router", "not at a public address"),
        ("http://2130706433/", "cannot be requested|not at a public address|robots.txt is unreachable"),
        ("file:///etc/passwd", "is not http"),
        ("gopher://10.0.0.1/", "is not http"),
        ("http://user:secret@shop.example/", "user name or password"),
    ],
)
def test_every_redirect_hop_is_checked(tmp_path: Path, target: str, reason: str) -> None:
    with serving({"/a": Reply(status=302, headers={"Location": target})}) as server, pytest.raises(RefusedError, match=reason):
        visited(f"{server.url}/a", tmp_path, retries=0)


def test_dns_rebinding_is_checked_at_every_connection(tmp_path: Path) -> None:
    # Another port is another connection, and asks for the name again.
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    with serving({}) as server:
        server.routes["/a"] = Reply(status=302, headers={"Location": f"http://shop.example:{server.port + 1}/b"})
        with pytest.raises(RefusedError, match=r"shop\.example is not at a public address"):
            visited(f"http://shop.example:{server.port}/a", tmp_path, names, retries=0)
    assert names.asked == 2


def test_loopback_is_open_to_whoever_says_so(tmp_path: Path) -> None:
    with serving({"/a": Reply(b"content")}) as server:
        assert visited(f"{server.url}/a", tmp_path) == b"content"


@pytest.mark.parametrize(
    "url", ["http://a b/", "http:///a", "shop.example/a", "http://[::1/", "http://x/" + "a" * 9000, "http://x/\n"]
)
def test_an_invalid_url_is_refused_without_a_request(url: str) -> None:
    with pytest.raises(RefusedError):
        checked_url(url)
