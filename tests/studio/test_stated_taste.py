"""What a profile says, as weights of features and in sentences."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.words.opposites import OPPOSITES
from studio.measures import MEASURES
from studio.profile import Profile
from studio.stated_taste import StatedTaste, stated_taste
from studio.taste_features import COLOUR_COLUMNS, COLUMNS, MEASURE_COLUMNS, Features, colour_column, measure_column
from tests.support.studio_server import served_studio

CATEGORIES = ["dress", "top"]


@pytest.fixture
def samples() -> Features:
    """Features of garments that are blue, red or black, and vary in all measures but warmth."""
    rows = np.random.default_rng(0).standard_normal((90, COLUMNS))
    rows[:, COLOUR_COLUMNS] = 0
    for place, colour in enumerate(("blue", "red", "black")):
        rows[place::3, colour_column(colour)] = 1
    rows[:, measure_column("warmth")] = 0
    return rows


def weights_of(stated: StatedTaste) -> dict[int, float]:
    return {int(place): float(stated.weights[place]) for place in np.flatnonzero(stated.weights)}


def test_an_empty_profile_says_nothing(samples: Features) -> None:
    stated = stated_taste(Profile(), samples, CATEGORIES)
    assert (weights_of(stated), stated.sentences, stated.categories) == ({}, (), ())


def test_colours_count_up_or_down_where_the_model_draws_them(samples: Features) -> None:
    stated = stated_taste(Profile(colours_liked=["blue", "green"], colours_disliked=["red"]), samples, CATEGORIES)
    weights = weights_of(stated)
    assert set(weights) == {colour_column("blue"), colour_column("red")}
    assert weights[colour_column("blue")] == -weights[colour_column("red")] > 0
    assert stated.sentences == (
        "blue: counts as a colour that is liked",
        "green: does not count, because the model hardly draws it here",
        "red: counts as a colour that is not liked",
    )


@pytest.mark.parametrize(
    ("word", "columns"),
    [
        ("dunkel", {measure_column("brightness"): -1}),
        ("dunkle Farben", {measure_column("brightness"): -1}),
        ("long-sleeved", {measure_column("sleeve"): 1}),  # not also long
        ("short sleeves", {measure_column("sleeve"): -1}),  # not also short
        ("mit kurzen Ärmeln", {measure_column("sleeve"): -1}),
        ("kurzen Ärmel", {measure_column("sleeve"): -1}),  # nor this
        ("kurzer Ärmel", {measure_column("sleeve"): -1}),
        ("langes Kleid", {measure_column("length"): 1}),
        ("shorts", {}),
        ("no sleeves", {measure_column("sleeve"): -1}),
        ("ohne Muster", {measure_column("texture"): -1}),
        ("无袖", {measure_column("sleeve"): -1}),
        ("不对称", {measure_column("asymmetry"): 1}),
        ("weniger bunt", {measure_column("saturation"): -1}),  # not colourful
        ("gestreift", {measure_column("texture"): 1}),
        ("plain black", {measure_column("texture"): -1, colour_column("black"): 1}),
        ("蓝色长款", {measure_column("length"): 1, colour_column("blue"): 1}),
        ("blueish", {}),
        ("wedding", {}),
        ("warm", {}),  # this model's garments are all as warm
    ],
)
def test_without_text_a_word_counts_by_what_it_names(samples: Features, word: str, columns: dict[int, int]) -> None:
    stated = stated_taste(Profile(styles=[word]), samples, CATEGORIES)
    assert {place: np.sign(weight) for place, weight in weights_of(stated).items()} == columns
    assert ("does not count" in stated.sentences[0]) == (not columns)


@pytest.mark.parametrize(
    ("word", "negation"),
    [
        ("not black", "not"),
        ("nicht schwarz", "nicht"),
        ("nicht zu lang", "nicht"),
        ("不要黑色", "不"),
        ("no long sleeves", "no"),
        ("Kein Kleid", "kein"),
        ("isn't dark", "n't"),
        ("without black", "without"),
    ],
)
def test_a_word_with_a_negation_does_not_count_as_its_opposite(samples: Features, word: str, negation: str) -> None:
    for effect in (None, lambda _: np.ones(samples.shape[1])):
        stated = stated_taste(Profile(styles=[word]), samples, CATEGORIES, effect)
        assert (weights_of(stated), stated.categories) == ({}, ())
        assert stated.sentences[0].startswith(f"{word}: does not count, because “{negation}” turns it round")


def test_words_ask_for_more_or_less_of_the_studios_measures_only() -> None:
    assert set(OPPOSITES) == set(MEASURES) - {"contrast", "size"}  # for which nobody has a word


def test_a_word_may_name_a_category(samples: Features) -> None:
    stated = stated_taste(Profile(occasions=["Sommerkleid"]), samples, CATEGORIES)
    assert stated.categories == ("dress",)
    assert stated.sentences == ("Sommerkleid: counts as the category dress, with which Suggestions open",)


def test_with_text_a_word_counts_by_what_the_model_draws_for_it(samples: Features) -> None:
    def effect(word: str) -> Features:
        change = np.zeros(samples.shape[1])
        if word == "car":
            raise InputError("this model knows no such thing")
        if word == "evening":
            change[measure_column("brightness")], change[colour_column("black")] = -0.9, 0.3
        return change

    stated = stated_taste(Profile(styles=["car", "evening", "office"]), samples, CATEGORIES, effect)
    assert {place: np.sign(weight) for place, weight in weights_of(stated).items()} == {
        measure_column("brightness"): -1,
        colour_column("black"): 1,
    }
    assert np.linalg.norm(stated.weights[MEASURE_COLUMNS]) <= 1
    assert stated.sentences == (
        "car: does not count: this model knows no such thing",
        "evening: counts by what the model draws for it (less brightness, more black)",
        "office: does not count, because the model draws nothing else for it",
    )


def test_a_model_without_text_says_so_and_colours_count(tmp_path: Path) -> None:
    with served_studio(tmp_path) as client:
        body = {"colours_liked": ["black", "red"], "styles": ["dark", "boho"], "occasions": ["dress"]}
        client.request("PUT", "/api/profile", body)
        effects = client.request("GET", "/api/profile/effects?category=dress").json
        assert effects["sentences"] == [
            "black: counts as a colour that is liked",
            "red: does not count, because the model hardly draws it here",
            "dark: counts as less brightness",
            "boho: does not count, because it names no colour, measure or category, and this model was not trained on text",
            "dress: counts as the category dress, with which Suggestions open",
        ]
        assert (effects["counts"], effects["categories"], effects["votes"]) == (True, ["dress"], 0)
        assert client.request("GET", "/api/profile/effects?category=hat").status == 422
