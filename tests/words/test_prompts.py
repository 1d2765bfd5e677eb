"""Prompts: what is refused, in one sentence, and which category is read from the words."""

import pytest

from pipeline.errors import InputError
from pipeline.words.prompts import checked_prompt, checked_strength
from pipeline.words.vocabulary import named

CATEGORIES = ["dress", "hat", "hoodie", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt", "top"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the text is empty"),
        (" \n\u200b ", "the text is empty"),
        ("red dress " * 1000, "10,000 characters"),
        ("👗❤️", "has no letters"),
        ("123 !", "has no letters"),
        ("فستان أحمر", "a script that the model has not learnt"),
        ("שמלה אדומה", "a script that the model has not learnt"),
    ],
)
def test_a_prompt_that_describes_nothing_is_refused_in_one_sentence(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        checked_prompt(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("  red \t dress\n", "red dress"),
        ("ｒed dress 👗", "red dress 👗"),
        ("Mütze, weiß", "Mütze, weiß"),
        ("红色连衣裙", "红色连衣裙"),
    ],
)
def test_a_prompt_keeps_its_words(text: str, plain: str) -> None:
    assert checked_prompt(text) == plain


@pytest.mark.parametrize("strength", [-0.1, 2.1, float("nan"), float("inf")])
def test_a_strength_outside_0_to_2_is_refused(strength: float) -> None:
    with pytest.raises(InputError, match="must be 0 to 2"):
        checked_strength(strength)


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("long red dress with white dots", "dress"),
        ("three dresses", "dress"),
        ("ein rotes Sommerkleid", "dress"),
        ("红色连衣裙", "dress"),
        ("条纹T恤", "t-shirt"),
        ("白色t恤衫", "t-shirt"),
        ("a hooded sweatshirt", "hoodie"),
        ("kurze Hose in Blau", "shorts"),
        ("blaue Hosen", "pants"),
        ("T-Shirt, grün", "t-shirt"),
        ("green shirts", "shirt"),
        ("rote Kleider", "dress"),
        ("schwarze Hosen", "pants"),
        ("sommerkleid", "dress"),
        ("roter rock", "skirt"),
        ("Minirock", "skirt"),
        ("a shoe", "shoes"),
        ("sunshine that I like", None),
        ("a laptop", None),
        ("Rooftop bar", None),
        ("a rock", None),
        ("shut the door", None),
        ("those in red", None),
        ("something red", None),
    ],
)
def test_the_category_is_read_from_english_german_and_chinese(text: str, category: str | None) -> None:
    assert named(text, CATEGORIES) == category


def test_a_category_outside_the_vocabulary_is_found_by_its_own_name() -> None:
    assert named("a blue kimono", ["dress", "kimono"]) == "kimono"
