"""Prompts of another domain: refused, unless they name a garment; words of clothing and of colours pass."""

import pytest

from pipeline.errors import InputError
from pipeline.words.domain import MARGIN, clothing_score, refuse_other_domain
from pipeline.words.encoder import text_encoder

# On which neither the texts of domain.py nor its margin were set.
UNSEEN_CLOTHING = (
    *("for a funeral", "for the gym", "like a cowboy", "more modest", "preppy", "edgy", "romantic"),
    *("hand-knitted", "with a bow", "with a drawstring", "with puff sleeves", "crew neck", "corduroy", "fluffy"),
    *("lightweight", "distressed look", "monochrome", "with golden buttons", "stretchy", "for travelling", "retro"),
    *(
        "in pastel colours",
        "double-breasted",
        "with a slit",
        "schick",
        "elegant und schlicht",
        "für die Hochzeit",
        "fürs Fitnessstudio",
    ),
    *("mit Schleife", "mit Spitze", "aus Wolle", "aus Cord", "leicht und luftig", "plissiert", "zweireihig"),
    *("romantisch", "rockig", "trägerlos", "mit Pailletten", "hauteng", "in Pastellfarben", "für den Herbst"),
    *("帅气", "甜美", "复古风", "学院风", "适合旅行", "适合约会", "带蝴蝶结"),
    *("灯笼袖", "圆领", "灯芯绒", "毛茸茸", "轻薄", "做旧", "金色纽扣"),
    *("弹力", "开衩", "双排扣", "秋天穿的"),
)
UNSEEN_OTHER = (
    *("a bus stop", "an elephant", "a hamburger", "a thunderstorm", "a piano", "a tax return", "an island"),
    *("a washing machine", "biology", "a spaceship", "bread", "a smartphone", "a parliament", "a cactus"),
    *("an email", "a crossword puzzle", "a screwdriver", "a glacier", "orange juice", "a bookshelf", "a shark"),
    *("petrol", "a password", "a dentist", "ein Elefant", "eine Waschmaschine", "ein Gewitter", "ein Klavier"),
    *("die Steuererklärung", "eine Insel", "Brot", "ein Schraubenzieher", "das Parlament", "ein Kaktus", "eine E-Mail"),
    *("ein Hai", "Benzin", "ein Bücherregal", "Physik", "ein Zahnarzt", "Orangensaft", "ein Raumschiff"),
    *("大象", "汉堡", "雷雨", "钢琴", "报税", "岛", "洗衣机"),
    *("生物学", "飞船", "面包", "手机", "议会", "仙人掌", "邮件"),
    *("螺丝刀", "冰川", "橙汁", "书架"),
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
        "sporty",
        "for the beach",
        "ein Kleid mit Autos darauf",
        "t-shirt with a dog",
        "a car on a red dress",
    ],
)
def test_words_of_clothing_pass_and_so_does_whatever_names_a_garment(prompt: str) -> None:
    _check(prompt)


def test_a_category_of_the_model_is_no_other_domain() -> None:
    with pytest.raises(InputError):
        _check("a black dog")
    _check("a black dog", "dog")


def test_of_unseen_texts_none_on_clothing_and_most_on_other_things_are_refused() -> None:
    clothing, other = (
        [clothing_score(row) < -MARGIN for row in text_encoder().embeddings(texts)] for texts in (UNSEEN_CLOTHING, UNSEEN_OTHER)
    )
    assert len(clothing) == len(other) == 60
    assert (sum(clothing), sum(other)) == (0, 43)  # docs/words.md says so


def test_the_score_tells_clothes_from_things() -> None:
    clothes, things = (
        [clothing_score(row) for row in text_encoder().embeddings(texts)]
        for texts in (["a woollen scarf", "festliche Mode", "冬装"], ["a railway", "ein Fahrrad", "香蕉"])
    )
    assert min(clothes) > max(things)
