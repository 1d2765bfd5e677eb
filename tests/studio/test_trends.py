"""The studio's forecast: what it reads, what it cannot draw, and that drawn garments show what was asked for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.storage.checksums import with_digest
from studio.model import Generator, open_generator
from studio.trends import Trend, attribute_shown, garments_following, read_outlook, why_not_drawn
from tests.support.outlook import series, write_outlook
from tests.support.studio_model import alpha_graph, write_stand_in
from tests.support.studio_server import Client, served

SERIES = [
    series("category", "dress"),
    series("colour", "brown"),
    series("colour", "purple"),
    series("price", "cheap", direction="falls"),
    series("colour", "brown", "bag", direction="unclear", change=None, low_80=None, high_80=None, note="too short"),
    series("category", "kilt"),
]


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return open_generator(write_stand_in(tmp_path_factory.mktemp("model"), alpha_graph()))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("studio")
    model = write_stand_in(folder / "model", alpha_graph())
    with served(model, folder, trends=write_outlook(folder / "trends.json", SERIES)) as found:
        yield found


def test_the_outlook_is_read_as_the_stage_wrote_it(tmp_path: Path) -> None:
    outlook = read_outlook(write_outlook(tmp_path / "trends.json", SERIES))
    assert outlook.reason == ""
    assert [vars(one) for one in outlook.trends] == SERIES


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps(with_digest({"reason": ""})), '{"reason": "", "series": []}'])
def test_a_file_that_is_no_outlook_is_refused_by_name(content: str, tmp_path: Path) -> None:
    (tmp_path / "trends.json").write_text(content)
    with pytest.raises(InputError, match=r"trends\.json: .*(run trends again|SHA-256)"):
        read_outlook(tmp_path / "trends.json")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (series("category", "dress"), ""),
        (series("colour", "brown", "bag"), ""),
        (series("category", "kilt"), "this model draws no kilt"),
        (series("pattern", "striped", "kilt"), "this model draws no kilt"),
        (series("price", "cheap"), "a garment's price cannot be seen in its picture"),
    ],
)
def test_the_model_draws_a_trend_or_the_reason_is_said(row: dict[str, Any], reason: str, generator: Generator) -> None:
    assert why_not_drawn(Trend(**row), generator) == reason


def test_a_model_in_grey_draws_no_colours(tmp_path: Path) -> None:
    grey = open_generator(write_stand_in(tmp_path / "model"))
    assert why_not_drawn(Trend(**series("colour", "red")), grey) == "this model draws in grey"
    assert why_not_drawn(Trend(**series("pattern", "plain")), grey) == ""


def test_a_rising_category_is_drawn_and_one_that_the_model_lacks_is_refused(generator: Generator) -> None:
    recipes = garments_following(Trend(**series("category", "dress")), generator, 5, seed=3)
    assert [generator.card.categories[recipe.label] for recipe in recipes] == ["dress"] * 5
    with pytest.raises(InputError, match="kilt: this model draws no kilt"):
        garments_following(Trend(**series("category", "kilt")), generator, 5, seed=3)


def test_only_garments_that_show_the_colour_are_drawn(generator: Generator) -> None:
    trend = Trend(**series("colour", "brown", "bag"))
    recipes = garments_following(trend, generator, 6, seed=3)
    assert 0 < len(recipes) <= 6
    assert {generator.card.categories[recipe.label] for recipe in recipes} == {"bag"}
    assert all(attribute_shown(generator.pictures(recipes), "colour", "brown"))
    assert recipes == garments_following(trend, generator, 6, seed=3)
    assert garments_following(Trend(**series("colour", "green")), generator, 6, seed=3) == []


def test_colour_is_that_of_the_garment_and_not_of_the_ground() -> None:
    pictures = np.zeros((2, 32, 32, 4), np.uint8)
    pictures[:, 6:26, 6:26] = (200, 20, 20, 255)
    pictures[1, 6:26, 6:26, :3] = (20, 40, 200)
    assert list(attribute_shown(pictures, "colour", "red")) == [True, False]


def test_trends_are_listed_with_why_they_cannot_be_drawn(client: Client) -> None:
    answer = client.request("GET", "/api/trends").json
    assert answer["reason"] == ""
    assert [one["name"] for one in answer["trends"]] == [row["name"] for row in SERIES]
    assert [bool(one["not_drawn"]) for one in answer["trends"]] == [False, False, False, True, False, True]
    assert answer["trends"][0]["low_80"] == 0.1


def test_a_grid_follows_a_trend_and_says_how_many_it_looked_at(client: Client) -> None:
    answer = client.request("POST", "/api/trends/grid", {"name": "dress", "count": 4, "seed": 1})
    assert (answer.json["grid"]["categories"], answer.json["looked_at"]) == (["dress"] * 4, 4)
    answer = client.request("POST", "/api/trends/grid", {"name": "bag: colour brown", "count": 4, "seed": 1})
    assert set(answer.json["grid"]["categories"]) == {"bag"}
    assert answer.json["looked_at"] == 256
    nothing = client.request("POST", "/api/trends/grid", {"name": "colour purple", "count": 4, "seed": 1}).json
    assert nothing == {"grid": None, "looked_at": 256}


def test_an_unknown_trend_and_one_that_cannot_be_drawn_are_refused(client: Client) -> None:
    assert client.request("POST", "/api/trends/grid", {"name": "togas", "seed": 1}).status == 404
    answer = client.request("POST", "/api/trends/grid", {"name": "price cheap", "seed": 1})
    assert (answer.status, answer.json["detail"]) == (422, "price cheap: a garment's price cannot be seen in its picture")


def test_without_a_forecast_the_studio_says_how_to_make_one(tmp_path: Path) -> None:
    with served(write_stand_in(tmp_path / "model"), tmp_path) as client:
        answer = client.request("GET", "/api/trends").json
    assert answer["trends"] == []
    assert "snakemake trends" in answer["reason"]
