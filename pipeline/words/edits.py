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
from pipeline.words.prompts import checked_prompt, refuse_without_text
from pipeline.words.vocabulary import (
    CHINESE_COLOURS,
    GERMAN_COLOURS,
    STRONG_ENDINGS,
    Gender,
    Language,
    garment_nouns,
    inflected,
)

MAX_CHANGE_CHARACTERS = 80
LEAST_STEP = 1e-3  # between two prompts that differ
KEPT_EMBEDDINGS = 256


@dataclass(frozen=True)
class PromptPair:
    """The prompts of a garment without and with a change."""

    before: str
    after: str


@dataclass(frozen=True)
class Comparison:
    """Two opposite changes, the words that ask for each, and a prompt of each end.

    In a prompt `{garment}` is the garment's description, `{noun}` what it is called, and `*` the ending of a German adjective.
    """

    asked: tuple[frozenset[str], frozenset[str]]
    prompts: tuple[str, str]


def _comparison(first: str, second: str, prompts: str) -> Comparison:
    one, other = prompts.split(" | ")
    return Comparison((frozenset(first.split(", ")), frozenset(second.split(", "))), (one, other))


# "darker" alone points nowhere: captions have no comparatives. The ends are described in words that captions have.
COMPARISONS: dict[Language, tuple[Comparison, ...]] = {
    "en": (
        _comparison("darker, dark, deeper", "lighter, light, brighter, bright, paler, pale", "black {noun} | white {noun}"),
        _comparison(
            "shorter sleeves, short sleeves, sleeves shorter, without sleeves, no sleeves, sleeveless",
            "longer sleeves, long sleeves, sleeves longer, with sleeves, with long sleeves",
            "{garment} with short sleeves | {garment} with long sleeves",
        ),
        _comparison("shorter, short, cropped", "longer, long", "short {garment} | long {garment}"),
        _comparison(
            "narrower, narrow, tighter, tight, slimmer, slim", "wider, wide, looser, loose", "narrow {garment} | wide {garment}"
        ),
        _comparison(
            "plainer, plain, simpler, without pattern, without a pattern, no pattern",
            "more patterned, patterned, with a pattern, busier",
            "plain {garment} | patterned {garment}",
        ),
        _comparison(
            "greyer, grayer, less colourful, less colorful, duller",
            "more colourful, more colorful, colourful, colorful",
            "grey {noun} | red {noun}",
        ),
    ),
    "de": (
        _comparison("dunkler, dunkel, tiefer", "heller, hell, blasser", "schwarz* {noun} | weiß* {noun}"),
        _comparison(
            "kürzere ärmel, kurze ärmel, ärmel kürzer, ohne ärmel, ärmellos, mit kurzen ärmeln",
            "längere ärmel, lange ärmel, ärmel länger, mit ärmeln, mit langen ärmeln",
            "{garment} mit kurzen Ärmeln | {garment} mit langen Ärmeln",
        ),
        _comparison("kürzer, kurz", "länger, lang", "kurz* {garment} | lang* {garment}"),
        _comparison("enger, eng, schmaler, schmal", "weiter, weit, lockerer", "eng* {garment} | weit* {garment}"),
        _comparison(
            "schlichter, einfarbig, ohne muster",
            "gemusterter, gemustert, mit muster",
            "einfarbig* {garment} | gemustert* {garment}",
        ),
        _comparison("grauer, weniger bunt", "bunter, bunt, farbiger", "grau* {noun} | rot* {noun}"),
    ),
    "zh": (
        _comparison(
            "更深, 更暗, 深色, 颜色更深, 深一点, 暗一点",
            "更浅, 更亮, 浅色, 颜色更浅, 浅一点, 亮一点",
            "黑色{noun} | 白色{noun}",
        ),
        _comparison("更短的袖子, 袖子更短, 短袖, 无袖", "更长的袖子, 袖子更长, 长袖", "短袖{garment} | 长袖{garment}"),
        _comparison("更短, 短一点, 短款", "更长, 长一点, 长款", "短款{garment} | 长款{garment}"),
        _comparison("更窄, 更紧, 修身, 紧身", "更宽, 更松, 宽松", "修身{garment} | 宽松{garment}"),
        _comparison("纯色, 没有图案, 更简单", "有图案, 带图案, 更花", "纯色{garment} | 印花{garment}"),
        _comparison("更灰", "更鲜艳, 鲜艳", "灰色{noun} | 红色{noun}"),
    ),
}
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
    for english, german in GERMAN_COLOURS.items():
        chinese = CHINESE_COLOURS[english]
        known = {
            "en": {english, "gray" if english == "grey" else english},
            "de": {german, *(german + ending for ending in (*STRONG_ENDINGS.values(), "en"))},
            "zh": {chinese, chinese.removesuffix("色"), "变" + chinese},
        }
        if bare in known[language]:
            return english
    return None


def language_of(words: str) -> Language:
    """The language of a change: Chinese by its script, German by its letters or a word of the tables, else English."""
    if re.search(r"[\u2e80-\u9fff]", words):
        return "zh"
    plain = _plain(words, "de")
    in_table = any(plain in side for one in COMPARISONS["de"] for side in one.asked)
    marked = re.search(r"[äöüß]", plain) or plain.partition(" ")[0] in LINKING["de"] - LINKING["en"]
    return "de" if in_table or marked or _colour_asked(plain, "de") not in (None, _colour_asked(plain, "en")) else "en"


def _description(category: str, colour: str | None, language: Language) -> tuple[str, str, Gender | None]:
    """The noun of a category, the noun with its colour before it, and the gender of a German noun."""
    nouns = garment_nouns(category)
    if nouns is None:
        return category, f"{colour} {category}" if colour else category, None
    if language == "de":
        noun, gender = nouns.de[0]
        adjective = inflected(GERMAN_COLOURS[colour], STRONG_ENDINGS[gender]) if colour else None
        return noun, f"{adjective} {noun}" if adjective else noun, gender
    if language == "zh":
        return nouns.zh[0][0], (CHINESE_COLOURS[colour] if colour else "") + nouns.zh[0][0], None
    return nouns.en[0], f"{colour} {nouns.en[0]}" if colour else nouns.en[0], None


def _filled(prompt: str, noun: str, garment: str, gender: Gender | None) -> str:
    return prompt.replace("*", STRONG_ENDINGS[gender] if gender else "").format(noun=noun, garment=garment)


def prompt_pair(words: str, category: str, colour: str | None) -> PromptPair:
    """The prompts of a garment of `category` and `colour`, one of the eleven terms, without and with the change `words`.

    A comparative of COMPARISONS goes from the opposite end to the one that it asks for. A colour replaces the garment's own.
    Other words are added to its description.
    """
    language = language_of(words)
    plain = _plain(words, language)
    noun, garment, gender = _description(category, colour, language)
    for comparison in COMPARISONS[language]:
        for end in (0, 1):
            if plain in comparison.asked[end]:
                prompts = [_filled(comparison.prompts[side], noun, garment, gender) for side in (1 - end, end)]
                return PromptPair(*prompts)
    asked = _colour_asked(plain, language)
    if asked is not None:
        return PromptPair(noun if asked == colour else garment, _description(category, asked, language)[1])
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
    if not any(plain in side for one in COMPARISONS[language] for side in one.asked):
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
