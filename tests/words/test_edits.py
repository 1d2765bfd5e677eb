"""Changes in words: their prompts in three languages, their direction, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.inference.onnx_generator import ExportedCard
from pipeline.words.edits import (
    MAX_CHANGE_CHARACTERS,
    PromptPair,
    change_direction,
    change_step,
    checked_change,
    language_of,
    prompt_pair,
    within_strength,
)
from pipeline.words.encoder import EMBEDDING_DIM, ENCODER_NAME
from pipeline.words.opposites import OPPOSITES
from pipeline.words.vocabulary import LANGUAGES
from tests.support.studio_model import stand_in_card

READER: ExportedCard = replace(stand_in_card(b"", b""), text_encoder=ENCODER_NAME, text_dim=EMBEDDING_DIM)


@pytest.mark.parametrize(
    ("words", "before", "after"),
    [
        ("darker", "white dress", "black dress"),
        ("Make it a bit lighter!", "black dress", "white dress"),
        ("longer sleeves", "red dress with short sleeves", "red dress with long sleeves"),
        ("sleeveless", "red dress with long sleeves", "red dress without sleeves"),
        ("ohne Ärmel", "rotes Kleid mit langen Ärmeln", "rotes Kleid ohne Ärmel"),
        ("wider", "narrow red dress", "wide red dress"),
        ("oversized", "narrow red dress", "wide red dress"),
        ("patterned", "plain red dress", "patterned red dress"),
        ("turtleneck", "red dress", "red dress, turtleneck"),  # captions name no neckline
        ("heller", "schwarzes Kleid", "weißes Kleid"),
        ("kürzer", "langes rotes Kleid", "kurzes rotes Kleid"),
        ("etwas dunkler", "weißes Kleid", "schwarzes Kleid"),
        ("längere Ärmel", "rotes Kleid mit kurzen Ärmeln", "rotes Kleid mit langen Ärmeln"),
        ("更深", "白色连衣裙", "黑色连衣裙"),
        ("稍微更长的袖子", "短袖红色连衣裙", "长袖红色连衣裙"),
        ("blue", "red dress", "blue dress"),
        ("gray", "red dress", "grey dress"),
        ("red", "dress", "red dress"),
        ("in Grün", "rotes Kleid", "grünes Kleid"),
        ("蓝色", "红色连衣裙", "蓝色连衣裙"),
        ("with white dots", "red dress", "red dress with white dots"),
        ("mit weißen Punkten", "rotes Kleid", "rotes Kleid mit weißen Punkten"),
        ("elegant", "red dress", "red dress, elegant"),
        ("带白色波点", "红色连衣裙", "红色连衣裙，带白色波点"),
    ],
)
def test_a_change_becomes_two_prompts_in_its_language(words: str, before: str, after: str) -> None:
    assert prompt_pair(words, "dress", "red") == PromptPair(before, after)


def test_a_garment_without_a_known_colour_or_name_is_described_by_its_category() -> None:
    assert prompt_pair("with white dots", "skirt", None) == PromptPair("skirt", "skirt with white dots")
    assert prompt_pair("heller", "kimono", "red") == PromptPair("schwarz kimono", "weiß kimono")
    assert prompt_pair("kürzer", "kimono", "red") == PromptPair("lang rot kimono", "kurz rot kimono")


def test_no_word_of_the_opposites_asks_for_two_changes_and_each_is_read_in_its_language() -> None:
    for language in LANGUAGES:
        asked = [words for one in OPPOSITES.values() for end, _ in one.ways for words in end.asked[language]]
        assert len(asked) == len(set(asked))
        assert [language_of(words) for words in asked] == [language] * len(asked)


def test_the_direction_is_a_unit_vector_and_its_opposite_the_other_way_round() -> None:
    pair = prompt_pair("darker", "dress", "red")
    direction = change_direction(pair, READER)
    assert np.linalg.norm(direction) == pytest.approx(1, abs=1e-5)
    assert np.allclose(change_direction(PromptPair(pair.after, pair.before), READER), -direction)
    assert np.allclose(change_step(pair, READER) / np.linalg.norm(change_step(pair, READER)), direction)


def test_the_same_change_goes_the_same_way_in_german_and_chinese() -> None:
    for change, same in [("darker", ("dunkler", "更深")), ("longer sleeves", ("längere Ärmel", "更长的袖子"))]:
        english, *others = (change_direction(prompt_pair(one, "dress", "red"), READER) for one in (change, *same))
        assert min(english @ other for other in others) > 0.1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "the text is empty"),
        ("please, a bit", "the text says no change"),
        ("darker " * 12, f"the change has 84 characters; at most {MAX_CHANGE_CHARACTERS}"),
        ("👗", "has no letters"),
        ("a car", "this model knows no such thing as “a car”"),
        ("汽车", "this model knows no such thing as “汽车”"),
        ("שמלה אדומה", "a script that the model has not learnt"),
    ],
)
def test_what_says_no_change_of_a_garment_is_refused_in_one_sentence(words: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        checked_change(words, READER)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("words", ["darker", "更深", "heller", "with a hood", "带口袋", "sleeveless"])
def test_a_change_of_a_garment_passes(words: str) -> None:
    assert checked_change(f" {words} ", READER) == words


def test_a_model_without_captions_refuses_every_change() -> None:
    with pytest.raises(InputError, match="takes no text"):
        checked_change("darker", replace(READER, text_dim=0))


def test_two_equal_prompts_change_nothing() -> None:
    with pytest.raises(InputError, match="this changes nothing about “red dress”"):
        change_direction(PromptPair("red dress", "red dress"), READER)


def test_a_row_is_shortened_to_the_greatest_strength_only_where_it_is_longer() -> None:
    assert within_strength(np.array([3.0, 4.0], np.float32)) == pytest.approx([1.2, 1.6])
    assert within_strength(np.array([0.6, 0.8], np.float32)) == pytest.approx([0.6, 0.8])
    assert (within_strength(np.zeros(2, np.float32)) == 0).all()
