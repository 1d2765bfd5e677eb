"""Captions: grammar in three languages, and what a picture's captions depend on."""

import pytest

from pipeline.imaging.garment_colours import COLOURS
from pipeline.imaging.garment_patterns import PATTERNS
from pipeline.storage.garment_attributes import SEEN_ATTRIBUTES
from pipeline.words.captions import TEMPLATES, Description, captions_of, sentences
from pipeline.words.vocabulary import (
    CHINESE_COLOURS,
    CUT_WORDS,
    GARMENTS,
    GERMAN_COLOURS,
    LANGUAGES,
    PATTERN_WORDS,
    SYNONYMS,
    Language,
)

DOTTED = Description("dress", "red", "white", "dotted", length="long", sleeve="short", fit="wide")


def test_every_colour_and_pattern_that_is_measured_has_its_words() -> None:
    assert set(GERMAN_COLOURS) == set(CHINESE_COLOURS) == set(COLOURS)
    assert set(PATTERN_WORDS) == set(PATTERNS)
    assert set(SYNONYMS.values()) <= set(GARMENTS)
    cuts = {(name, value) for name in ("length", "sleeve", "fit") for value in SEEN_ATTRIBUTES[name].values}
    assert set(CUT_WORDS) == cuts - {("fit", "regular")}


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "a red dress with white dots"),
        ("en", "polka-dot dress in red and white"),
        ("de", "ein rotes Kleid mit weißen Punkten"),
        ("de", "gepunktetes Kleid"),
        ("zh", "带白色波点的红色连衣裙"),
        ("zh", "一条红色连衣裙"),
        ("en", "a long red dress with white dots"),
        ("en", "red dress with short sleeves"),
        ("de", "ein langes rotes Kleid mit weißen Punkten"),
        ("de", "rotes Kleid mit kurzen Ärmeln"),
        ("zh", "带白色波点的红色长款连衣裙"),
    ],
)
def test_a_garment_with_all_attributes_is_described(language: Language, sentence: str) -> None:
    assert sentence in sentences(DOTTED, language)


@pytest.mark.parametrize(
    ("about", "language", "sentence"),
    [
        (Description("skirt", "green"), "de", "grüner Rock"),
        (Description("pants", "pink"), "de", "eine rosa Hose"),
        (Description("skirt", "blue", "white", "printed"), "de", "ein blauer Rock mit weißem Muster"),
        (Description("shoes", "black"), "de", "schwarze Schuhe"),
        (Description("dress", "orange"), "en", "an orange dress"),
        (Description("shorts", "orange"), "en", "shorts that are orange"),
        (Description("T-shirt/top", "grey"), "zh", "灰色T恤"),
    ],
)
def test_grammar(about: Description, language: Language, sentence: str) -> None:
    assert sentence in sentences(about, language)


@pytest.mark.parametrize(
    ("about", "language", "redundant"),
    [
        (Description("longsleeve", sleeve="long"), "en", "long-sleeved long-sleeved top"),
        (Description("shorts", length="short"), "de", "kurze kurze Hose"),
        (Description("t-shirt", sleeve="short"), "zh", "短袖短袖"),
    ],
)
def test_a_cut_that_the_noun_says_is_not_said_twice(about: Description, language: Language, redundant: str) -> None:
    assert redundant not in sentences(about, language)


def test_what_is_unknown_is_not_said() -> None:
    assert set(sentences(Description("dress"), "en")) == {"dress"}
    assert not any("None" in one for language in LANGUAGES for one in sentences(Description("hat", "red"), language))
    assert not any("white" in one for one in sentences(Description("hat", "red", None, "dotted"), "en"))


def test_an_unknown_category_is_described_in_english_only() -> None:
    about = Description("kimono", "red")
    assert "a red kimono" in sentences(about, "en")
    assert sentences(about, "de") == sentences(about, "zh") == []
    assert captions_of("0f", about, ["zh", "en"], 2, 0)[0] in sentences(about, "en")


def test_every_template_is_used_where_everything_is_known() -> None:
    for language, templates in TEMPLATES.items():
        assert len(sentences(DOTTED, language)) >= len(templates) - 1  # "that is" and the like depend on the noun


def test_captions_depend_on_the_key_and_the_seed_only() -> None:
    drawn = captions_of("00ab", DOTTED, LANGUAGES, 6, 0)
    assert drawn == captions_of("00ab", DOTTED, LANGUAGES, 6, 0)
    assert drawn != captions_of("00ac", DOTTED, LANGUAGES, 6, 0)
    assert drawn != captions_of("00ab", DOTTED, LANGUAGES, 6, 1)


def test_captions_take_turns_in_the_languages_and_half_of_them_are_its_own_words() -> None:
    about = Description("dress", "red", "white", "dotted", words=("Summer dress with frills",))
    captions = captions_of("00ab", about, LANGUAGES, 6, 0)
    assert captions[0] == "Summer dress with frills"
    by_language = [sum(one in sentences(about, language) for one in captions) for language in LANGUAGES]
    assert sorted(by_language) == [1, 2, 2]
