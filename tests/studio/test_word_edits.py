"""Changes in words in the studio: measured as sliders are, kept in addresses, and drawn again to the bit."""

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import InputError
from studio.recipe import (
    MAX_CHANGES,
    Recipe,
    SeedSource,
    WordChange,
    format_address,
    parse_address,
    single_category,
    word_change,
)
from studio.seen_attributes import colour_shown
from tests.studio.test_app import pixels
from tests.support.studio_model import asking_graph, reading_graph
from tests.support.studio_server import Client, served_studio

MODEL = "0123456789ab"
LIGHTER = {"before": "black dress", "after": "white dress"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with served_studio(tmp_path_factory.mktemp("studio"), reading_graph("white dress")) as found:
        yield found


@pytest.fixture(scope="module")
def address(client: Client) -> str:
    grid = client.request("POST", "/api/grid", {"count": 1, "seed": 3, "category": "dress"}).json
    return str(grid["addresses"][0])


def _moved(client: Client, address: str, *words: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = client.request("POST", "/api/move", {"address": address, "words": list(words)}).json
    return found


def test_an_address_holds_changes_in_words() -> None:
    changes = (WordChange("white dress", "black dress", 1250), WordChange("红色连衣裙", "红色连衣裙，带白色波点", 0))
    for text in ("", "weißes Kleid"):
        recipe = Recipe(MODEL, single_category(3), SeedSource(42, 7, 700), (), text, 1500 if text else 1000, changes)
        assert parse_address(format_address(recipe)) == recipe


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("~e2001.YQpi", "strength of the text"),
        ("~e1000.YQ", "has not two prompts"),  # a
        ("~e1000.YQpiCmM", "has not two prompts"),  # three lines
        ("~e1000.", "not the address of a picture"),
        ("~e1000.YQpi" * (MAX_CHANGES + 1), "not the address of a picture"),
    ],
)
def test_a_damaged_change_in_an_address_is_refused(changed: str, message: str) -> None:
    assert parse_address(f"{MODEL}-3~e1000.YQpi-s42.7.700").changes == (WordChange("a", "b", 1000),)
    with pytest.raises(InputError, match=message):
        parse_address(f"{MODEL}-3{changed}-s42.7.700")


def test_a_negative_amount_is_the_change_the_other_way_round() -> None:
    assert word_change("white dress", "black dress", -0.5) == WordChange("black dress", "white dress", 500)


def test_a_change_is_described_and_its_effects_are_measured(client: Client, address: str) -> None:
    found = client.request("POST", "/api/word-edits", {"address": address, "words": "Lighter"}).json
    assert (found["words"], found["before"], found["after"]) == ("Lighter", "black dress", "white dress")
    assert 0.5 < found["step"] < 1.5 == found["reach"]
    assert found["effects"]["brightness"] > 1
    assert found["effects"]["classified-0"] < -1  # the judge takes what is bright for a dress
    assert found["strength"] > 1
    darker = client.request("POST", "/api/word-edits", {"address": address, "words": "dunkler"}).json
    assert darker["effects"]["brightness"] < 0


def test_a_garment_moves_with_the_amount_and_its_address_draws_it_again_to_the_bit(client: Client, address: str) -> None:
    grids = [_moved(client, address, LIGHTER | {"amount": amount}) for amount in (-1.0, 0.0, 1.0, 2.0)]
    brightness = [pixels(grid).mean() for grid in grids]
    assert brightness == sorted(set(brightness))
    assert grids[1]["addresses"] == [address]
    again = client.request("POST", "/api/pictures", {"addresses": grids[3]["addresses"]}).json
    assert (pixels(again) == pixels(grids[3])).all()


def test_a_kept_garment_has_its_changes_in_its_recipe_and_takes_further_ones(client: Client, address: str) -> None:
    moved = _moved(client, address, LIGHTER | {"amount": 1.5})["addresses"][0]
    collection = client.request("POST", "/api/collections", {"name": "Summer"}).json["id"]
    pieces = f"/api/collections/{collection}/pieces"
    client.request("POST", pieces, {"address": moved, "name": "Lighter"})
    piece = client.request("GET", pieces).json[0]
    assert piece["address"] == moved
    png = client.request("GET", f"{pieces}/{piece['id']}/picture").content
    recipe = json.loads(Image.open(io.BytesIO(png)).text["recipe"])  # type: ignore[attr-defined]
    assert recipe["changes"] == [LIGHTER | {"amount": 1.5}]
    further = _moved(client, piece["address"], {"before": "dress", "after": "dress with dots", "amount": 0.3})["addresses"][0]
    assert [one.thousandths for one in parse_address(further).changes] == [1500, 300]


def test_more_changes_than_an_address_holds_are_refused(client: Client, address: str) -> None:
    changes = [LIGHTER | {"amount": 0.1}] * (MAX_CHANGES)
    most = _moved(client, address, *changes)["addresses"][0]
    answer = client.request("POST", "/api/move", {"address": most, "words": changes[:1]})
    assert answer.status == 422
    assert f"at most {MAX_CHANGES} changes in words" in answer.json["detail"]


@pytest.mark.parametrize(
    ("words", "message"),
    [("", "the text is empty"), ("darker " * 1000, "7,000 characters"), ("a car", "this model knows no such thing as “a car”")],
)
def test_what_is_no_change_is_refused_in_one_sentence(client: Client, address: str, words: str, message: str) -> None:
    answer = client.request("POST", "/api/word-edits", {"address": address, "words": words})
    assert answer.status == 422
    assert message in answer.json["detail"]


def test_a_model_without_captions_says_that_it_takes_no_text(tmp_path_factory: pytest.TempPathFactory) -> None:
    with served_studio(tmp_path_factory.mktemp("studio"), asking_graph()) as client:
        address = client.request("POST", "/api/grid", {"count": 1, "seed": 1}).json["addresses"][0]
        asked = {"address": address, "words": "darker"}
        moved = {"address": address, "words": [LIGHTER | {"amount": 1.0}]}
        for path, body in (("/api/word-edits", asked), ("/api/move", moved)):
            answer = client.request("POST", path, body)
            assert answer.status == 422
            assert "takes no text" in answer.json["detail"]


def test_the_colour_of_a_garment_is_read_from_a_colour_picture_only() -> None:
    picture = np.full((32, 32, 3), 255, np.uint8)
    picture[6:28, 10:24] = (200, 20, 25)
    assert colour_shown(picture, "dress") == "red"
    assert colour_shown(picture[..., :1], "dress") is None
