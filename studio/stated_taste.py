"""What a profile says of taste, as prior weights of the taste model's features, and sentences on what counts."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np

from pipeline.errors import InputError
from pipeline.imaging.garment_colours import COLOURS
from pipeline.words.opposites import OPPOSITES
from pipeline.words.vocabulary import CHINESE, COLOUR_WORDS, PATTERN_WORDS, named
from studio.measures import MEASURES
from studio.profile import Profile
from studio.taste_features import COLOUR_COLUMNS, MEASURE_COLUMNS, Features, colour_column, measure_column

COLOUR_WEIGHT = 3.0  # of the share of a colour that is liked
MEASURE_WEIGHT = 1.0  # of a standard deviation of a measure that a word asks for
WORD_WEIGHT = 1.0  # of the change that a word makes to what the model draws, in standard deviations of its length
LEAST_CHANGE = 0.2  # of a measure in standard deviations, or of a colour's share: a word that changes less does not count
RARE = 0.01  # a colour that most pixels of fewer garments have is not drawn

# The measure that a word asks for more (1) or less (-1) of, and the colour that one names, in any language.
MEASURED_WORDS: dict[str, tuple[str, int]] = {
    word: ("texture", -1 if pattern == "plain" else 1)
    for pattern, of in PATTERN_WORDS.items()
    for word in (*of.en, *of.de, *of.zh)
} | {
    word: (measure, 1 if end is opposites.more else -1)
    for measure, opposites in OPPOSITES.items()
    for end, _ in opposites.ways
    for words in end.asked.values()
    for word in words
}
NAMED_COLOURS = {word: colour for words in COLOUR_WORDS.values() for word, colour in words.items()}

NEGATION = re.compile(
    r"\b(?:not|no|non|never|without|nicht|nie|kein(?:e[mnrs]?)?|ohne)\b|n[’']t\b|[不无無没沒]"
)  # of folded text

T = TypeVar("T")
WordEffect = Callable[[str], Features]
"""The change (K,) of the mean features of what a model draws, if it is asked for a word. Raises InputError."""


@dataclass(frozen=True)
class StatedTaste:
    """What a profile says, for garments of one category."""

    weights: Features  # (K,) of the features; zeros if nothing counts
    sentences: tuple[str, ...]  # what counts and what does not
    categories: tuple[str, ...]  # that words name


def stated_taste(
    profile: Profile,
    samples: Features,
    categories: Sequence[str],
    word_effect: WordEffect | None = None,
    why_not: str = "this model was not trained on text",
) -> StatedTaste:
    """What `profile` says of a category whose drawn garments have the features `samples` (N, K), among `categories`.

    Without `word_effect`, which asks a model that was trained on captions, a word counts by the colour or the measure that it
    names, and the sentences say `why_not`.
    """
    weights, sentences = np.zeros(samples.shape[1]), []
    for colours, sign, opinion in ((profile.colours_liked, 1, "liked"), (profile.colours_disliked, -1, "not liked")):
        for colour in colours:
            if (samples[:, colour_column(colour)] > 0.5).mean() < RARE:
                sentences.append(f"{colour}: does not count, because the model hardly draws it here")
            else:
                weights[colour_column(colour)] += sign * COLOUR_WEIGHT
                sentences.append(f"{colour}: counts as a colour that is {opinion}")
    found = []
    for word in (*profile.styles, *profile.occasions):
        negation = _negation_in(word)
        if negation:
            sentences.append(f"{word}: does not count, because “{negation}” turns it round; write what you like instead")
            continue
        category = named(word, categories)
        found += [category] if category else []
        change, sentence = _asked_of_model(word, word_effect) if word_effect else _by_name(word, samples, category, why_not)
        weights += change
        sentences.append(f"{word}: {sentence}")
    return StatedTaste(weights, tuple(sentences), tuple(dict.fromkeys(found)))


def _asked_of_model(word: str, word_effect: WordEffect) -> tuple[Features, str]:
    """The weights of a word by what the model draws for it, and what it changes most."""
    try:
        change = word_effect(word)
    except InputError as error:
        return np.zeros(1), f"does not count: {error}"
    seen = np.zeros_like(change)
    seen[MEASURE_COLUMNS], seen[COLOUR_COLUMNS] = change[MEASURE_COLUMNS], change[COLOUR_COLUMNS]
    titles = {measure_column(name): title.lower() for name, title in MEASURES.items()}
    titles |= {colour_column(name): name for name in COLOURS}
    largest = [int(one) for one in np.argsort(-np.abs(seen))[:3] if abs(seen[one]) >= LEAST_CHANGE]
    if not largest:
        return np.zeros(1), "does not count, because the model draws nothing else for it"
    how = ", ".join(f"{'more' if seen[one] > 0 else 'less'} {titles[one]}" for one in largest)
    return WORD_WEIGHT * seen / np.linalg.norm(seen), f"counts by what the model draws for it ({how})"


def _by_name(word: str, samples: Features, category: str | None, why_not: str) -> tuple[Features, str]:
    """The weights of a word by the colours and the measures that it names."""
    weights, hows = np.zeros(samples.shape[1]), []
    for colour in _names_in(word, NAMED_COLOURS):
        weights[colour_column(colour)] += COLOUR_WEIGHT
        hows.append(f"the colour {colour}")
    for name, sign in _names_in(word, MEASURED_WORDS):
        if samples[:, measure_column(name)].std() > 0:
            weights[measure_column(name)] += sign * MEASURE_WEIGHT
            hows.append(f"{'more' if sign > 0 else 'less'} {MEASURES[name].lower()}")
    if category:
        hows.append(f"the category {category}, with which Suggestions open")
    if hows:
        return weights, f"counts as {' and '.join(hows)}"
    return weights, f"does not count, because it names no colour, measure or category, and {why_not}"


def _names_in(text: str, names: Mapping[str, T]) -> Iterable[T]:
    """The values of those of `names` that `text` has as words, each once; longer names first, and none inside another."""
    left, found = text.casefold(), []
    for name in sorted(names, key=len, reverse=True):
        left, count = _pattern_of(name).subn(" ", left)
        found += [names[name]] if count else []
    return dict.fromkeys(found)


@cache
def _pattern_of(name: str) -> re.Pattern[str]:
    """A name in case-folded text: Chinese anywhere, others as whole words, each with or without a German ending."""
    if CHINESE.search(name):
        return re.compile(re.escape(name))
    words = r"\s+".join(
        rf"{re.escape(word[:-1])}e[nrsm]?" if word.endswith("e") else rf"{re.escape(word)}(?:e[nrsm]?|n)?"
        for word in name.casefold().split()
    )
    return re.compile(rf"(?<![\w-]){words}(?![\w-])")


def _negation_in(word: str) -> str:
    """The negation in `word`, "" if it has none but in a name such as "no sleeves", whose sense is known."""
    left = word.casefold()
    for name in sorted(filter(NEGATION.search, MEASURED_WORDS), key=len, reverse=True):
        left = _pattern_of(name).sub(" ", left)
    found = NEGATION.search(left)
    return found.group() if found else ""
