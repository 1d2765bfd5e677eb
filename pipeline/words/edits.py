"""Changes of a garment in words: the prompts of the garment without and with the change, and the direction between them.

The text direction of StyleCLIP (Patashnik et al. 2021, section 6), in the space of the encoder that the generator reads.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pipeline.errors import InputError
from pipeline.inference.onnx_generator import ExportedCard
from pipeline.inference.texts import MAX_STRENGTH
from pipeline.words.domain import refuse_other_domain
from pipeline.words.encoder import Embeddings, TextEncoder, text_encoder
from pipeline.words.opposites import OPPOSITES, End
from pipeline.words.prompts import checked_prompt, refuse_without_text
from pipeline.words.vocabulary import (
    CHINESE_COLOURS,
    COLOUR_WORDS,
    GERMAN_COLOURS,
    STRONG_ENDINGS,
    CutWords,
    Language,
    agreeing,
    garment_nouns,
)

MAX_CHANGE_CHARACTERS = 80
LEAST_STEP = 1e-3  # between two prompts that differ
KEPT_EMBEDDINGS = 256


@dataclass(frozen=True)
class PromptPair:
    """The prompts of a garment without and with a change."""

    before: str
    after: str


FILLERS: dict[Language, str] = {  # that do not change which way a change goes
    "en": r"\b(?:make it|please|a bit|a little|slightly|somewhat|much|even|a lot)\b",
    "de": r"\b(?:bitte|etwas|ein bisschen|ein wenig|viel|noch|deutlich|mach es|mach das)\b",
    "zh": r"请|稍微|再|让它|变得|变",
}
LINKING: dict[Language, frozenset[str]] = {  # words that continue a description without a comma
    "en": frozenset(("with", "without", "in", "of", "for", "made", "and", "that")),
    "de": frozenset(("mit", "ohne", "in", "aus", "für", "und", "im", "am")),
    "zh": frozenset(),
}


def _plain(words: str, language: Language) -> str:
    return " ".join(re.sub(FILLERS[language], " ", words.lower()).strip(" .!?,。！？，").split())


def _colour_asked(words: str, language: Language) -> str | None:
    """The one of the eleven colour terms that `words`, without fillers, consist of."""
    bare = words.removeprefix("in ").removesuffix(" colour")
    for word, colour in COLOUR_WORDS[language].items():
        forms = {
            "en": {word},
            "de": {word, *(word + ending for ending in (*STRONG_ENDINGS.values(), "en"))},
            "zh": {word, word.removesuffix("色")},
        }
        if bare in forms[language]:
            return colour
    return None


def _ends_asked(words: str, language: Language) -> tuple[End, End] | None:
    """The end of OPPOSITES that `words`, without fillers, ask for, and after it the other one; None if they ask for none."""
    for opposites in OPPOSITES.values():
        for asked, other in opposites.ways:
            if words in asked.asked[language]:
                return asked, other
    return None


def language_of(words: str) -> Language:
    """The language of a change: Chinese by its script, German by its letters or a word of the tables, else English."""
    if re.search(r"[\u2e80-\u9fff]", words):
        return "zh"
    plain = _plain(words, "de")
    marked = re.search(r"[äöüß]", plain) or plain.partition(" ")[0] in LINKING["de"] - LINKING["en"]
    in_table = _ends_asked(plain, "de") or _colour_asked(plain, "de") not in (None, _colour_asked(plain, "en"))
    return "de" if marked or in_table else "en"


def _described(category: str, colour: str | None, language: Language, cut: CutWords | None = None) -> str:
    """A garment of `category` as captions describe it, in `colour` and with the words of `cut` where they are not None."""
    nouns, gender = garment_nouns(category), None
    if nouns is None:
        noun = category
    elif language == "de":
        noun, gender = nouns.de[0]
    else:
        noun = nouns.en[0] if language == "en" else nouns.zh[0][0]
    sleeves = cut.sleeves.get(language) if cut else None
    adjectives = [cut.adjectives[language][0]] if cut and not sleeves else []
    if colour:
        adjectives.append({"en": colour, "de": GERMAN_COLOURS[colour], "zh": CHINESE_COLOURS[colour]}[language])
    if language == "zh":
        return "".join([*adjectives, noun])
    return " ".join([*(agreeing(one, gender) for one in adjectives), noun, *filter(None, [sleeves])])


def prompt_pair(words: str, category: str, colour: str | None) -> PromptPair:
    """The prompts of a garment of `category` and `colour`, one of the eleven terms, without and with the change `words`.

    Words of OPPOSITES go from the opposite end to the one that they ask for. A colour replaces the garment's own. Other words
    are added to its description.
    """
    language = language_of(words)
    plain = _plain(words, language)

    def described(as_: str | CutWords | None) -> str:
        return _described(category, as_, language) if isinstance(as_, str) else _described(category, colour, language, as_)

    garment = described(None)
    ends = _ends_asked(plain, language)
    if ends and ends[0].described and ends[1].described:
        return PromptPair(described(ends[1].described), described(ends[0].described))
    named = _colour_asked(plain, language)
    if named is not None:
        return PromptPair(_described(category, None, language) if named == colour else garment, described(named))
    comma = "，" if language == "zh" else ", "
    joint = " " if plain.partition(" ")[0] in LINKING[language] else comma
    return PromptPair(garment, f"{garment}{joint}{words}")


def checked_change(words: str, card: ExportedCard) -> str:
    """`words` as checked_prompt returns them. Raises InputError as prompt_row does, and if there are too many."""
    refuse_without_text(card)
    if len(words) > MAX_CHANGE_CHARACTERS:
        raise InputError(f"the change has {len(words):,} characters; at most {MAX_CHANGE_CHARACTERS}, such as: darker")
    change = checked_prompt(words)
    language = language_of(change)
    plain = _plain(change, language)
    if not plain:
        raise InputError("the text says no change; say what is to be different, such as: darker")
    if _ends_asked(plain, language) is None:
        refuse_other_domain(change, _embedding(text_encoder(), change), card.categories)
    return change


@lru_cache(maxsize=KEPT_EMBEDDINGS)
def _embedding(encoder: TextEncoder, text: str) -> Embeddings:
    row: Embeddings = encoder.embeddings([text])[0]
    row.flags.writeable = False
    return row


def change_step(pair: PromptPair, card: ExportedCard) -> Embeddings:
    """The difference (E,) of the embeddings of `pair`, the one with the change less the one without.

    Raises InputError as prompt_row does, and if the two are the same.
    """
    refuse_without_text(card)
    encoder, rows = text_encoder(), []
    for text in (pair.before, pair.after):
        rows.append(_embedding(encoder, checked_prompt(text)))
        refuse_other_domain(text, rows[-1], card.categories)
    step: Embeddings = rows[1] - rows[0]
    if float(np.linalg.norm(step)) < LEAST_STEP:
        raise InputError(f"this changes nothing about “{pair.before}”")
    return step


def change_direction(pair: PromptPair, card: ExportedCard) -> Embeddings:
    """The unit vector (E,) along `change_step`. Raises InputError as that does."""
    step = change_step(pair, card)
    return step / np.float32(np.linalg.norm(step))


def within_strength(row: Embeddings) -> Embeddings:
    """`row` (E,), shortened to MAX_STRENGTH where it is longer: exported graphs are checked up to that."""
    return row * np.float32(min(1.0, MAX_STRENGTH / max(float(np.linalg.norm(row)), 1e-6)))
