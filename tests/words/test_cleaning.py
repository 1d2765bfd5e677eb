"""What is removed from titles and alternative texts, and what is known to be missed."""

from pathlib import Path

import pytest

from pipeline.words.cleaning import MAX_WORDS, RULES, Rule, cleaned, shop_names

DOCUMENTED = Path("docs/words.md")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_example_of_a_rule_is_removed_and_the_words_around_it_stay(rule: Rule) -> None:
    assert rule.pattern.fullmatch(rule.example) or rule.pattern.search(rule.example)
    assert cleaned(f"red dress {rule.example} cotton") == "red dress cotton"


def test_the_documentation_has_every_rule_with_its_example() -> None:
    text = DOCUMENTED.read_text(encoding="utf-8")
    assert [rule.name for rule in RULES if f"| {rule.name} | `{rule.example}` |" not in text] == []


@pytest.mark.parametrize(
    ("title", "left"),
    [
        ("Nordic Wear – Linen shirt, Größe 38/40, 29,99 €", "Linen shirt"),
        ("Black T-shirt S-XL KX-2041B Art.-Nr. 4711-B", "Black T-shirt"),
        ("杨小米同款红色连衣裙 尺码M 199元 包邮", "红色连衣裙"),
        ("New! €1.299,00 Silk gown — 20% off", "New! Silk gown"),
        ("<b>Blue</b>&nbsp;jeans &amp; belt", "Blue jeans & belt"),
        ("V-Neck T-Shirt", "V-Neck T-Shirt"),
        ("A-line skirt", "A-line skirt"),
        ("no sleeves", "no sleeves"),
        ("Jeans 501", "Jeans 501"),
        ("2023夏季新款V领碎花连衣裙", "夏季新款V领碎花连衣裙"),
        ("2024新款T恤女", "新款T恤女"),
        ("90s-style jacket, 1920s hat", "90s-style jacket, 1920s hat"),
        ("100% cotton, 95 % linen and 5 % elastane", "100% cotton, 95 % linen and 5 % elastane"),
    ],
)
def test_a_title_keeps_what_it_says_of_the_garment(title: str, left: str) -> None:
    assert cleaned(title, shop_names([("https://www.nordic-wear.example/1", title)])) == left


@pytest.mark.parametrize(
    ("title", "left"),
    [
        ("Emma Dress in Red", "Dress in Red"),
        ("Kleid ‚Emma‘ aus Leinen", "Kleid aus Leinen"),
        ("Anna Schmidt wearing a blue coat", "wearing a blue coat"),
        ("Photo by Jane Doe: red shirt", "red shirt"),
        ("Blue dress © Xaver Huber", "Blue dress"),
        ("© Xaver Huber", None),
        ("Julia's favourite skirt", "favourite skirt"),
        ("Herr Müller im grauen Anzug", "im grauen Anzug"),
    ],
)
def test_names_of_people_are_removed(title: str, left: str | None) -> None:
    assert cleaned(title) == left


@pytest.mark.parametrize("title", ["Rose pink dress for Rose Miller", "Shirt by Levi's", "Xiuying in a red qipao"])
def test_misses_that_the_documentation_lists(title: str) -> None:
    assert cleaned(title) == title
    assert title in DOCUMENTED.read_text(encoding="utf-8")


@pytest.mark.parametrize("title", [None, "", "   ", "IMG_2041.jpg", "29,99 €", "M", "👗👗", "Nordic Wear"])
def test_nothing_is_left_of_a_text_that_describes_no_garment(title: str | None) -> None:
    assert cleaned(title, frozenset({"nordicwear"})) is None


def test_a_shop_is_known_by_its_host_and_by_what_its_titles_share() -> None:
    titles = [("https://shop.example.com/1", "Red dress | Atelier Nord"), ("https://shop.example.com/2", "Hat | Atelier Nord")]
    assert "ateliernord" not in shop_names(titles)
    titles.append(("https://shop.example.com/3", "Skirt | Atelier Nord"))
    assert {"ateliernord", "example"} <= shop_names(titles)
    assert cleaned("Red dress | Atelier Nord", shop_names(titles)) == "Red dress"


def test_a_long_text_is_cut_at_whole_words_and_in_little_time() -> None:
    assert cleaned("very " * 5000 + "red dress") == " ".join(["very"] * MAX_WORDS)
    assert cleaned("a1" * 50_000) is None
