"""Sentences about a garment in English, German and Chinese, from its category, its attributes and its title.

Pure functions; a picture's captions depend on its key and a seed only.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.words.vocabulary import (
    ARTICLES,
    CHINESE_COLOURS,
    CUT_WORDS,
    GERMAN_COLOURS,
    PATTERN_WORDS,
    Language,
    agreeing,
    garment_nouns,
    inflected,
)

TITLE_SHARE = 0.5  # of a picture's captions that are its own words, where it has any

# A template is used where all of its fields are known. {a} is the article with a space, or nothing before a plural.
TEMPLATES: dict[Language, tuple[str, ...]] = {
    "en": (
        "{colour}",
        "{noun}",
        "{colour} {noun}",
        "{a}{colour} {noun}",
        "{noun} in {colour}",
        "{a}{noun} that {be} {colour}",
        "a photo of {a}{colour} {noun}",
        "{pattern} {noun}",
        "{a}{pattern} {noun}",
        "{pattern} {colour} {noun}",
        "{colour} {pattern} {noun}",
        "{a}{colour} {noun}, {pattern}",
        "{noun}: {colour}, {pattern}",
        "{colour} {noun} with {marks}",
        "{a}{colour} {noun} with {second} {marks}",
        "{pattern} {noun} in {colour} and {second}",
        "{colour} and {second} {noun}",
        "{cut} {noun}",
        "{a}{cut} {colour} {noun}",
        "{cut} {colour} {noun}",
        "{colour} {noun}, {cut}",
        "{cut} {colour} {noun} with {marks}",
        "{a}{cut} {colour} {noun} with {second} {marks}",
        "{cut} {pattern} {noun}",
        "{colour} {noun} {sleeves}",
    ),
    "de": (
        "{noun}",
        "{colour} {noun}",
        "{a}{colour} {noun}",
        "{noun} in {colour_noun}",
        "{noun}, {colour_bare}",
        "{pattern} {noun}",
        "{a}{pattern} {noun} in {colour_noun}",
        "{colour} {noun}, {pattern_bare}",
        "{noun}, {colour_bare}, {pattern_bare}",
        "{a}{colour} {noun} mit {second} {marks}",
        "{noun} in {colour_noun} und {second_noun}",
        "{cut} {noun}",
        "{a}{cut} {colour} {noun}",
        "{cut} {colour} {noun}",
        "{a}{cut} {colour} {noun} mit {second} {marks}",
        "{cut} {pattern} {noun}",
        "{colour} {noun} {sleeves}",
    ),
    "zh": (
        "{noun}",
        "{colour}{noun}",
        "{colour}的{noun}",
        "一{measure}{colour}{noun}",
        "{noun}，{colour}",
        "{pattern}{noun}",
        "{colour}{pattern}{noun}",
        "{noun}，{colour}，{pattern}",
        "带{second}{pattern}的{colour}{noun}",
        "{colour}和{second}的{noun}",
        "{cut}{noun}",
        "{colour}{cut}{noun}",
        "一{measure}{cut}{colour}{noun}",
        "{colour}{noun}，{cut}",
        "{cut}{pattern}{noun}",
        "带{second}{pattern}的{colour}{cut}{noun}",
    ),
}


@dataclass(frozen=True)
class Description:
    """What is known of a garment; attributes as in storage/garment_attributes.py, None if unknown or unsure."""

    category: str
    colour: str | None = None
    second_colour: str | None = None
    pattern: str | None = None
    length: str | None = None
    sleeve: str | None = None
    fit: str | None = None
    words: tuple[str, ...] = ()  # its cleaned title and alternative text


def _cuts(about: Description, language: Language, noun: str) -> list[tuple[str | None, str | None]]:
    """Adjectives of the cut that the `noun` does not say itself, with the phrase of its sleeves; (None, None) if none."""
    words = [CUT_WORDS.get(one) for one in (("length", about.length), ("sleeve", about.sleeve), ("fit", about.fit))]
    spoken: list[tuple[str | None, str | None]] = [
        (adjective, one.sleeves.get(language))
        for one in words
        if one
        for adjective in one.adjectives[language]
        if adjective not in noun.lower()
    ]
    return spoken or [(None, None)]


def _filled(templates: Sequence[str], fields: dict[str, str | None]) -> Iterator[str]:
    known = {name: value for name, value in fields.items() if value is not None}
    for template in templates:
        if set(re.findall(r"{(\w+)}", template)) <= set(known):
            yield template.format(**known)


def _english(about: Description) -> Iterator[str]:
    nouns = garment_nouns(about.category)
    names, plural = (nouns.en, nouns.en_plural) if nouns else ((about.category,), about.category.endswith("s"))
    pattern = PATTERN_WORDS.get(about.pattern or "")
    for noun, adjective in itertools.product(names, pattern.en if pattern else (None,)):
        fields: dict[str, str | None] = {
            "noun": noun,
            "a": "" if plural else "a ",
            "be": "are" if plural else "is",
            "colour": about.colour,
            "second": about.second_colour,
        }
        fields |= {"pattern": adjective, "marks": pattern.en_marks if pattern else None}
        for cut, sleeves in _cuts(about, "en", noun):
            for sentence in _filled(TEMPLATES["en"], fields | {"cut": cut, "sleeves": sleeves}):
                yield re.sub(r"\ba (?=[aeiou])", "an ", sentence)


def _german(about: Description) -> Iterator[str]:
    nouns = garment_nouns(about.category)
    if nouns is None:
        return
    colour, second = (GERMAN_COLOURS.get(one or "") for one in (about.colour, about.second_colour))
    pattern = PATTERN_WORDS.get(about.pattern or "")
    marks = pattern.de_marks if pattern else None
    for (noun, gender), adjective in itertools.product(nouns.de, pattern.de if pattern else (None,)):
        fields: dict[str, str | None] = {
            "noun": noun,
            "a": ARTICLES[gender],
            "colour": agreeing(colour, gender) if colour else None,
            "colour_bare": colour,
            "colour_noun": colour.capitalize() if colour else None,
            "pattern": agreeing(adjective, gender) if adjective else None,
            "pattern_bare": adjective,
            "second": inflected(second, marks[0]) if second and marks else None,
            "second_noun": second.capitalize() if second else None,
            "marks": marks[1] if marks else None,
        }
        for cut, sleeves in _cuts(about, "de", noun):
            yield from _filled(TEMPLATES["de"], fields | {"cut": agreeing(cut, gender) if cut else None, "sleeves": sleeves})


def _chinese(about: Description) -> Iterator[str]:
    nouns = garment_nouns(about.category)
    if nouns is None:
        return
    pattern = PATTERN_WORDS.get(about.pattern or "")
    for (noun, measure), name in itertools.product(nouns.zh, pattern.zh if pattern else (None,)):
        colour, second = (CHINESE_COLOURS.get(one or "") for one in (about.colour, about.second_colour))
        fields = {"noun": noun, "measure": measure, "colour": colour, "pattern": name}
        fields["second"] = second if about.pattern != "plain" else None
        for cut, _ in _cuts(about, "zh", noun):
            yield from _filled(TEMPLATES["zh"], fields | {"cut": cut})


SENTENCES = {"en": _english, "de": _german, "zh": _chinese}


def sentences(about: Description, language: Language) -> list[str]:
    """Every sentence of the templates in `language` about a garment, each once; none in a language without its noun."""
    return list(dict.fromkeys(SENTENCES[language](about)))


def captions_of(key: str, about: Description, languages: Sequence[Language], count: int, seed: int) -> list[str]:
    """`count` captions of the picture `key`, a hexadecimal number: its own words for TITLE_SHARE of them, and sentences.

    Languages take turns in a random order, and a sentence comes again only when a language has no other left.
    """
    rng = np.random.default_rng([seed, int(key, 16)])
    own = [str(one) for one in rng.permutation(list(about.words))][: int(count * TITLE_SHARE)] if about.words else []
    decks = [deck for language in rng.permutation(list(languages)) if (deck := sentences(about, language))]
    shuffled = [itertools.cycle([str(one) for one in rng.permutation(deck)]) for deck in decks]
    drawn = itertools.islice(itertools.cycle(shuffled), count - len(own))
    return own + [next(deck) for deck in drawn]
