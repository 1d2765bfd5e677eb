"""Prompts of another domain: refused, unless they name a garment; words of clothing and of colours pass."""

import pytest

from pipeline.errors import InputError
from pipeline.words.domain import clothing_score, refuse_other_domain
from pipeline.words.encoder import text_encoder


def _check(prompt: str, *categories: str) -> None:
    refuse_other_domain(prompt, text_encoder().embeddings([prompt])[0], categories)


@pytest.mark.parametrize(
    "prompt", ["a car", "a red car", "ein Auto", "汽车", "a black dog", "pizza", "sky over the sea", "手机"]
)
def test_a_prompt_of_another_domain_is_refused_by_name(prompt: str) -> None:
    with pytest.raises(InputError, match=f"^this model knows no such thing as “{prompt}”; describe a garment"):
        _check(prompt)


@pytest.mark.parametrize(
    "prompt",
    [
        "red",
        "something red",
        "etwas Rotes",
        "红色",
        "stripes",
        "long sleeves",
        "winter clothes",
        "romantic",
        "ein Kleid mit Autos darauf",
        "t-shirt with a dog",
        "a car on a red dress",
    ],
)
def test_words_of_clothing_pass_and_so_does_whatever_names_a_garment(prompt: str) -> None:
    _check(prompt)


def test_a_category_of_the_model_is_no_other_domain() -> None:
    with pytest.raises(InputError):
        _check("an umbrella for the car")
    _check("an umbrella for the car", "umbrella")


def test_the_score_tells_clothes_from_things() -> None:
    clothes, things = (
        [clothing_score(row) for row in text_encoder().embeddings(texts)]
        for texts in (["a woollen scarf", "festliche Mode", "冬装"], ["a railway", "ein Fahrrad", "香蕉"])
    )
    assert min(clothes) > max(things)
