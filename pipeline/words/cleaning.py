"""The words of a title or an alternative text that describe the garment: shop names, sizes, prices, codes and people removed.

Pure functions. docs/words.md has the table of rules with what each of them misses.
"""

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.words.people import FIRST_NAMES, SURNAMES_ZH
from pipeline.words.vocabulary import GARMENTS, GERMAN_COLOURS

MAX_WORDS = 24
MAX_CHARACTERS = 240
MIN_LETTERS = 3  # of Latin text; two Chinese characters are a word
SHOP_PAGES = 3  # pages of a host that share a segment of their title, at least; then it names the shop
SEPARATOR = re.compile(r"\s+[|–—·•»:-]\s+|\s*\|\s*")

# What may follow a name as the name of a garment: "Emma Dress" loses Emma only.
_GARMENT_WORDS = frozenset(
    word.lower()
    for nouns in GARMENTS.values()
    for noun in (*nouns.en, *(german for german, _ in nouns.de))
    for word in noun.split()
) | {*GERMAN_COLOURS, *GERMAN_COLOURS.values()}

_CAPITALISED = r"(?:[A-ZÄÖÜÉ][\w'’-]+|[A-Z]\.)"
_LETTER_SIZE = r"(?:XXS|XS|S|M|L|XL|XXL|XXXL|[2-6]XL)"
_MONEY = r"(?:\d{1,3}(?:[.,\s]\d{3})+|\d+)(?:[.,]\d{1,2})?(?:,-)?"
_CODE_LETTER = r"[A-Za-z0-9_-]"  # Chinese has no spaces, and a whole title of it is no code
_CURRENCY = r"(?:USD|EUR|GBP|CHF|CNY|RMB|JPY|US\$|[$€£¥￥])"


@dataclass(frozen=True)
class Rule:
    """What is replaced by a space, and an example of it."""

    name: str
    pattern: re.Pattern[str]
    example: str


def _rule(name: str, pattern: str, example: str, flags: re.RegexFlag = re.IGNORECASE) -> Rule:
    return Rule(name, re.compile(pattern, flags), example)


_CASED = re.RegexFlag(0)  # names are told from words by their capitals

# In this order: an address may hold a price's digits, a price those of a code.
RULES = (
    _rule("address", r"https?://\S+|www\.\S+|\S+@\S+\.\w+|[@#]\w+", "https://shop.example/a"),
    _rule("file name", r"\S+\.(?:jpe?g|png|webp|gif|heic|avif)\b", "IMG_2041.jpg"),
    _rule("price", rf"{_CURRENCY}\s?{_MONEY}|{_MONEY}\s?(?:{_CURRENCY}|euros?|dollars?|元|块)(?!\w)", "29,99 €"),
    _rule(
        "discount",
        r"[-–−]\s?\d{1,2}\s?%(?:\s?off)?|\b\d{1,2}\s?%\s?(?:off|rabatt)|\d(?:\.\d)?折|特价|包邮|\bsale\b|\bangebot\b",
        "-20 % off",
    ),
    _rule(
        "size",
        rf"\b(?:size|sizes|gr(?:ö|oe)(?:ß|ss)en?|gr\.|taille|eu|uk|us|尺码)\s*:?\s*(?:{_LETTER_SIZE}|\d{{1,3}}(?:[.,]5)?)"
        rf"(?:\s?[-/–]\s?(?:{_LETTER_SIZE}|\d{{1,3}}))*\b",
        "Größe 38/40",
    ),
    _rule("letter size", rf"(?<![\w-]){_LETTER_SIZE}(?:\s?[-/–,]\s?{_LETTER_SIZE})*(?![\w'’-])", "S-XL", _CASED),
    _rule("waist and length", r"\bW\s?\d{2}\s?/?\s?L\s?\d{2}\b|\b\d{3}/\d{2,3}[A-Z]?\b|\d{2,3}\s?(?:cm|码)(?!\w)", "W32 L34"),
    _rule(
        "product code",
        r"\b(?:sku|art(?:ikel)?\.?(?:-?nr)?|ref|style|item|no|nr|货号)\b\.?\s?[:#.]?\s?[\w-]*\d[\w/-]*",
        "Art.-Nr. 4711-B",
    ),
    _rule(
        "code",
        rf"(?<!{_CODE_LETTER})(?!\d{{2,4}}s(?![A-Za-z0-9]))(?={_CODE_LETTER}*[0-9]{_CODE_LETTER}*[0-9])(?={_CODE_LETTER}*[A-Za-z])"
        rf"{_CODE_LETTER}{{4,}}(?!{_CODE_LETTER})|(?<!{_CODE_LETTER})[0-9]{{4,}}(?!{_CODE_LETTER})",
        "KX-2041B",
    ),
    _rule(
        "credit",
        r"(?:\b(?i:photo(?:graph)?(?:ed)?\s?(?:by|:)|foto\s?(?:von|:)|credits?:?|worn by|modell?:|designed by)|©|摄影[:：]?)"
        rf"\s*(?:{_CAPITALISED}\s?){{1,3}}",
        "Photo: Jane Doe",
        _CASED,
    ),
    _rule(
        "person, Chinese", rf"[{SURNAMES_ZH}][一-龥]{{1,2}}(?=同款|设计|代言|穿|摄影)(?:同款|设计|代言|穿|摄影)", "杨小米同款"
    ),
    _rule(
        "title and name",
        rf"\b(?:Mrs?|Ms|Miss|Dr|Frau|Herr|Madame|Sir|Lady)\.?\s(?:{_CAPITALISED}\s?){{1,2}}",
        "Mrs. Miller",
        _CASED,
    ),
)


def _is_name(word: str) -> bool:
    bare = re.sub(r"['’]s?$", "", word.strip("„“”\"'’‘‚()*,.:"))
    return bare[:1].isupper() and bare.lower() in FIRST_NAMES


def without_first_names(text: str) -> str:
    """`text` without common first names that have a capital, and without the surname after one of them.

    A surname has a capital, and is neither a garment nor a colour nor followed by another word with a capital, as in "Emma
    Summer Dress", a dress called Emma.
    """
    words, kept = text.split(), []
    place = 0
    while place < len(words):
        if not _is_name(words[place]):
            kept.append(words[place])
        elif _is_surname(words, place + 1):
            place += 1
        place += 1
    return " ".join(kept)


def _is_surname(words: list[str], place: int) -> bool:
    """Whether the word at `place`, after a first name, is a surname."""
    if place >= len(words) or not re.fullmatch(_CAPITALISED, bare := words[place].strip(",.:")):
        return False
    after = words[place + 1] if place + 1 < len(words) else ""
    return bare.lower() not in _GARMENT_WORDS and (bare != words[place] or not after[:1].isupper())


def cleaned(text: str | None, shops: frozenset[str] = frozenset()) -> str | None:
    """What `text` says of a garment, in Unicode NFKC, or None if nothing is left; `shops` are names in `comparable` form.

    Markup and entities are resolved first; then whole segments that name a shop go, then RULES, then first names.
    """
    if not text:
        return None
    plain = unicodedata.normalize("NFKC", re.sub(r"<[^>]*>", " ", html.unescape(text[: 8 * MAX_CHARACTERS])))
    plain = "".join(" " if unicodedata.category(one)[0] in "CSZ" and one not in "$€£¥+°©|" else one for one in plain)
    segments = [part for part in SEPARATOR.split(plain) if comparable(part) not in shops]
    plain = ", ".join(part.strip() for part in segments if part.strip())
    for rule in RULES:
        plain = rule.pattern.sub(" ", plain)
    plain = without_first_names(plain)
    plain = re.sub(r"\(\s*\)|\[\s*\]", " ", plain)
    plain = re.sub(r"\s*,(?:\s*,)+", ",", re.sub(r"\s+", " ", plain))
    plain = re.sub(r"\s+([,.;:!?])", r"\1", plain).strip(" ,.;:-–—/|*+\"'“”„’&")
    words = " ".join(plain.split()[:MAX_WORDS])[:MAX_CHARACTERS].strip(" ,")
    return words if _says_something(words) else None


def _says_something(text: str) -> bool:
    latin = sum(one.isalpha() and ord(one) < 0x2E80 for one in text)
    return latin >= MIN_LETTERS or sum(ord(one) >= 0x2E80 for one in text) >= 2


def comparable(name: str) -> str:
    """`name` in lower case, letters and digits only, so that a shop's title and its host name compare."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", name).lower())


def shop_names(titles: Iterable[tuple[str | None, str | None]]) -> frozenset[str]:
    """The shops, in `comparable` form, that pairs of page address and title name.

    A shop is the name in its host (`nordic-wear` of www.nordic-wear.example), or what comes first or last, between separators,
    in SHOP_PAGES different titles or more of one host.
    """
    found: set[str] = set()
    shared: Counter[tuple[str, str]] = Counter()
    for page, title in sorted({(page or "", title or "") for page, title in titles}):
        host = (urlsplit(page).hostname or "").removeprefix("www.")
        labels = host.split(".")
        if len(labels) > 1:
            found.add(comparable(labels[-3] if labels[-2] in ("co", "com") and len(labels) > 2 else labels[-2]))
        segments = [comparable(part) for part in SEPARATOR.split(title)]
        if host and len(segments) > 1:
            shared.update({(host, segments[0]), (host, segments[-1])})
    found |= {segment for (_, segment), pages in shared.items() if pages >= SHOP_PAGES}
    return frozenset(found - {""})
