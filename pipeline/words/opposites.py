"""What garments differ in, from less to more, and the words that ask for either, in English, German and Chinese."""

from dataclasses import dataclass

from pipeline.words.vocabulary import CUT_WORDS, LANGUAGES, PATTERN_WORDS, CutWords, Language


@dataclass(frozen=True)
class End:
    """Less or more of something: the words that ask for it, and how captions describe it.

    A description is a colour, in place of the garment's own, or words of a cut, added to it; None if captions have neither.
    """

    asked: dict[Language, frozenset[str]]
    described: str | CutWords | None


@dataclass(frozen=True)
class Opposites:
    """The two ends of what garments differ in, and the absence of it, which is further than less."""

    less: End
    more: End
    none: End | None = None

    @property
    def ways(self) -> list[tuple[End, End]]:
        """Each end that can be asked for, and the one that it leads away from."""
        ways = [(self.less, self.more), (self.more, self.less)]
        return ways if self.none is None else [*ways, (self.none, self.more)]


def _pattern(value: str) -> CutWords:
    words = PATTERN_WORDS[value]
    return CutWords({"en": words.en, "de": words.de, "zh": words.zh}, {})


def _end(described: str | CutWords | None = None, *same: CutWords, en: str = "", de: str = "", zh: str = "") -> End:
    """An end that is asked for by the words of `described`, if it is a cut, those of `same`, and `en`, `de` and `zh`."""
    further: dict[Language, str] = {"en": en, "de": de, "zh": zh}
    cuts = (described, *same) if isinstance(described, CutWords) else same
    asked = {
        language: frozenset(
            [*filter(None, further[language].split(", ")), *(word for cut in cuts for word in cut.adjectives[language])]
        )
        for language in LANGUAGES
    }
    return End(asked, described)


# Stripes are a pattern and no print, so the other end of plain has the wider word.
PATTERNED = CutWords({"en": ("patterned",), "de": ("gemustert",), "zh": ("印花",)}, {})

# By the studio's measures. Words ask for one end of one row only.
OPPOSITES: dict[str, Opposites] = {
    "brightness": Opposites(
        less=_end(
            "black",
            en="darker, dark, deeper",
            de="dunkler, dunkel, dunkle, tiefer",
            zh="更深, 更暗, 深色, 颜色更深, 深一点, 暗一点",
        ),
        more=_end(
            "white",
            en="lighter, light, brighter, bright, paler, pale",
            de="heller, hell, blasser",
            zh="更浅, 更亮, 浅色, 颜色更浅, 浅一点, 亮一点",
        ),
    ),
    "saturation": Opposites(
        less=_end(
            "grey",
            en="greyer, grayer, less colourful, less colorful, duller, muted",
            de="grauer, weniger bunt, gedeckt",
            zh="更灰, 素雅",
        ),
        more=_end(
            "red",
            en="more colourful, more colorful, colourful, colorful, vivid",
            de="bunter, bunt, farbiger",
            zh="更鲜艳, 鲜艳",
        ),
    ),
    "warmth": Opposites(less=_end(en="cool", de="kühl", zh="冷色"), more=_end(en="warm", zh="暖色")),
    "texture": Opposites(
        less=_end(
            _pattern("plain"),
            en="plainer, simpler, simple, minimalist, without pattern, without a pattern, no pattern",
            de="schlichter, schlicht, minimalistisch, ohne muster",
            zh="没有图案, 更简单, 简约, 极简",
        ),
        more=_end(
            PATTERNED,
            _pattern("printed"),
            en="more patterned, with a pattern, busier",
            de="gemusterter, mit muster",
            zh="有图案, 带图案, 更花",
        ),
    ),
    "length": Opposites(
        less=_end(CUT_WORDS["length", "short"], en="shorter, cropped, mini", de="kürzer", zh="更短, 短一点"),
        more=_end(CUT_WORDS["length", "long"], en="longer, maxi", de="länger", zh="更长, 长一点"),
    ),
    "width": Opposites(
        less=_end(
            CUT_WORDS["fit", "narrow"],
            en="narrower, tighter, tight, slimmer, fitted",
            de="enger, schmaler",
            zh="更窄, 更紧, 紧身",
        ),
        more=_end(CUT_WORDS["fit", "wide"], en="wider, looser, oversized, baggy", de="weiter, lockerer", zh="更宽, 更松"),
    ),
    "sleeve": Opposites(
        less=_end(
            CUT_WORDS["sleeve", "short"],
            en="shorter sleeves, short sleeves, sleeves shorter, with short sleeves",
            de="kürzere ärmel, kurze ärmel, ärmel kürzer, mit kurzen ärmeln, kurzärmlig",
            zh="更短的袖子, 袖子更短",
        ),
        more=_end(
            CUT_WORDS["sleeve", "long"],
            en="longer sleeves, long sleeves, sleeves longer, with sleeves, with long sleeves",
            de="längere ärmel, lange ärmel, ärmel länger, mit ärmeln, mit langen ärmeln, langärmlig",
            zh="更长的袖子, 袖子更长",
        ),
        none=_end(CUT_WORDS["sleeve", "none"], en="without sleeves, no sleeves", de="ohne ärmel"),
    ),
    "hem": Opposites(less=_end(), more=_end(en="flared, a-line", de="ausgestellt", zh="喇叭")),
    "neckline": Opposites(
        less=_end(en="high-necked, turtleneck", de="rollkragen", zh="高领"),
        more=_end(en="v-neck, low-cut, deep neckline, deeper neckline", de="v-ausschnitt, tiefer ausschnitt", zh="v领"),
    ),
    "asymmetry": Opposites(less=_end(), more=_end(en="asymmetric, asymmetrical", de="asymmetrisch", zh="不对称")),
}
