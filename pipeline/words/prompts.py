"""What a user asks for in words: checked, its category read from it, and its embedding for a model."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.inference.onnx_generator import ExportedCard
from pipeline.inference.texts import MAX_STRENGTH
from pipeline.words.encoder import ENCODER_NAME, text_encoder
from pipeline.words.vocabulary import garment_names, garment_nouns

MAX_PROMPT_CHARACTERS = 240  # as a caption's
READ_SCRIPTS = ("LATIN", "CJK")  # of the captions' languages


def checked_prompt(text: str) -> str:
    """`text` in Unicode NFKC without surplus spaces.

    Raises InputError if it is empty, too long, without a letter, or in a script that no caption has.
    """
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise InputError(f"the text has {len(text):,} characters; at most {MAX_PROMPT_CHARACTERS} describe a garment")
    plain = unicodedata.normalize("NFKC", text)
    plain = "".join(" " if unicodedata.category(one)[0] in "CZ" else one for one in plain)
    plain = re.sub(r"\s+", " ", plain).strip()
    letters = [one for one in plain if unicodedata.category(one)[0] == "L"]
    if not plain:
        raise InputError("the text is empty; describe a garment, such as: red dress")
    if not letters:
        raise InputError("the text has no letters; describe a garment in words, such as: red dress")
    strange = [one for one in letters if not unicodedata.name(one, "").startswith(READ_SCRIPTS)]
    if len(strange) * 2 > len(letters):
        raise InputError("the text is in a script that the model has not learnt; write English, German or Chinese")
    return plain


def checked_strength(strength: float) -> float:
    """`strength`, by which a prompt's embedding is multiplied. Raises InputError unless it is in [0, MAX_STRENGTH]."""
    if not 0 <= strength <= MAX_STRENGTH:  # NaN is neither
        raise InputError(f"strength {strength:g}: must be 0 to {MAX_STRENGTH:g}")
    return strength


def prompt_row(text: str, strength: float, card: ExportedCard) -> NDArray[np.float32]:
    """The input `text` (1, E) for the model of `card`: the embedding of `text`, a unit vector, times `strength`.

    Raises InputError if the model takes no text or another encoder's, as `checked_prompt` and `checked_strength` do, and if the
    encoder is not installed.
    """
    if not card.text_dim:
        raise InputError("this model was not trained on captions and takes no text; train one with train.condition text")
    if card.text_encoder != ENCODER_NAME:
        raise InputError(f"this model was trained with the text encoder {card.text_encoder}; here is {ENCODER_NAME}")
    prompt, scale = checked_prompt(text), np.float32(checked_strength(strength))
    return text_encoder().embeddings([prompt]) * scale


def named_category(text: str, categories: Sequence[str]) -> str | None:
    """The one of `categories` that `text` names in English, German or Chinese; None if it names none.

    The longest name counts, so that a "hooded sweatshirt" is no shirt; of equal lengths the last one, because
    the noun follows what describes it.
    """
    lower = text.lower()
    found: list[tuple[int, int, str]] = []
    for category in categories:
        nouns = garment_nouns(category)
        for name in garment_names(nouns) if nouns else [category]:
            # Chinese has no spaces, and a German noun may end a compound: Sommerkleid.
            before = "" if not name.isascii() or (nouns and name in {noun for noun, _ in nouns.de}) else r"(?<![\w-])"
            after = "" if ord(name[0]) >= 0x2E80 else r"(?:e?s|e?n)?(?![\w-])"
            found += [
                (len(name), one.start(), category) for one in re.finditer(before + re.escape(name.lower()) + after, lower)
            ]
    return max(found)[2] if found else None
