"""The studio's API over HTTP: everything designers do, invalid requests, and slow clients."""

import base64
import http.client
import io
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from studio import http_limits
from studio.directions import MIN_OWN_EFFECT
from studio.measures import measure
from tests.support.studio_model import CATEGORIES, SIDE, styled_graph
from tests.support.studio_server import Answer, Client, served_studio


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with served_studio(tmp_path_factory.mktemp("studio")) as found:
        yield found


def pixels(grid: dict[str, Any]) -> np.ndarray:
    shape = len(grid["addresses"]), grid["height"], grid["width"], grid["channels"]
    return np.frombuffer(base64.b64decode(grid["pixels"]), np.uint8).reshape(shape)


def photograph() -> bytes:
    picture = np.full((160, 120, 3), 240, np.uint8)
    picture[20:140, 35:85] = (60, 50, 90)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="JPEG")
    return file.getvalue()


def a_garment(client: Client, category: str = "dress", seed: int = 1) -> str:
    return client.request("POST", "/api/grid", {"category": category, "count": 1, "seed": seed}).json["addresses"][0]


def test_the_page_loads_nothing_from_elsewhere(client: Client) -> None:
    page = client.request("GET", "/")
    assert page.headers["content-type"].startswith("text/html")
    text = page.content.decode()
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text
    assert " style=" not in text
    assert " onclick" not in text
    for name in ("studio.css", "main.js", "mark.svg"):
        answer = client.request("GET", f"/{name}")
        assert answer.status == 200
        again = client.request("GET", f"/{name}", headers={"if-none-match": answer.headers["etag"]})
        assert again.status == 304


@pytest.mark.parametrize(
    "path", ["/../app.py", "/..%2fapp.py", "/%2e%2e/%2e%2e/etc/passwd", "/static/main.js", "/main.js%00", "//etc/passwd"]
)
def test_paths_outside_the_static_files_are_not_found(client: Client, path: str) -> None:
    assert client.request("GET", path).status == 404


def test_addresses_of_a_grid_give_the_same_pictures(client: Client) -> None:
    grid = client.request("POST", "/api/grid", {"category": "dress", "count": 16, "seed": 7, "truncation": 0.7}).json
    assert grid["categories"] == ["dress"] * 16
    assert len(set(grid["addresses"])) == 16
    again = client.request("POST", "/api/pictures", {"addresses": grid["addresses"]}).json
    assert np.array_equal(pixels(grid), pixels(again))
    assert pixels(grid).shape == (16, SIDE, SIDE, 1)
    assert client.request("POST", "/api/grid", {"count": 4, "seed": 7}).json["categories"] == [*CATEGORIES, CATEGORIES[0]]


def test_a_downloaded_picture_is_marked_as_ai_generated_with_its_recipe(client: Client) -> None:
    address = a_garment(client)
    answer = client.request("GET", f"/picture/{address}.png?side={SIDE}")
    image = Image.open(io.BytesIO(answer.content))
    assert image.size == (SIDE, SIDE)
    recipe = json.loads(image.text["recipe"])  # type: ignore[attr-defined]
    assert recipe["address"] == address
    assert recipe["seed"] == 1
    assert recipe["categories"] == {"dress": 1.0}
    assert "trainedAlgorithmicMedia" in image.text["XML:com.adobe.xmp"]  # type: ignore[attr-defined]
    drawn = pixels(client.request("POST", "/api/pictures", {"addresses": [address]}).json)[0, ..., 0]
    assert np.array_equal(np.asarray(image), drawn)
    assert Image.open(io.BytesIO(client.request("GET", f"/picture/{address}.png?side=512").content)).size == (512, 512)


def test_a_sheet_has_every_recipe(client: Client) -> None:
    addresses = [a_garment(client, seed=seed) for seed in range(3)]
    answer = client.request("POST", "/api/sheet", {"addresses": addresses, "columns": 2})
    recipe = json.loads(Image.open(io.BytesIO(answer.content)).text["recipe"])  # type: ignore[attr-defined]
    assert [piece["address"] for piece in recipe["pieces"]] == addresses


def test_a_slider_changes_its_measure_and_can_be_named(client: Client) -> None:
    sliders = {one["id"]: one for one in client.request("GET", "/api/directions?category=top").json}
    assert sliders["measured-brightness"]["effects"]["brightness"] >= MIN_OWN_EFFECT
    assert {one["kind"] for one in sliders.values()} == {"measured", "classified", "activation", "closed-form"}
    assert all(one["reach"] == round(one["reach"], 1) for one in sliders.values())  # or no step of a slider is 0
    brightness = []
    for amount in (-2, 2):
        requests = [
            {"address": a_garment(client, "top", seed), "amounts": {"measured-brightness": amount}} for seed in range(8)
        ]
        moved = np.concatenate([pixels(client.request("POST", "/api/move", body).json) for body in requests])
        brightness.append(measure(moved)["brightness"].mean())
    assert brightness[1] > brightness[0] + 2
    assert client.request("PUT", "/api/directions/activation-1?category=top", {"name": "Flowing"}).status == 204
    renamed = {one["id"]: one for one in client.request("GET", "/api/directions?category=top").json}["activation-1"]
    assert (renamed["title"], renamed["named"]) == ("Flowing", True)
    assert client.request("PUT", "/api/directions/none?category=top", {"name": "x"}).status == 404


def test_a_moved_and_mixed_garment_has_an_address(client: Client) -> None:
    moved = client.request(
        "POST",
        "/api/move",
        {"address": a_garment(client), "amounts": {"closed-form-1": -1.5}, "mix": {"dress": 0.6, "bag": 0.4}},
    ).json
    assert np.array_equal(
        pixels(moved), pixels(client.request("POST", "/api/pictures", {"addresses": moved["addresses"]}).json)
    )
    assert "-1.600_2.400-z" in moved["addresses"][0]


def test_an_interpolation_includes_both_ends(client: Client) -> None:
    ends = [a_garment(client, "top", 1), a_garment(client, "bag", 2)]
    way = client.request("POST", "/api/interpolation", {"first": ends[0], "second": ends[1], "count": 5}).json
    assert [way["addresses"][0], way["addresses"][-1]] == ends
    shown = pixels(way).astype(float)
    steps = np.abs(np.diff(shown, axis=0)).mean(axis=(1, 2, 3))
    assert steps.max() < np.abs(shown[-1] - shown[0]).mean()


def test_style_mixing_needs_more_than_one_style_layer(client: Client) -> None:
    answer = client.request("POST", "/api/style-mix", {"coarse": a_garment(client), "fine": a_garment(client, seed=2)})
    assert (answer.status, client.request("GET", "/api/studio").json["style_layers"]) == (422, 1)


def test_a_style_mix_can_be_edited(tmp_path: Path) -> None:
    with served_studio(tmp_path, styled_graph()) as client:
        ends = [a_garment(client, "top", seed) for seed in (1, 2)]
        grid = client.request("POST", "/api/style-mix", {"coarse": ends[0], "fine": ends[1]}).json
        (mixed,) = grid["addresses"]
        drawn = client.request("POST", "/api/pictures", {"addresses": [mixed, *ends]}).json
        assert np.array_equal(pixels(drawn)[0], pixels(grid)[0])
        assert len({picture.tobytes() for picture in pixels(drawn)}) == 3
        moved = client.request("POST", "/api/move", {"address": mixed, "amounts": {"closed-form-1": 2}}).json
        assert not np.array_equal(pixels(moved), pixels(grid))
        way = client.request("POST", "/api/interpolation", {"first": mixed, "second": ends[0], "count": 3}).json
        assert way["addresses"][0] == mixed
        assert client.request("GET", f"/picture/{mixed}.png").status == 200


def test_a_photograph_is_projected(client: Client) -> None:
    sent = client.request("POST", "/api/uploads", photograph(), {"content-type": "image/jpeg"}).json
    assert (sent["width"], sent["height"]) == (120, 160)
    assert client.request("GET", f"/api/uploads/{sent['upload']}").headers["content-type"] == "image/png"
    job = client.finished(client.request("POST", "/api/projections", {"upload": sent["upload"]}).json)
    assert job["state"] == "done"
    assert job["result"]["distance"] < job["result"]["distance_of_backdrop"]
    assert job["result"]["negative"] is True
    assert client.request("POST", "/api/pictures", {"addresses": [job["result"]["address"]]}).status == 200


@pytest.mark.parametrize("mode", ["print", "statistics"])
def test_a_garment_is_dressed_in_a_pattern(client: Client, mode: str) -> None:
    job = client.request("POST", "/api/styles", {"address": a_garment(client), "pattern": "tartan", "mode": mode}).json
    assert client.finished(job)["state"] == "done"
    answer = client.request("GET", f"/api/jobs/{job['id']}/picture")
    image = Image.open(io.BytesIO(answer.content))
    assert json.loads(image.text["recipe"])["pattern"] == "tartan"  # type: ignore[attr-defined]
    assert np.asarray(image.convert("RGB")).std(axis=-1).max() > 20  # there is colour now


def test_a_dressed_photograph_is_marked_as_one_and_its_upload_is_not_named(client: Client) -> None:
    sent = client.request("POST", "/api/uploads", photograph()).json["upload"]
    job = client.request("POST", "/api/styles", {"upload": sent, "style_upload": sent, "mode": "print"}).json
    client.finished(job)
    collection = client.request("POST", "/api/collections", {"name": "Dressed"}).json["id"]
    client.request("POST", f"/api/collections/{collection}/pieces", {"job": job["id"], "name": "One"})
    for path in (f"/api/jobs/{job['id']}/picture", f"/api/collections/{collection}/sheet.png"):
        marks = Image.open(io.BytesIO(client.request("GET", path).content)).text  # type: ignore[attr-defined]
        assert "/compositeWithTrainedAlgorithmicMedia" in marks["XML:com.adobe.xmp"]
        assert "a photograph that was changed" in marks["Comment"]
        assert sent not in str(marks)


def test_suggestions_follow_votes_until_they_are_deleted(client: Client) -> None:
    first = client.request("POST", "/api/suggestions", {"category": "top", "seed": 1}).json
    votes = [{"address": address, "vote": (place % 3) - 1} for place, address in enumerate(first["addresses"])]
    second = client.request("POST", "/api/suggestions", {"category": "top", "seed": 1, "votes": votes}).json
    assert len(set(second["addresses"])) == 8
    assert set(second["categories"]) == {"top"}
    assert second["addresses"] != client.request("POST", "/api/suggestions", {"category": "dress", "seed": 1}).json["addresses"]
    assert client.request("DELETE", "/api/suggestions?category=top").status == 204
    assert client.request("POST", "/api/suggestions", {"category": "top", "seed": 1}).json["addresses"] == first["addresses"]


def test_votes_on_another_category_or_on_more_than_16_garments_are_refused(client: Client) -> None:
    tops = client.request("POST", "/api/suggestions", {"category": "top", "seed": 1}).json["addresses"]
    votes = [{"address": address, "vote": 1} for address in tops]
    refused = client.request("POST", "/api/suggestions", {"category": "dress", "seed": 2, "votes": votes})
    assert (refused.status, "another category than dress" in refused.json["detail"]) == (422, True)
    assert client.request("GET", "/api/profile/effects?category=dress").json["votes"] == 0
    assert client.request("POST", "/api/suggestions", {"category": "top", "seed": 2, "votes": votes * 3}).status == 422


def test_a_collection_is_stored_downloaded_and_deleted(client: Client) -> None:
    collection = client.request("POST", "/api/collections", {"name": "Été"}).json["id"]
    pieces = f"/api/collections/{collection}/pieces"
    address = a_garment(client)
    assert client.request("GET", f"/api/collections/{collection}/board.pdf").status == 409
    piece = client.request("POST", pieces, {"address": address, "name": "One"}).json["id"]
    job = client.finished(client.request("POST", "/api/styles", {"address": address, "pattern": "check"}).json)
    client.request("POST", pieces, {"job": job["id"], "name": "Two"})
    kept = client.request("GET", pieces).json
    assert [(one["name"], one["address"]) for one in kept] == [("One", address), ("Two", None)]
    assert client.request("PUT", f"{pieces}/{piece}", {"name": "First"}).status == 204
    assert Image.open(io.BytesIO(client.request("GET", f"{pieces}/{piece}/picture").content)).size == (SIDE, SIDE)
    assert client.request("GET", f"/api/collections/{collection}/board.pdf").content.startswith(b"%PDF")
    assert client.request("GET", f"/api/collections/{collection}/sheet.png").content.startswith(b"\x89PNG")
    assert client.request("PUT", f"/api/collections/{collection}", {"name": "Summer"}).status == 204
    assert "Summer" in {one["name"] for one in client.request("GET", "/api/collections").json}
    assert client.request("DELETE", f"{pieces}/{piece}").status == 204
    assert client.request("DELETE", f"/api/collections/{collection}").status == 204
    assert client.request("GET", pieces).status == 404


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"\xff\xd8\xff" + bytes(10 << 20), 413),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
        (b"", 415),
        (photograph()[:900], 422),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), 422),
    ],
)
def test_an_unusable_upload_is_refused(client: Client, content: bytes, status: int) -> None:
    try:
        answer = client.request("POST", "/api/uploads", content, {"content-type": "image/jpeg"})
    except (BrokenPipeError, ConnectionResetError):  # refused by its announced length, before it was all sent
        assert status == 413
        return
    assert answer.status == status
    assert len(answer.json["detail"].split()) >= 5


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/grid", {"seed": 1, "count": 65}, 422),
        ("/api/grid", {"seed": -1}, 422),
        ("/api/grid", {"seed": 1, "category": "hat"}, 422),
        ("/api/grid", {"seed": 1, "extra": 1}, 422),
        ("/api/grid", b"{", 422),
        ("/api/pictures", {"addresses": ["0123456789ab-0-s1.0.1000"]}, 422),
        ("/api/pictures", {"addresses": ["x" * 20] * 65}, 422),
        ("/api/move", {"address": "not-an-address-at-all"}, 422),
        ("/api/styles", {"pattern": "tartan"}, 422),
        ("/api/styles", {"upload": "AAAAAAAAAAAA", "pattern": "tartan"}, 422),
        ("/api/styles", {"upload": "AAAAAAAAAAAA", "pattern": "tartan", "mode": "whiten"}, 422),
        ("/api/projections", {"upload": "AAAAAAAAAAAA"}, 422),
        ("/api/collections/999/pieces", {"job": "AAAAAAAAAAAA", "name": "x"}, 404),
        ("/api/nothing", {}, 404),
    ],
)
def test_an_invalid_request_is_refused(client: Client, path: str, body: object, status: int) -> None:
    answer = client.request("POST", path, body, {"content-type": "application/json"})
    assert answer.status == status
    assert answer.json["detail"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"seed": NaN}', "seed: "),
        (b'{"seed": 1, "count": "16"}', "count: Input should be a valid integer"),
        (b'{"seed": 1, "category": "\\ud800"}', "category: "),
        (b'{"seed": 1, "\\ud800": 1}', "the body: Input should be a valid string"),
        (b"{", "the body is not JSON"),
        (b"[" * 20_000, ""),
        (b"1", "the body: "),
    ],
)
def test_a_malformed_body_is_refused(client: Client, body: bytes, sentence: str) -> None:
    answer = client.request("POST", "/api/grid", body, {"content-type": "application/json"})
    assert answer.status in (400, 422)
    assert answer.json["detail"].startswith(sentence)


def test_a_garment_of_an_unknown_category_is_not_stored(client: Client) -> None:
    collection = client.request("POST", "/api/collections", {"name": "Odd"}).json["id"]
    model = client.request("GET", "/api/studio").json["model"]
    piece = {"address": f"{model}-99-s1.0.1000", "name": "None"}
    assert client.request("POST", f"/api/collections/{collection}/pieces", piece).status == 422
    assert client.request("GET", f"/api/collections/{collection}/board.pdf").status == 409
    assert client.request("GET", "/api/collections/999999/board.pdf").status == 404


def test_the_picture_of_a_piece_is_checked_again_each_time_and_sent_once(client: Client) -> None:
    collection = client.request("POST", "/api/collections", {"name": "Numbers"}).json["id"]
    pieces = f"/api/collections/{collection}/pieces"
    pictures: list[Answer] = []
    for seed in (1, 2):
        piece = client.request("POST", pieces, {"address": a_garment(client, seed=seed), "name": "One"}).json["id"]
        seen = {"if-none-match": pictures[-1].headers["etag"]} if pictures else {}
        pictures.append(client.request("GET", f"{pieces}/{piece}/picture", headers=seen))
        assert "immutable" not in pictures[-1].headers["cache-control"]
        known = {"if-none-match": pictures[-1].headers["etag"]}
        assert client.request("GET", f"{pieces}/{piece}/picture", headers=known).status == 304
    assert [picture.status for picture in pictures] == [200, 200]
    assert pictures[0].content != pictures[1].content


def test_a_sheet_shows_every_piece_of_a_large_collection(tmp_path: Path) -> None:
    with served_studio(tmp_path) as client:
        collection = client.request("POST", "/api/collections", {"name": "Many"}).json["id"]
        client.request("POST", f"/api/collections/{collection}/pieces", {"address": a_garment(client), "name": "One"})
        copy = "INSERT INTO piece (collection, name, recipe, png) SELECT collection, name, recipe, png FROM piece LIMIT 1"
        with closing(sqlite3.connect(tmp_path / "studio.sqlite")) as database, database:
            for _ in range(69):
                database.execute(copy)
        sheet = client.request("GET", f"/api/collections/{collection}/sheet.png").content
        assert len(json.loads(Image.open(io.BytesIO(sheet)).text["recipe"])["pieces"]) == 70  # type: ignore[attr-defined]


def test_a_long_address_is_read_also_where_it_arrives_in_pieces(client: Client) -> None:
    head = (
        f"GET /picture/{a_garment(client)}{'A' * 60_000}.png HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
    )
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as connection:
        for start in range(0, len(head), 20_000):
            connection.sendall(head[start : start + 20_000])
            time.sleep(0.05)  # so that the studio reads the pieces one by one
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 422")
    assert b'"detail"' in answer


def test_every_route_is_documented(client: Client) -> None:
    document = client.request("GET", "/openapi.json").json
    assert set(document["paths"]) >= {"/api/grid", "/api/move", "/picture/{address}.png", "/api/uploads"}
    assert all(operation.get("description") for path in document["paths"].values() for operation in path.values())
    assert client.request("GET", "/docs").status == 404


def test_80_concurrent_requests_are_served(client: Client) -> None:
    with ThreadPoolExecutor(20) as pool:
        requests = [pool.submit(client.request, "POST", "/api/grid", {"seed": seed, "count": 16}) for seed in range(80)]
        assert [one.result().status for one in requests] == [200] * 80


def test_nagles_algorithm_is_off(client: Client) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=60)
    took_s = []
    for _ in range(60):  # the kernel acknowledges the first ones at once
        started = time.perf_counter()
        connection.request("GET", "/mark.svg")
        assert connection.getresponse().read()
        took_s.append(time.perf_counter() - started)
    connection.close()
    assert min(took_s[30:]) < 0.03  # with Nagle's algorithm the body follows its head after 40 ms


def test_a_client_that_does_not_read_is_disconnected(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_limits, "READ_TIMEOUT_S", 0.3)
    hung_up, lost = threading.Event(), http_limits.TimeoutProtocol.connection_lost
    body = json.dumps({"seed": 1, "count": 64}).encode()
    head = "POST /api/grid HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", client.port))

        def connection_lost(protocol: http_limits.TimeoutProtocol, error: Exception | None) -> None:
            lost(protocol, error)
            if protocol.client == slow.getsockname():
                hung_up.set()

        monkeypatch.setattr(http_limits.TimeoutProtocol, "connection_lost", connection_lost)
        asked = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        slow.sendall(asked * 100)  # as many answers as no kernel holds
        assert hung_up.wait(120)
    assert client.request("POST", "/api/grid", {"seed": 1}).status == 200


def test_slow_heads_are_disconnected_while_others_are_served(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_limits, "HEAD_TIMEOUT_S", 1.0)
    monkeypatch.setattr(http_limits, "MAX_INCOMPLETE_HEADS", 30)
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", client.port), timeout=10)) for _ in range(50)]
        for one in slow:
            one.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-")
        started = time.monotonic()
        assert client.request("POST", "/api/grid", {"seed": 1}).status == 200
        assert time.monotonic() - started < 5.0
        for one in slow:
            with suppress(ConnectionResetError):
                assert one.recv(100) == b""
