"""The studio on a model that takes attributes: choices, addresses, and edits that keep or change them."""

from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.errors import InputError
from studio.recipe import Recipe, SeedSource, format_address, parse_address, recipe_attributes, single_category
from tests.studio.test_app import pixels
from tests.support.studio_model import ATTRIBUTES, asking_graph
from tests.support.studio_server import Client, served_studio

MODEL = "0123456789ab"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with served_studio(tmp_path_factory.mktemp("studio"), asking_graph()) as found:
        yield found


def _grid(client: Client, **attributes: str) -> dict[str, Any]:
    body = {"category": "dress", "count": 2, "seed": 1, "attributes": attributes}
    found: dict[str, Any] = client.request("POST", "/api/grid", body).json
    return found


def test_an_address_holds_the_attributes_and_one_without_reads_as_before() -> None:
    recipe = Recipe(MODEL, single_category(3), SeedSource(42, 7, 700), (2, 14))
    assert format_address(recipe) == "0123456789ab-3~2.14-s42.7.700"
    assert parse_address(format_address(recipe)) == recipe
    assert parse_address("0123456789ab-3-s42.7.700").attributes == ()


@pytest.mark.parametrize("asked", ["2.1", "1.1", ".1", "1.", "999999", ""])
def test_attributes_out_of_order_or_range_are_refused(asked: str) -> None:
    with pytest.raises(InputError, match="address"):
        parse_address(f"0123456789ab-3~{asked}-s42.7.700")


def test_rows_are_none_where_nothing_is_asked_for() -> None:
    plain, asked = (Recipe(MODEL, single_category(0), SeedSource(0, 0, 0), columns) for columns in ((), (1,)))
    assert recipe_attributes([plain], 3) is None
    rows = recipe_attributes([plain, asked], 3)
    assert rows is not None
    assert rows.tolist() == [[0, 0, 0], [0, 1, 0]]
    with pytest.raises(InputError, match="attribute 1, the model has 1"):
        recipe_attributes([asked], 1)


def test_the_page_learns_which_attributes_the_model_takes(client: Client) -> None:
    assert client.request("GET", "/api/studio").json["attributes"] == ATTRIBUTES


def test_garments_look_as_asked_for(client: Client) -> None:
    light, unsaid, dark = (pixels(_grid(client, **asked)).mean() for asked in ({"shade": "light"}, {}, {"shade": "dark"}))
    assert light > unsaid > dark


def test_an_edit_keeps_the_attributes_unless_others_are_asked_for(client: Client) -> None:
    grid = _grid(client, shade="light", season="winter")
    address = grid["addresses"][0]
    assert "~0.1-" in address
    kept = client.request("POST", "/api/move", {"address": address, "amounts": {}}).json["addresses"]
    changed = client.request("POST", "/api/move", {"address": address, "attributes": {"shade": "dark"}}).json["addresses"]
    assert kept == [address]
    assert "~2-" in changed[0]
    steps = client.request("POST", "/api/interpolation", {"first": address, "second": changed[0], "count": 5}).json["addresses"]
    assert ["~0.1-" in step for step in steps] == [True, True, True, False, False]


def test_an_unknown_attribute_is_refused_with_the_known_ones(client: Client) -> None:
    body = {"category": "dress", "count": 1, "seed": 1, "attributes": {"shade": "bright"}}
    answer = client.request("POST", "/api/grid", body)
    assert answer.status == 422
    assert "shade=light" in answer.json["detail"]


def test_the_picture_says_which_attributes_it_was_asked_for(client: Client) -> None:
    grid = _grid(client, shade="dark")
    picture = client.request("GET", f"/picture/{grid['addresses'][0]}.png")
    assert picture.status == 200
    assert b"shade=dark" in picture.content
