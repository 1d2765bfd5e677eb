"""Try-on over HTTP: mannequins, photographs with and without networks, garments, and what is forgotten."""

import io
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import InputError
from pipeline.imaging.garment_kinds import Kind
from pipeline.tryon.body import ANCHORS
from pipeline.tryon.corrections import COUNT
from pipeline.tryon.learned_warp import PROPORTIONS, WARP, KindOfWarp, write_warp
from pipeline.tryon.mannequins import Measures, Pose, draw_mannequin
from studio import uploads
from studio.routes import context
from studio.tryon import Garment, TryOnService, WornPiece
from tests.studio.test_app import a_garment
from tests.support.drawn_people import drawn_garment
from tests.support.studio_server import Client, served_studio
from tests.support.worn_pairs import LOWER


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("studio")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(folder))  # no networks that find people there
        with served_studio(folder) as found:
            yield found


def png_of(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG")
    return file.getvalue()


def a_mannequin(client: Client) -> dict[str, Any]:
    answer = client.request("POST", "/api/tryon/mannequins", {"height_cm": 172.0, "waist_cm": 80.0})
    assert answer.status == 201
    return dict(answer.json)


def a_drawn_garment(client: Client) -> str:
    answer = client.request("POST", "/api/tryon/garments", {"address": a_garment(client, "dress")})
    assert answer.status == 201
    return str(answer.json["garment"])


def test_a_drawn_dress_is_worn_by_a_mannequin_and_marked_as_made_by_ai(client: Client) -> None:
    person, garment = a_mannequin(client), a_drawn_garment(client)
    wish = {"person": person["person"], "garments": [{"garment": garment, "kind": "dress", "fit": "loose"}]}
    job = client.finished(client.request("POST", "/api/tryon", wish).json)
    assert job["state"] == "done", job["reason"]
    png = client.request("GET", f"/api/jobs/{job['id']}/picture?side=512").content
    image = Image.open(io.BytesIO(png))
    before = Image.open(io.BytesIO(client.request("GET", f"/api/tryon/persons/{person['person']}").content))
    assert image.size == before.size == (person["width"], person["height"])
    assert np.abs(np.asarray(image, np.int16) - np.asarray(before, np.int16)).max() > 20
    marks = image.text  # type: ignore[attr-defined]
    assert "trainedAlgorithmicMedia" in marks["XML:com.adobe.xmp"]
    assert json.loads(marks["recipe"])["tryon"] == [{"kind": "dress", "fit": "loose"}]


def test_a_warp_beside_the_person_models_is_used_and_named(tmp_path: Path) -> None:
    weights = np.zeros((1 + PROPORTIONS, COUNT))
    weights[0, LOWER] = 0.3
    piece = WornPiece(Garment(drawn_garment("skirt"), {}), "skirt", "regular")
    pictures: list[NDArray[np.int16]] = []
    skirts: dict[Kind, KindOfWarp] = {"skirt": KindOfWarp(np.zeros(PROPORTIONS), np.ones(PROPORTIONS), weights)}
    for learned in (None, skirts):
        if learned:
            write_warp(tmp_path / WARP, learned)
        service = TryOnService(tmp_path)
        _, mannequin = service.add_mannequin(Measures())
        [done] = service.worn(mannequin, [piece], {})
        assert service.recipe(mannequin, [piece]).keys() == ({"tryon", "warp_sha256"} if learned else {"tryon"})
        assert done.picture is not None
        pictures.append(done.picture.astype(np.int16))
    assert np.abs(pictures[0] - pictures[1]).max() > 40
    (tmp_path / WARP).write_bytes(b"not it")
    with pytest.raises(InputError, match="is no warp of try-on"):
        TryOnService(tmp_path)


def test_a_dragged_anchor_changes_the_picture(client: Client) -> None:
    person, garment = a_mannequin(client), a_drawn_garment(client)
    x, y = person["anchors"]["left_shoulder"]
    pictures = []
    for anchors in ({}, {"left_shoulder": [x - 20, y + 10]}):
        wish = {"person": person["person"], "garments": [{"garment": garment, "kind": "dress"}], "anchors": anchors}
        job = client.finished(client.request("POST", "/api/tryon", wish).json)
        pictures.append(client.request("GET", f"/api/jobs/{job['id']}/picture?side=512").content)
    assert pictures[0] != pictures[1]


def test_without_networks_a_photograph_asks_for_eight_anchors_and_works_with_them(client: Client) -> None:
    figure = draw_mannequin(Measures(), Pose(), colours={"torso": (40, 60, 160)})
    sent = client.request("POST", "/api/uploads", png_of(figure.picture)).json["upload"]
    person = client.request("POST", "/api/tryon/persons", {"upload": sent}).json
    assert not person["found"]
    assert set(person["anchors"]) == set(ANCHORS)
    garments = [{"garment": a_drawn_garment(client), "kind": "top"}]
    job = client.finished(client.request("POST", "/api/tryon", {"person": person["person"], "garments": garments}).json)
    assert job["state"] == "failed"
    assert "left shoulder is not set" in job["reason"]
    anchors = {name: [float(one) for one in figure.body.points[name]] for name in ANCHORS}
    wish = {"person": person["person"], "garments": garments, "anchors": anchors}
    assert client.finished(client.request("POST", "/api/tryon", wish).json)["state"] == "done"


def test_a_forgotten_photograph_takes_its_pictures_along(client: Client) -> None:
    person = a_mannequin(client)
    wish = {"person": person["person"], "garments": [{"garment": a_drawn_garment(client), "kind": "dress"}]}
    job = client.finished(client.request("POST", "/api/tryon", wish).json)
    assert client.request("DELETE", f"/api/tryon/persons/{person['person']}").status == 204
    assert client.request("GET", f"/api/tryon/persons/{person['person']}").status == 422
    assert client.request("GET", f"/api/jobs/{job['id']}/picture").status == 404
    assert client.request("POST", "/api/tryon", wish).status == 422


def test_a_forgotten_upload_is_gone(client: Client) -> None:
    sent = client.request("POST", "/api/uploads", png_of(np.full((40, 40, 3), 90, np.uint8))).json["upload"]
    assert client.request("DELETE", f"/api/uploads/{sent}").status == 204
    assert client.request("GET", f"/api/uploads/{sent}").status == 404


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/api/tryon/mannequins", {"height_cm": 3.0}, "height_cm"),
        ("/api/tryon/garments", {}, "either an address or an upload"),
        ("/api/tryon/persons", {"upload": "AAAAAAAAAAAA"}, "send the picture again"),
        ("/api/tryon", {"person": "AAAAAAAAAAAA", "garments": []}, "garments"),
    ],
)
def test_a_wrong_request_is_refused_with_a_sentence(client: Client, path: str, body: dict[str, Any], said: str) -> None:
    answer = client.request("POST", path, body)
    assert answer.status == 422
    assert said in answer.json["detail"]


@pytest.mark.parametrize("folder", ["persons", "garments"])
def test_what_a_closed_page_removed_while_it_was_on_its_way_is_not_kept(
    client: Client, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.setattr("pipeline.tryon.garments.garment_of", lambda *_: drawn_garment("top"))
    monkeypatch.setattr("pipeline.imaging.garment_cutter.GarmentCutter", object)
    sent = client.request("POST", "/api/uploads", png_of(draw_mannequin(Measures(), Pose()).picture)).json["upload"]
    for name, status in (("AAAAAAAAAAA0", 201), ("AAAAAAAAAAA1", 422)):
        if status == 422:
            assert client.request("DELETE", f"/api/tryon/{folder}/{name}").status == 204
        assert client.request("POST", f"/api/tryon/{folder}", {"upload": sent, "name": name}).status == status
        seen = client.request("GET", f"/api/tryon/{folder}/{name}")
        assert seen.status == (200 if status == 201 else 422)
        assert client.request("DELETE", f"/api/tryon/{folder}/{name}").status == 204
        assert client.request("GET", f"/api/tryon/{folder}/{name}").status == 422


def test_an_upload_that_was_removed_while_it_was_on_its_way_is_not_kept(client: Client) -> None:
    picture, path = png_of(np.full((40, 40, 3), 90, np.uint8)), "/api/uploads?name=BBBBBBBBBBB"
    assert client.request("POST", f"{path}0", picture).json["upload"] == "BBBBBBBBBBB0"
    assert client.request("POST", f"{path}0", picture).status == 422  # another page's
    client.request("DELETE", "/api/uploads/BBBBBBBBBBB1")
    assert client.request("POST", f"{path}1", picture).status == 422
    assert client.request("GET", "/api/uploads/BBBBBBBBBBB1").status == 404
    assert client.request("POST", "/api/uploads?name=short", picture).status == 422


def test_photographs_are_not_stored_by_the_browser(client: Client) -> None:
    sent = client.request("POST", "/api/uploads", png_of(np.full((40, 40, 3), 90, np.uint8))).json["upload"]
    for path in (f"/api/uploads/{sent}", f"/api/tryon/garments/{a_drawn_garment(client)}"):
        assert client.request("GET", path).headers["cache-control"] == "no-store"


def test_what_no_page_uses_is_forgotten_with_its_pictures_and_what_one_does_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [0.0]
    monkeypatch.setattr(uploads, "monotonic", lambda: now_s[0])
    forgotten: list[str] = []
    service, photograph = TryOnService(tmp_path, forgotten.append), np.full((64, 64, 3), 90, np.uint8)
    names = [service.add_photograph(photograph)[0] for _ in range(2)]
    for name in names:
        service.add_job(name, f"job of {name}")
    now_s[0] = uploads.LIFETIME_S - 1
    service.renew(names[:1])
    now_s[0] += 2
    service.forget_unused()
    assert forgotten == [f"job of {names[1]}"]
    assert service.sitter(names[0]).is_photograph
    for _ in range(uploads.MAX_KEPT):
        service.add_photograph(photograph)
    assert forgotten == [f"job of {name}" for name in reversed(names)]
    service.add_job(names[0], "late")
    assert forgotten[-1] == "late"


def test_a_studio_looks_for_what_no_page_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = threading.Event()
    monkeypatch.setattr(context, "FORGETTING_S", 0.01)
    monkeypatch.setattr(uploads, "LIFETIME_S", -1.0)
    monkeypatch.setattr(TryOnService, "_forget_pictures", lambda *_: gone.set())
    with served_studio(tmp_path) as client:
        a_mannequin(client)
        assert gone.wait(60)
        monkeypatch.setattr(uploads, "LIFETIME_S", 900.0)
        kept = a_mannequin(client)["person"]
        assert client.request("POST", "/api/kept", {"names": [kept, "AAAAAAAAAAAA"]}).status == 204
        assert client.request("GET", f"/api/tryon/persons/{kept}").status == 200


def test_a_drawn_garment_is_marked_and_a_try_on_of_a_photograph_is_no_drawing(client: Client) -> None:
    garment = a_drawn_garment(client)
    png = client.request("GET", f"/api/tryon/garments/{garment}").content
    marks = Image.open(io.BytesIO(png)).text  # type: ignore[attr-defined]
    assert "digitalsourcetype/trainedAlgorithmicMedia" in marks["XML:com.adobe.xmp"]
    assert json.loads(marks["recipe"])["categories"] == {"dress": 1.0}
    figure = draw_mannequin(Measures(), Pose())
    sent = client.request("POST", "/api/uploads", png_of(figure.picture)).json["upload"]
    person = client.request("POST", "/api/tryon/persons", {"upload": sent}).json["person"]
    anchors = {name: [float(one) for one in figure.body.points[name]] for name in ANCHORS}
    wish = {"person": person, "garments": [{"garment": garment, "kind": "top"}], "anchors": anchors}
    job = client.finished(client.request("POST", "/api/tryon", wish).json)
    png = client.request("GET", f"/api/jobs/{job['id']}/picture").content
    marks = Image.open(io.BytesIO(png)).text  # type: ignore[attr-defined]
    assert "digitalsourcetype/compositeWithTrainedAlgorithmicMedia" in marks["XML:com.adobe.xmp"]
    assert "not photographed" not in marks["Comment"]


def test_a_photograph_that_is_worn_is_in_no_file_log_or_mark(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    figure = draw_mannequin(Measures(), Pose())
    anchors = {name: [float(one) for one in figure.body.points[name]] for name in ANCHORS}
    with caplog.at_level(logging.DEBUG), pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path))
        with served_studio(tmp_path) as client:
            garments = [{"garment": a_drawn_garment(client), "kind": "top"}]
            before = files_of(tmp_path)
            sent = client.request("POST", "/api/uploads", png_of(figure.picture)).json["upload"]
            person = client.request("POST", "/api/tryon/persons", {"upload": sent}).json["person"]
            wish = {"person": person, "garments": garments, "anchors": anchors}
            job = client.finished(client.request("POST", "/api/tryon", wish).json)
            assert job["state"] == "done", job["reason"]
            png = client.request("GET", f"/api/jobs/{job['id']}/picture").content
            client.request("DELETE", f"/api/tryon/persons/{person}")
            assert files_of(tmp_path) == before
    marks = str(Image.open(io.BytesIO(png)).text)  # type: ignore[attr-defined]
    for secret in (sent, person):
        assert secret not in caplog.text + marks


def files_of(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
