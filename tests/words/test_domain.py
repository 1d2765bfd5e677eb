"""Prompts of another domain: refused, unless they name a garment; words of clothing and of colours pass."""

import pytest

from pipeline.errors import InputError
from pipeline.words.domain import MARGIN, clothing_score, refuse_other_domain
from pipeline.words.encoder import text_encoder

# On which neither the texts of domain.py nor its margin were set.
UNSEEN_CLOTHING = (
    *("floral summer style", "something blue", "checked flannel", "a warm scarf", "office wear", "silk", "gold sequins"),
    *("baggy and grey", "party outfit", "ruffled sleeves", "etwas Schwarzes", "festliche Mode", "weit geschnitten", "Wolle"),
    *("gepunktet", "冬装", "粉色", "格子", "丝绸", "休闲装"),
)
UNSEEN_OTHER = (
    *("a railway", "a banana", "a horse", "a laptop", "a mountain", "the moon", "a chair", "a cup of coffee", "the government"),
    *(
        "a violin",
        "a garden",
        "a red bicycle",
        "ein Fahrrad",
        "ein Baum",
        "eine Katze",
        "Frankreich",
        "香蕉",
        "飞机",
        "一只狗",
        "电脑",
    ),
)


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


def test_of_unseen_texts_none_on_clothing_and_most_on_other_things_are_refused() -> None:
    clothing, other = (
        [clothing_score(row) < -MARGIN for row in text_encoder().embeddings(texts)] for texts in (UNSEEN_CLOTHING, UNSEEN_OTHER)
    )
    assert (sum(clothing), sum(other)) == (0, 14)  # docs/words.md says so
    assert len(clothing) == len(other) == 20


def test_the_score_tells_clothes_from_things() -> None:
    clothes, things = (
        [clothing_score(row) for row in text_encoder().embeddings(texts)]
        for texts in (["a woollen scarf", "festliche Mode", "冬装"], ["a railway", "ein Fahrrad", "香蕉"])
    )
    assert min(clothes) > max(things)
