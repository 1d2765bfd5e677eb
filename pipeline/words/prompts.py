"""What a user asks for in words: checked, and its embedding for a model."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.inference.onnx_generator import ExportedCard
from pipeline.inference.texts import MAX_STRENGTH
from pipeline.words.domain import refuse_other_domain
from pipeline.words.encoder import ENCODER_NAME, text_encoder

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


def refuse_without_text(card: ExportedCard) -> None:
    """Raise InputError if the model of `card` takes no text, or another encoder's."""
    if not card.text_dim:
        raise InputError("this model was not trained on captions and takes no text; train one with train.condition text")
    if card.text_encoder != ENCODER_NAME:
        raise InputError(f"this model was trained with the text encoder {card.text_encoder}; here is {ENCODER_NAME}")


def prompt_embedding(text: str, categories: Sequence[str]) -> NDArray[np.float32]:
    """The embedding (E,) of `text`, a unit vector, for a model of `categories`.

    Raises InputError as `checked_prompt` does, if `text` speaks of no clothing, and if the encoder is not installed.
    """
    prompt = checked_prompt(text)
    row: NDArray[np.float32] = text_encoder().embeddings([prompt])[0]
    refuse_other_domain(prompt, row, categories)
    return row


def prompt_row(text: str, strength: float, card: ExportedCard) -> NDArray[np.float32]:
    """The input `text` (1, E) for the model of `card`: the embedding of `text`, a unit vector, times `strength`.

    Raises InputError if the model takes no text or another encoder's, and as `checked_strength` and `prompt_embedding` do.
    """
    refuse_without_text(card)
    scale = np.float32(checked_strength(strength))
    return prompt_embedding(text, card.categories)[None] * scale
