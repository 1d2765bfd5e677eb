"""The studio behind a reverse proxy, under a path prefix: no link or redirect leaves the prefix."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from studio.app import STATIC
from tests.support.prefix_proxy import proxied
from tests.support.studio_model import write_stand_in
from tests.support.studio_server import Client, served

PREFIX, TOKEN = "/atelier", "0123456789abcdef"
LINK = re.compile(r"""(?:href|src)="([^"#:]+)"|from "([^"]+)\"""")
SCRIPTED = re.compile(r"""["'`](/?(?:api|picture)/[^"'`?]*)""")


@pytest.fixture(scope="module", params=[(True, ""), (True, PREFIX), (False, PREFIX)], ids=["unknown", "known", "kept"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Behind a proxy that strips the prefix, unknown to the studio or known, or keeps it."""
    strips, root_path = request.param
    folder = tmp_path_factory.mktemp("studio")
    with (
        served(write_stand_in(folder / "model"), folder, root_path=root_path) as studio,
        proxied(studio.port, PREFIX, strips=strips) as port,
    ):
        yield Client(port, PREFIX)


def test_the_page_and_all_it_loads_are_found_under_the_prefix(client: Client) -> None:
    unseen, seen = ["/"], set[str]()
    while unseen:
        path = unseen.pop()
        seen.add(path)
        answer = client.request("GET", path)
        assert answer.status == 200, path
        for found in LINK.findall(answer.content.decode()):
            target = urljoin(PREFIX + path, "".join(found))
            assert target.startswith(PREFIX + "/"), found
            if target.removeprefix(PREFIX) not in seen:
                unseen.append(target.removeprefix(PREFIX))
    assert {"/main.js", "/api.js", "/collections.js", "/studio.css", "/mark.svg"} <= seen


@pytest.mark.parametrize("file", sorted(path.name for path in STATIC.glob("*.js")))
def test_a_script_asks_by_relative_addresses(file: str) -> None:
    text = (STATIC / file).read_text(encoding="utf-8")
    assert [path for path in SCRIPTED.findall(text) if path.startswith("/")] == []
    assert "location.origin}/" not in text


def test_everything_is_asked_for_under_the_prefix(client: Client) -> None:
    origin = {"origin": f"http://127.0.0.1:{client.port}", "sec-fetch-site": "same-origin"}
    address = client.request("POST", "/api/grid", {"seed": 1, "count": 1}, origin).json["addresses"][0]
    assert client.request("GET", f"/picture/{address}.png?side=64").content.startswith(b"\x89PNG")
    assert client.request("POST", "/api/uploads", b"x" * ((256 << 10) + 1), origin).status == 415  # bounded as an upload
    collection = client.request("POST", "/api/collections", {"name": "Été"}, origin).json["id"]
    pieces = f"/api/collections/{collection}/pieces"
    assert client.request("POST", pieces, {"address": address, "name": "One"}, origin).status == 201
    assert client.request("GET", f"/api/collections/{collection}/board.pdf").content.startswith(b"%PDF")
    assert client.request("DELETE", f"/api/collections/{collection}", headers=origin).status == 204
    assert client.request("GET", "/api/studio", headers={"sec-fetch-site": "cross-site"}).status == 403


@pytest.mark.parametrize("root_path", ["", PREFIX])
def test_the_token_becomes_a_cookie_and_leads_to_the_page_under_the_prefix(tmp_path: Path, root_path: str) -> None:
    with (
        served(write_stand_in(tmp_path / "model"), tmp_path, token=TOKEN, root_path=root_path) as studio,
        proxied(studio.port, PREFIX) as port,
    ):
        client = Client(port, PREFIX)
        assert client.request("GET", "/").status == 401
        answer = client.request("GET", f"/?token={TOKEN}")
        assert answer.status == 303
        assert urlsplit(urljoin(f"http://127.0.0.1:{port}{PREFIX}/", answer.headers["location"])).path == f"{PREFIX}/"
        cookie, *attributes = answer.headers["set-cookie"].split("; ")
        assert f"Path={root_path}/" in attributes
        assert client.request("GET", "/api/studio", headers={"cookie": cookie}).status == 200


def test_a_proxy_that_passes_its_own_host_needs_the_name_in_allowed_host(tmp_path: Path) -> None:
    model, public = write_stand_in(tmp_path / "model"), {"origin": "https://design.example"}
    for names, status in (([], 403), (["design.example"], 200)):
        with (
            served(model, tmp_path, allowed_hosts=names) as studio,
            proxied(studio.port, PREFIX, own_host=True) as port,
        ):
            asked = Client(port, PREFIX).request("POST", "/api/grid", {"seed": 1, "count": 1}, public)
            assert asked.status == status


def test_the_documented_api_names_the_prefix_it_knows(tmp_path: Path) -> None:
    with served(write_stand_in(tmp_path / "model"), tmp_path, root_path=PREFIX) as client:
        assert client.request("GET", "/openapi.json").json["servers"] == [{"url": PREFIX}]
