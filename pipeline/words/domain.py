"""Whether a prompt speaks of clothing, by prompts for both sides in the encoder's space (zero-shot; Radford et al. 2021)."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from pipeline.errors import InputError
from pipeline.words.encoder import Embeddings, text_encoder
from pipeline.words.vocabulary import GARMENTS, named

CLOTHING = (
    *("clothing", "winter clothes", "a garment", "fashion outfit", "evening wear", "cotton fabric", "lace", "striped pattern"),
    *("an elegant style", "a dress", "shoes", "a hat", "a shirt", "trousers", "something to wear", "plain colour"),
    *("Kleidung", "Stoff", "elegant", "ein Kleid", "etwas zum Anziehen", "衣服", "服装"),
)
LOOKS = (  # what people ask of clothing without naming any
    *("sporty", "casual", "vintage", "bohemian", "a business look", "in red", "in summer", "for the beach", "for the office"),
    *("for a wedding", "with pockets", "knitted", "made of leather", "high-waisted", "sportlich", "lässig", "verspielt"),
    *("geblümt", "mit Knöpfen", "aus Leinen", "für den Winter", "运动风", "复古", "带口袋", "高腰", "红色", "夏天穿的"),
)
OTHER = (
    *("a car", "a bus", "an animal", "a dog", "a cat", "food", "a meal", "fruit", "wine", "a house", "a building"),
    *("a city", "a landscape", "the sky", "the sea", "a plant", "a person", "a man", "furniture", "a lamp", "a telephone"),
    *("a machine", "sport", "science", "a book", "music", "politics", "mathematics", "a train station", "a bridge"),
    *("a hospital", "a kitchen", "coffee", "soup", "a guitar", "a knife", "a bank account", "a text message", "the moon"),
    *("ein Auto", "ein Haus", "ein Tier", "Essen", "die Regierung", "ein Berg", "das Wetter", "eine Gitarre"),
    *("ein Flugzeug", "动物", "汽车", "房子", "食物", "政府", "河流", "电脑", "医院", "数学", "火车站"),
)
NEAREST = 8  # texts of each side: a single one is near by chance, above all to short words
# A prompt may be this much closer to OTHER: words such as "romantic" belong to neither side, and a colour to both.
MARGIN = 0.09


@cache
def _sides() -> tuple[Embeddings, Embeddings]:
    return text_encoder().embeddings((*CLOTHING, *LOOKS)), text_encoder().embeddings(OTHER)


def clothing_score(embedding: Embeddings) -> float:
    """Mean cosine of `embedding` (E,) with the NEAREST texts on clothing, less that with the NEAREST on other things."""
    clothing, other = (float(np.sort(side @ embedding)[-NEAREST:].mean()) for side in _sides())
    return clothing - other


def refuse_other_domain(prompt: str, embedding: Embeddings, categories: Sequence[str]) -> None:
    """Raise InputError if `prompt`, with `embedding` (E,), is nearer to things of other kinds than clothing.

    One that names a garment, or one of the model's `categories`, is not.
    """
    if named(prompt, [*GARMENTS, *categories]) is None and clothing_score(embedding) < -MARGIN:
        raise InputError(f"this model knows no such thing as “{prompt}”; describe a garment, such as: red dress")
