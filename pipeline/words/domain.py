"""Whether a prompt speaks of clothing, by prompts for both sides in the encoder's space (zero-shot; Radford et al. 2021)."""

from collections.abc import Sequence
from functools import cache

from pipeline.errors import InputError
from pipeline.words.encoder import Embeddings, text_encoder
from pipeline.words.vocabulary import GARMENTS, named

CLOTHING = (
    *("clothing", "winter clothes", "a garment", "fashion outfit", "evening wear", "cotton fabric", "lace", "striped pattern"),
    *("an elegant style", "a dress", "shoes", "a hat", "a shirt", "trousers", "something to wear", "plain colour"),
    *("Kleidung", "Stoff", "elegant", "ein Kleid", "etwas zum Anziehen", "衣服", "服装"),
)
OTHER = (
    *("a car", "a bus", "an animal", "a dog", "a cat", "food", "a meal", "fruit", "wine", "a house", "a building", "a city"),
    *("a landscape", "the sky", "the sea", "a plant", "a person", "a man", "furniture", "a lamp", "a telephone", "a machine"),
    *("sport", "science", "a book", "music", "ein Auto", "ein Haus", "ein Tier", "Essen", "动物", "汽车", "房子", "食物"),
)
# A prompt may be this much closer to OTHER: words such as "romantic" belong to neither side, and a colour to both.
MARGIN = 0.2


@cache
def _sides() -> tuple[Embeddings, Embeddings]:
    return text_encoder().embeddings(CLOTHING), text_encoder().embeddings(OTHER)


def clothing_score(embedding: Embeddings) -> float:
    """Cosine of `embedding` (E,) with the nearest of CLOTHING, less that with the nearest of OTHER."""
    clothing, other = (float((side @ embedding).max()) for side in _sides())
    return clothing - other


def refuse_other_domain(prompt: str, embedding: Embeddings, categories: Sequence[str]) -> None:
    """Raise InputError if `prompt`, with `embedding` (E,), is nearer to things of other kinds than clothing.

    One that names a garment, or one of the model's `categories`, is not.
    """
    if named(prompt, [*GARMENTS, *categories]) is None and clothing_score(embedding) < -MARGIN:
        raise InputError(f"this model knows no such thing as “{prompt}”; describe a garment, such as: red dress")
