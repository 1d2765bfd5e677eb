"""Garments, colours, patterns and cuts in English, German and Chinese, with what their grammar needs."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Language = Literal["en", "de", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
Gender = Literal["m", "f", "n", "p"]  # p: plural


@dataclass(frozen=True)
class Nouns:
    """What a garment is called: synonyms in each language."""

    en: tuple[str, ...]
    en_plural: bool  # takes no article: "red shorts"
    de: tuple[tuple[str, Gender], ...]
    zh: tuple[tuple[str, str], ...]  # with its measure word


def _nouns(en: str, de: str, zh: str, *, plural: bool = False) -> Nouns:
    german = [entry.rsplit(" ", 1) for entry in de.split(", ")]
    chinese = [entry.split(" ") for entry in zh.split(", ")]
    return Nouns(
        tuple(en.split(", ")),
        plural,
        tuple((noun, gender) for noun, gender in german),  # type: ignore[misc]  # the entries below end in a Gender
        tuple((noun, measure) for noun, measure in chinese),
    )


GARMENTS = {
    "bag": _nouns("bag, handbag", "Tasche f, Handtasche f", "包 个, 手提包 个"),
    "blazer": _nouns("blazer", "Blazer m", "西装外套 件"),
    "blouse": _nouns("blouse", "Bluse f", "女式衬衫 件"),
    "boots": _nouns("boots, ankle boots", "Stiefel p, Stiefeletten p", "靴子 双, 短靴 双", plural=True),
    "coat": _nouns("coat", "Mantel m", "大衣 件"),
    "dress": _nouns("dress", "Kleid n", "连衣裙 条"),
    "hat": _nouns("hat, cap", "Hut m, Mütze f", "帽子 顶"),
    "hoodie": _nouns("hoodie, hooded sweatshirt", "Kapuzenpullover m, Hoodie m", "连帽衫 件"),
    "jacket": _nouns("jacket", "Jacke f", "夹克 件"),
    "jeans": _nouns("jeans", "Jeans f", "牛仔裤 条", plural=True),
    "longsleeve": _nouns("long-sleeved top, longsleeve", "Langarmshirt n", "长袖上衣 件, 长袖衫 件"),
    "outerwear": _nouns("jacket, coat", "Jacke f, Mantel m", "外套 件"),
    "pants": _nouns("trousers, pants", "Hose f", "裤子 条, 长裤 条", plural=True),
    "pullover": _nouns("pullover, sweater", "Pullover m", "毛衣 件"),
    "sandals": _nouns("sandals", "Sandalen p", "凉鞋 双", plural=True),
    "shirt": _nouns("shirt", "Hemd n", "衬衫 件"),
    "shoes": _nouns("shoes", "Schuhe p", "鞋子 双, 鞋 双", plural=True),
    "shorts": _nouns("shorts", "Shorts p, kurze Hose f", "短裤 条", plural=True),
    "skirt": _nouns("skirt", "Rock m", "半身裙 条, 短裙 条"),
    "sneakers": _nouns("sneakers, trainers", "Turnschuhe p, Sneaker p", "运动鞋 双", plural=True),
    "t-shirt": _nouns("t-shirt, tee", "T-Shirt n", "T恤 件, 短袖 件"),
    "top": _nouns("top", "Top n", "上衣 件"),
}
SYNONYMS = {  # what sources call these categories
    "ankle boot": "boots",
    "outwear": "outerwear",
    "sandal": "sandals",
    "sneaker": "sneakers",
    "sweater": "pullover",
    "t-shirt/top": "t-shirt",
    "trouser": "pants",
    "trousers": "pants",
    "tshirt": "t-shirt",
}

# What else a garment is called when it is asked for; captions do not say so.
OTHER_FORMS: dict[str, tuple[str, ...]] = {
    "Hut": ("Hüte", "Hüten"),
    "Kleid": ("Kleider", "Kleidern"),
    "Mantel": ("Mäntel", "Mänteln"),
    "Rock": ("Röcke", "Röcken"),
    "ankle boots": ("ankle boot",),
    "boots": ("boot",),
    "sandals": ("sandal",),
    "shoes": ("shoe",),
    "sneakers": ("sneaker",),
    "trainers": ("trainer",),
}
ALSO_ENGLISH = {"Hut", "Rock"}  # German nouns that without their capital are English words for other things

# The eleven basic colour terms of imaging/garment_colours.py.
GERMAN_COLOURS = {
    "black": "schwarz",
    "white": "weiß",
    "grey": "grau",
    "red": "rot",
    "orange": "orange",
    "yellow": "gelb",
    "green": "grün",
    "blue": "blau",
    "purple": "lila",
    "pink": "rosa",
    "brown": "braun",
}
UNINFLECTED = {"orange", "lila", "rosa"}
CHINESE_COLOURS = {
    "black": "黑色",
    "white": "白色",
    "grey": "灰色",
    "red": "红色",
    "orange": "橙色",
    "yellow": "黄色",
    "green": "绿色",
    "blue": "蓝色",
    "purple": "紫色",
    "pink": "粉色",
    "brown": "棕色",
}


@dataclass(frozen=True)
class PatternWords:
    """A pattern as an adjective, and as the noun of what is on the garment."""

    en: tuple[str, ...]
    en_marks: str | None  # None: nothing is on it
    de: tuple[str, ...]
    de_marks: tuple[str, str] | None  # ending of the adjective before it in the dative, noun
    zh: tuple[str, ...]


PATTERN_WORDS = {
    "plain": PatternWords(("plain", "solid"), None, ("einfarbig", "unifarben"), None, ("纯色",)),
    "striped": PatternWords(("striped",), "stripes", ("gestreift",), ("en", "Streifen"), ("条纹",)),
    "checked": PatternWords(("checked", "plaid"), "checks", ("kariert",), ("en", "Karos"), ("格子",)),
    "dotted": PatternWords(("dotted", "polka-dot"), "dots", ("gepunktet",), ("en", "Punkten"), ("波点", "圆点")),
    "printed": PatternWords(("printed", "patterned"), "print", ("bedruckt", "gemustert"), ("em", "Muster"), ("印花",)),
}


@dataclass(frozen=True)
class CutWords:
    """A length, a sleeve or a fit as adjectives, and, of sleeves, as what the garment has."""

    adjectives: dict[Language, tuple[str, ...]]
    sleeves: dict[Language, str]


def _cut(en: str, de: str, zh: str, sleeves: dict[Language, str] | None = None) -> CutWords:
    return CutWords({"en": tuple(en.split(", ")), "de": tuple(de.split(", ")), "zh": (zh,)}, sleeves or {})


# By attribute and value of storage/garment_attributes.py. A regular fit is not said: nobody says it.
CUT_WORDS: dict[tuple[str, str | None], CutWords] = {
    ("length", "short"): _cut("short", "kurz", "短款"),
    ("length", "medium"): _cut("mid-length", "halblang", "中长款"),
    ("length", "long"): _cut("long", "lang", "长款"),
    ("sleeve", "none"): _cut("sleeveless", "ärmellos", "无袖", {"en": "without sleeves", "de": "ohne Ärmel"}),
    ("sleeve", "short"): _cut("short-sleeved", "kurzärmelig", "短袖", {"en": "with short sleeves", "de": "mit kurzen Ärmeln"}),
    ("sleeve", "long"): _cut("long-sleeved", "langärmelig", "长袖", {"en": "with long sleeves", "de": "mit langen Ärmeln"}),
    ("fit", "narrow"): _cut("narrow, slim", "eng, schmal", "修身"),
    ("fit", "wide"): _cut("wide, loose", "weit", "宽松"),
}
STRONG_ENDINGS: dict[Gender, str] = {"m": "er", "f": "e", "n": "es", "p": "e"}  # nominative, without article or after ein
ARTICLES: dict[Gender, str] = {"m": "ein ", "f": "eine ", "n": "ein ", "p": ""}


COLOUR_WORDS: dict[Language, dict[str, str]] = {  # the colour term of each word; a German one may have an ending
    "en": {colour: colour for colour in GERMAN_COLOURS} | {"gray": "grey"},
    "de": {word: colour for colour, word in GERMAN_COLOURS.items()},
    "zh": {word: colour for colour, word in CHINESE_COLOURS.items()},
}


# Words that tell a German text. Others, such as die, are English words, too.
_COLOUR = "|".join(sorted({*GERMAN_COLOURS.values()} - {"orange"}))
CHINESE = re.compile(r"[\u2e80-\uffff]")
GERMAN_SIGN = re.compile(rf"(?i)[äöüß]|(?<!\w)(?:eine?[mnrs]?|mit|ohne|und|der|das|(?:{_COLOUR})(?:e[mnrs]?)?)(?!\w)")


def inflected(adjective: str, ending: str) -> str:
    """The German `adjective` with `ending`; rosa, lila and orange have none."""
    return adjective if adjective in UNINFLECTED else adjective + ending


def agreeing(adjective: str, gender: Gender | None) -> str:
    """The German `adjective` before a noun of `gender`, without an article or after ein; bare if the gender is unknown."""
    return inflected(adjective, STRONG_ENDINGS[gender]) if gender else adjective


def garment_nouns(category: str) -> Nouns | None:
    """The nouns of `category` as a source writes it, or None if it is unknown."""
    name = category.strip().lower().replace("_", " ")
    return GARMENTS.get(SYNONYMS.get(name, name))


def garment_names(nouns: Nouns) -> list[str]:
    """Every name of a garment, in all languages."""
    return [*nouns.en, *(noun for noun, _ in nouns.de), *(noun for noun, _ in nouns.zh)]


def named(text: str, categories: Iterable[str]) -> str | None:
    """The one of `categories` that `text` names in English, German or Chinese; None if it names none.

    The longest name counts, so that a "hooded sweatshirt" is no shirt; of equal lengths the last one, because the noun follows
    what describes it.
    """
    is_german = GERMAN_SIGN.search(text) is not None
    found: list[tuple[int, int, str]] = []
    for category in categories:
        nouns = garment_nouns(category)
        german = {noun for noun, _ in nouns.de} if nouns else set()
        for name in garment_names(nouns) if nouns else [category]:
            for form in (name, *OTHER_FORMS.get(name, ())):
                pattern = _of_german_noun(form, is_german=is_german) if name in german else _of_name(form)
                found += [(len(form), one.end(), category) for one in re.finditer(pattern, text)]
    return max(found)[2] if found else None


def _of_name(form: str) -> str:
    """A pattern for the English or Chinese `form` of a garment's name; Chinese has no spaces, and T恤 a Latin letter."""
    name = rf"(?i:{re.escape(form)})"
    return name if any(map(CHINESE.match, form)) else rf"(?<![\w-]){name}(?i:e?s)?(?![\w-])"


def _of_german_noun(form: str, *, is_german: bool) -> str:
    """A pattern for the `form` of a German noun, which may end a compound, as in Sommerkleid or sommerkleid.

    English words must not match: laptop and those have too little before the noun, and a rock has no capital.
    """
    least = 3 if len(form) > 3 else 5
    compound = rf"(?:[A-ZÄÖÜ][\w-]{{{least - 1},}}|[\w-]{{{least + 1},}})(?i:{re.escape(form)})"
    alone = re.escape(form) if form in ALSO_ENGLISH and not is_german else rf"(?i:{re.escape(form)})"
    return rf"(?<![\w-])(?:{compound}|{alone})(?:e?s|e?n)?(?![\w-])"
