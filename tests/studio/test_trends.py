"""The studio's forecast: what it reads, what it cannot draw, and that drawn garments show what was asked for."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.storage.checksums import with_digest
from studio.model import Generator, open_generator
from studio.seen_attributes import attribute_shown
from studio.trends import Trend, attribute_direction, garments_following, measured_by_its_teacher, read_outlook, why_not_drawn
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
    recipes = garments_following(Trend(**series("category", "dress")), generator, 5, seed=3).recipes
    assert [generator.card.categories[recipe.label] for recipe in recipes] == ["dress"] * 5
    with pytest.raises(InputError, match="kilt: this model draws no kilt"):
        garments_following(Trend(**series("category", "kilt")), generator, 5, seed=3)


def test_only_garments_that_show_the_colour_are_drawn(generator: Generator) -> None:
    trend = Trend(**series("colour", "brown", "bag"))
    found = garments_following(trend, generator, 6, seed=3)
    recipes = found.recipes
    assert 0 < len(recipes) <= 6
    assert {generator.card.categories[recipe.label] for recipe in recipes} == {"bag"}
    assert attribute_shown(generator.pictures(recipes), ["bag"] * len(recipes), "colour", "brown").all()
    assert found == garments_following(trend, generator, 6, seed=3)
    assert garments_following(Trend(**series("colour", "green")), generator, 6, seed=3).recipes == []


def test_an_attribute_that_follows_a_latent_has_a_direction_and_one_that_follows_none_has_not() -> None:
    rng = np.random.default_rng(0)
    latents, labels = rng.normal(size=(256, 8)).astype(np.float32), np.arange(256) % 3
    often = latents[:, 2] + labels > 1  # more often in some categories
    direction, explained = attribute_direction(latents, labels, often)
    assert direction[2] > 0.95
    assert explained > 0.2
    assert attribute_direction(latents, labels, rng.random(256) < 0.5)[1] < 0.1
    assert attribute_direction(latents, labels, np.ones(256, bool))[1] == 0.0


def test_garments_are_moved_towards_an_attribute_that_the_model_does_not_take(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bright(pictures: NDArray[np.uint8], _categories: object, _dimension: str, _value: str) -> NDArray[np.bool_]:
        return np.array(pictures[:, 16, 16, :3].mean(axis=-1) > 140)

    monkeypatch.setattr("studio.trends.attribute_shown", bright)
    found = garments_following(Trend(**series("length", "short", "dress")), generator, 16, seed=3)
    assert "Moved along a direction of the latents" in found.how
    after, before = map(int, re.findall(r"(\d+)% (?:show it|did before)", found.how))
    assert after > before
    assert bright(generator.pictures(found.recipes), None, "", "").all()


def test_a_pattern_is_measured_without_torch_in_the_studio() -> None:
    code = (
        "import sys, numpy as np\n"
        "from studio.seen_attributes import attribute_shown\n"
        "if __name__ == '__main__':\n"
        "    pictures = np.full((1, 64, 64, 4), 255, np.uint8)\n"
        "    pictures[:, :, :8, 3] = 0\n"
        "    print(attribute_shown(pictures, ['dress'], 'pattern', 'plain').tolist(), 'torch' in sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stdout.split() == ["[True]", "False"], ran.stderr


def test_a_pattern_measured_by_the_network_that_trained_the_model_is_said(generator: Generator) -> None:
    taught = replace(generator, card=replace(generator.card, trained_through="efflite0"))
    pattern, colour = (Trend(**series(name, value)) for name, value in (("pattern", "plain"), ("colour", "red")))
    assert "measured by efflite0, through which this model was trained" in measured_by_its_teacher(pattern, taught)
    assert measured_by_its_teacher(pattern, generator) == measured_by_its_teacher(colour, taught) == ""


def test_colour_is_that_of_the_garment_and_not_of_the_ground() -> None:
    pictures = np.zeros((2, 32, 32, 4), np.uint8)
    pictures[:, 6:26, 6:26] = (200, 20, 20, 255)
    pictures[1, 6:26, 6:26, :3] = (20, 40, 200)
    assert attribute_shown(pictures, ["dress", "dress"], "colour", "red").tolist() == [True, False]


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
    assert (nothing["grid"], nothing["looked_at"]) == (None, 256)
    assert nothing["how"] == "The model neither takes it nor has a direction towards it: these are chosen at random."


def test_an_unknown_trend_and_one_that_cannot_be_drawn_are_refused(client: Client) -> None:
    assert client.request("POST", "/api/trends/grid", {"name": "togas", "seed": 1}).status == 404
    answer = client.request("POST", "/api/trends/grid", {"name": "price cheap", "seed": 1})
    assert (answer.status, answer.json["detail"]) == (422, "price cheap: a garment's price cannot be seen in its picture")


def test_without_a_forecast_the_studio_says_how_to_make_one(tmp_path: Path) -> None:
    with served(write_stand_in(tmp_path / "model"), tmp_path) as client:
        answer = client.request("GET", "/api/trends").json
    assert answer["trends"] == []
    assert "snakemake trends" in answer["reason"]
