import json
import math

import pytest

from pipeline.sources.pages.crawled import CrawledPicture, assign_categories, match_category, merge_duplicates
from pipeline.sources.pages.licences import licence_name
from pipeline.web.values import MAX_CHARACTERS, clean_text, iso_date, parse_datetime, parse_pixels, parse_price

WORDS = {"T-Shirts": "t-shirt", "Dresses": "dress", "women > tops": "shirt", "ankle boots": "ankle-boot"}


@pytest.mark.parametrize(
    ("words", "category"),
    [
        (["dresses"], "dress"),
        (["Women > Dresses"], "dress"),
        (["Women > Tops"], "shirt"),
        (["Women / Tops / t_shirts"], "t-shirt"),
        (["Ankle-Boots"], "ankle-boot"),
        (["Sale", "  DRESSES "], "dress"),
        (["Sale"], None),
        ([], None),
    ],
)
def test_the_sites_words_become_ours(words: list[str], category: str | None) -> None:
    assert match_category(words, WORDS) == category


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("https://creativecommons.org/licenses/by-sa/4.0/", "CC-BY-SA-4.0"),
        ("http://creativecommons.org/licenses/by/2.0/deed.en", "CC-BY-2.0"),
        ("//creativecommons.org/licenses/by-nc-nd/3.0/de/legalcode", "CC-BY-NC-ND-3.0-DE"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "https://creativecommons.org/publicdomain/mark/1.0/"),
        ("CC BY-SA 4.0", "CC-BY-SA-4.0"),
        ("CC-BY-NC-4.0", "CC-BY-NC-4.0"),
        ("CC0", "CC0-1.0"),
        ("MIT", "MIT"),
        ("https://shop.example/terms", "https://shop.example/terms"),
        ("  all  rights reserved ", "all rights reserved"),
        ("", None),
        (None, None),
    ],
)
def test_licences_by_one_name(text: str | None, name: str | None) -> None:
    assert licence_name(text) == name


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("89.00", 89.0),
        ("49,95 €", 49.95),
        ("1,299.00", 1299.0),
        ("1.299,00", 1299.0),
        ("1,299", 1299.0),
        ("1.299.000", 1299000.0),
        ("£12", 12.0),
        ("free", None),
        ("$10 - $20", 10.0),
        ("19.99–29.99 EUR", 19.99),
        ("from 10", 10.0),
        ("1'234.50", 1234.5),
        ("CHF 1’234.50", 1234.5),
        ("1 234,50 €", 1234.5),
        ("1\u202f234,50\u00a0€", 1234.5),
        ("1,29,999.00", 129999.0),
        ("49.-", 49.0),
        ("1.299,-", 1299.0),
        ("0.999", 0.999),
        ("$.99", 0.99),
        ("20% off $80", 80.0),
        ("-20 % 40 €", 40.0),
        ("-5", None),
        ("−5,00 €", None),
        ("$-5", None),
        ("EUR -5.00", None),
        ("-EUR 5", None),
        ("", None),
        (None, None),
    ],
)
def test_prices_however_they_are_written(text: str | None, price: float | None) -> None:
    assert parse_price(text) == price


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2025-02-03", "2025-02-03"),
        ("2025-02-03T09:30:00Z", "2025-02-03T09:30:00+00:00"),
        ("Tue, 04 Mar 2025 10:15:00 +0000", "2025-03-04T10:15:00+00:00"),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_dates_in_iso_8601(text: str | None, day: str | None) -> None:
    assert iso_date(text) == day


def test_a_picture_found_twice_is_one_picture_with_two_provenances() -> None:
    poor = CrawledPicture(url="https://x.example/a.jpg", page="https://x.example/feed", title="A coat")
    rich = CrawledPicture(
        url="https://x.example/a.jpg", page="https://x.example/p/1", title="A coat", words=("coats",), price=9.0
    )
    other = CrawledPicture(url="https://x.example/b.jpg", page="https://x.example/p/1")
    for order in ([poor, rich, other], [rich, poor, other]):
        first, second = merge_duplicates(order, lambda url: url)
        assert (first.page, first.words, second) == ("https://x.example/p/1", ("coats",), other)
        assert json.loads(first.also or "") == [{"source": "crawl", "page": "https://x.example/feed", "title": "A coat"}]


def test_a_reservation_at_one_place_counts_at_all() -> None:
    open_place = CrawledPicture(url="u", page="1", title="told", words=("coats",))
    reserved = CrawledPicture(url="u", page="2", status="refused", reason="noai")
    [picture] = merge_duplicates([open_place, reserved], lambda url: url)
    assert (picture.status, picture.reason) == ("refused", "noai")


def test_a_page_that_could_not_be_read_says_nothing_about_a_picture_at_its_address() -> None:
    picture = CrawledPicture(url="u", page="1")
    page = CrawledPicture(url="u", page="u", status="refused", reason="page: a redirect", is_unread_page=True)
    for order in ([picture, page], [page, picture]):
        assert merge_duplicates(order, lambda url: url) == [picture]
    assert merge_duplicates([page, page], lambda url: url) == [page]


def test_categories_and_a_licence_for_what_names_none() -> None:
    found = [
        CrawledPicture(url="1", words=("dresses",)),
        CrawledPicture(url="2", category="coat", licence="CC0-1.0"),
        CrawledPicture(url="3", words=("hats",)),
    ]
    assert [(picture.category, picture.licence) for picture in assign_categories(found, WORDS, "own")] == [
        ("dress", "own"),
        ("coat", "CC0-1.0"),
        (None, "own"),
    ]


@pytest.mark.parametrize("text", ["9" * 400, "9" * 5000, "", "1e400", "nan"])
def test_an_absurd_price_is_finite_or_none(text: str) -> None:
    price = parse_price(text)
    assert price is None or math.isfinite(price)


@pytest.mark.parametrize(
    "text",
    ["Mon, 01 Jun 2026 12:00:30 +9999999999999999", "Mon, 01 Jun 33333333333333333333 12:00:30 GMT", " ", "soon", "9" * 5000],
)
def test_an_impossible_date_is_none(text: str) -> None:
    assert iso_date(text) is None
    assert parse_datetime(text) is None


@pytest.mark.parametrize(
    ("text", "pixels"), [("800", 800), ("0", 0), ("٣", 3), ("9" * 5000, None), ("-1", None), ("", None), (None, None)]
)
def test_pixels(text: str | None, pixels: int | None) -> None:
    assert parse_pixels(text) == pixels


def test_text_is_normalized_for_a_table() -> None:
    assert clean_text("  a\n\tb  ") == "a b"
    assert clean_text(" \n") is None
    assert clean_text("half a pair: \ud83d") == "half a pair: ?"
    assert len(clean_text("x " * 1_000_000) or "") <= MAX_CHARACTERS
