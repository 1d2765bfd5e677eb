"""The designer's profile: stored, refused, exported, deleted without a trace, and nowhere else."""

import json
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputError
from pipeline.tryon.mannequins import Measures
from studio import taste
from studio.database import StudioDatabase
from studio.model import open_generator
from studio.profile import BodyMeasures, Profile, checked_profile, mannequin_measures
from studio.service import StudioService
from studio.stated_taste import StatedTaste, stated_taste
from tests.support.studio_model import write_stand_in
from tests.support.studio_server import Client, served_studio

SECRET = "Zwetschgenknödelabend"
PROFILE: dict[str, Any] = {
    "shape": "triangle",
    "measures": {"height_cm": 164.5, "shoulder_cm": None, "chest_cm": 90.0, "waist_cm": None, "hip_cm": None},
    "colours_liked": ["blue", "white"],
    "colours_disliked": ["pink"],
    "styles": ["minimalist", "schlicht"],
    "occasions": [SECRET, "婚礼"],
}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Path]]:
    folder = tmp_path_factory.mktemp("studio")
    with served_studio(folder) as found:
        yield found, folder


@pytest.fixture
def client(studio: tuple[Client, Path]) -> Client:
    """A client of a studio without a profile or votes."""
    studio[0].request("DELETE", "/api/profile")
    return studio[0]


def bytes_of_database(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.glob("studio.sqlite*")))


def test_a_stored_profile_comes_back_and_an_unstored_one_is_empty(client: Client) -> None:
    empty = client.request("GET", "/api/profile").json
    assert (empty["stored"], empty["mannequin"], empty["profile"]["styles"]) == (False, None, [])
    stored = client.request("PUT", "/api/profile", PROFILE)
    assert stored.status == 200
    again = client.request("GET", "/api/profile")
    assert again.headers["cache-control"] == "no-store"
    assert again.json == stored.json
    assert (again.json["stored"], again.json["profile"]) == (True, PROFILE)


def test_an_exported_profile_may_be_put_back(client: Client) -> None:
    client.request("PUT", "/api/profile", PROFILE)
    garments = client.request("POST", "/api/suggestions", {"category": "dress", "seed": 1}).json["addresses"]
    votes = [{"address": garments[0], "vote": 1}, {"address": garments[1], "vote": -1}]
    client.request("POST", "/api/suggestions", {"category": "dress", "seed": 2, "votes": votes})
    exported = client.request("GET", "/api/profile/export")
    assert exported.headers["content-disposition"] == 'attachment; filename="profile.json"'
    assert [(one["category"], one["address"], one["vote"]) for one in exported.json["votes"]] == [
        ("dress", garments[0], 1),
        ("dress", garments[1], -1),
    ]
    client.request("DELETE", "/api/profile")
    assert client.request("PUT", "/api/profile", exported.json["profile"]).json["profile"] == PROFILE


def test_deleting_leaves_no_trace_in_the_file_or_its_log(client: Client, studio: tuple[Client, Path]) -> None:
    client.request("PUT", "/api/profile", PROFILE)
    client.request("PUT", "/api/profile", PROFILE | {"styles": ["other"]})
    garment = client.request("POST", "/api/suggestions", {"category": "dress", "seed": 1}).json["addresses"][0]
    votes = [{"address": garment, "vote": 1}]
    client.request("POST", "/api/suggestions", {"category": "dress", "seed": 2, "votes": votes})
    assert SECRET.encode() in bytes_of_database(studio[1])
    assert garment.encode() in bytes_of_database(studio[1])
    assert client.request("DELETE", "/api/profile").status == 204
    left = bytes_of_database(studio[1])
    for trace in (SECRET, "minimalist", "triangle", garment):
        assert trace.encode() not in left
    assert client.request("GET", "/api/profile").json["stored"] is False
    assert client.request("GET", "/api/profile/export").json["votes"] == []
    assert client.request("DELETE", "/api/profile").status == 204


def test_the_profile_is_in_no_picture_collection_or_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        client.request("PUT", "/api/profile", PROFILE)
        garment = client.request("POST", "/api/suggestions", {"category": "dress", "seed": 1}).json["addresses"][0]
        collection = client.request("POST", "/api/collections", {"name": "Spring"}).json["id"]
        client.request("POST", f"/api/collections/{collection}/pieces", {"address": garment, "name": "dress"})
        sent = [
            client.request("GET", f"/picture/{garment}.png").content,
            client.request("GET", f"/api/collections/{collection}/pieces").content,
            client.request("GET", f"/api/collections/{collection}/sheet.png").content,
            client.request("GET", f"/api/collections/{collection}/board.pdf").content,
            client.request("POST", "/api/sheet", {"addresses": [garment]}).content,
        ]
    for trace in ("minimalist", SECRET, json.dumps(SECRET)[1:-1], "triangle", "164.5"):
        assert not any(trace.encode() in one for one in sent)
        assert trace not in caplog.text


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioService]:
    folder = tmp_path_factory.mktemp("service")
    database = StudioDatabase(folder / "studio.sqlite")
    yield StudioService(open_generator(write_stand_in(folder / "model")), database, None)
    database.close()


def test_a_profile_that_is_deleted_while_it_is_read_is_not_kept_in_memory(
    service: StudioService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_stated_taste(*arguments: Any) -> StatedTaste:
        service.taste.delete_profile()  # as another thread may
        return stated_taste(*arguments)

    monkeypatch.setattr(taste, "stated_taste", slow_stated_taste)
    service.database.store_profile(Profile(styles=[SECRET]).model_dump_json())
    assert SECRET in service.taste.effects("dress").sentences[0]
    assert SECRET not in str(vars(service.taste))


def test_a_profile_whose_deletion_fails_on_disk_is_not_kept_in_memory(
    service: StudioService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise sqlite3.OperationalError("another program reads it")

    service.database.store_profile(Profile(styles=[SECRET]).model_dump_json())
    service.taste.effects("dress")
    assert SECRET in str(vars(service.taste))
    monkeypatch.setattr(service.database, "delete_profile", refuse)
    with pytest.raises(sqlite3.OperationalError):
        service.taste.delete_profile()
    assert SECRET not in str(vars(service.taste))


def test_another_site_can_neither_read_nor_store_nor_delete_it(client: Client) -> None:
    client.request("PUT", "/api/profile", PROFILE)
    for method, path, body in (
        ("GET", "/api/profile", None),
        ("GET", "/api/profile/export", None),
        ("PUT", "/api/profile", {}),
        ("DELETE", "/api/profile", None),
    ):
        for headers in ({"origin": "http://elsewhere.example"}, {"sec-fetch-site": "cross-site"}):
            refused = client.request(method, path, body, headers)
            assert (refused.status, refused.json["detail"]) == (403, "this request comes from another site")
    assert client.request("GET", "/api/profile").json["profile"] == PROFILE


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"styles": ["elegant"] * 10_000}, "styles: 10,000 words; at most 20 are kept"),
        ({"occasions": ["x" * 9000]}, "occasions: a word of 9,000 characters; at most 40 are kept"),
        ({"styles": ["a\u202eb"]}, "styles: a word has control characters; write letters"),
        ({"colours_liked": ["ultraviolet"]}, "colours liked: one is not a colour that the studio knows; it knows black,"),
        ({"colours_liked": ["pink"]}, "pink is among the colours liked and among those not liked; choose one"),
        ({"measures": {"waist_cm": -70.0}}, "waist: -70 cm is not between 40 and 180 cm"),
        ({"measures": {"height_cm": 1e9}}, "height: 1e+09 cm is not between 80 and 230 cm"),
        ({"measures": {"height_cm": "tall"}}, "measures.height_cm: Input should be a valid number"),
        ({"shape": "pear-shaped"}, "shape: Input should be 'rectangle'"),
        ({"name": "me"}, "name: Extra inputs are not permitted"),
    ],
)
def test_bad_input_gets_one_sentence_and_stores_nothing(client: Client, change: dict[str, Any], sentence: str) -> None:
    refused = client.request("PUT", "/api/profile", PROFILE | change)
    assert refused.status == 422
    assert refused.json["detail"].startswith(sentence)
    assert client.request("GET", "/api/profile").json["stored"] is False


def test_words_are_kept_once_trimmed_and_in_one_form() -> None:
    kept = checked_profile(Profile(styles=["  boho ", "boho", "ｂｏｈｏ", "", "👗 party"], colours_liked=["red", "red"]))
    assert (kept.styles, kept.colours_liked) == (["boho", "👗 party"], ["red"])


def test_the_mannequin_starts_from_what_is_said_and_else_from_the_shape_at_that_height() -> None:
    assert mannequin_measures(Profile()) is None
    assert mannequin_measures(Profile(measures=BodyMeasures(waist_cm=70.0))) == Measures(waist_cm=70.0)
    tall = mannequin_measures(Profile(shape="hourglass", measures=BodyMeasures(height_cm=187.0, hip_cm=100.0)))
    assert tall == Measures(height_cm=187.0, shoulder_cm=42.9, chest_cm=105.6, waist_cm=74.8, hip_cm=100.0)


def test_every_measure_of_a_shape_is_one_that_the_mannequin_takes() -> None:
    for height in (80.0, 230.0):
        body = mannequin_measures(Profile(shape="inverted triangle", measures=BodyMeasures(height_cm=height)))
        assert body is not None
        checked_profile(Profile(measures=BodyMeasures(**vars(body))))


def test_a_measure_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="waist: nan cm is not between"):
        checked_profile(Profile.model_construct(measures=BodyMeasures.model_construct(waist_cm=float("nan"))))
