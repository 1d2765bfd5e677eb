"""The captions of the packed pictures, each distinct one embedded once."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.stages.augment.attributes import garment_values
from pipeline.stages.augment.params import AugmentParams
from pipeline.storage.captions import NO_CAPTION, write_captions
from pipeline.storage.garment_attributes import SEEN_ATTRIBUTES
from pipeline.tracking.progress import progress
from pipeline.words.captions import Description, captions_of
from pipeline.words.cleaning import cleaned, shop_names
from pipeline.words.encoder import EMBEDDING_DIM, ENCODER_NAME, text_encoder

TEXTS = ("page", "title", "alt", "category", "garment_second_colour")
BATCH = 64  # texts embedded between two updates of the progress bar


def descriptions_of(kept: pd.DataFrame, params: AugmentParams) -> list[Description]:
    """What is known of each of `kept`: colours only where the packed pictures have them."""
    pages, titles, alts, categories, seconds = (_texts(kept[name]) for name in TEXTS)
    shops = shop_names(zip(pages, titles, strict=True))
    named = [_confident_values(kept, name, params) for name in SEEN_ATTRIBUTES]
    found = []
    for category, second, values, *own in zip(categories, seconds, zip(*named, strict=True), titles, alts, strict=True):
        words = dict.fromkeys(words for text in own if (words := cleaned(text, shops)))
        seen = dict(zip(SEEN_ATTRIBUTES, values, strict=True))
        found.append(Description(category or "", second_colour=second if seen["colour"] else None, words=tuple(words), **seen))
    return found


def _confident_values(kept: pd.DataFrame, attribute: str, params: AugmentParams) -> list[str | None]:
    if attribute == "colour" and params.channels == 1:
        return [None] * len(kept)
    return [next(iter(value), None) for value in garment_values(kept, attribute, params.min_attribute_confidence)]


def _texts(column: pd.Series) -> list[str | None]:
    return [value if isinstance(value, str) else None for value in column]


def caption_rows(kept: pd.DataFrame, params: AugmentParams) -> tuple[list[str], NDArray[np.int32]]:
    """The distinct captions of `kept`, sorted, and which of them (N, K) each picture has."""
    descriptions = descriptions_of(kept, params)
    captions = [
        captions_of(key, about, params.caption_languages, params.captions, params.seed)
        for key, about in zip(kept["key"], descriptions, strict=True)
    ]
    texts = sorted({text for own in captions for text in own})
    place = {text: number for number, text in enumerate(texts)}
    rows = np.full((len(kept), params.captions), NO_CAPTION, np.int32)
    for row, own in zip(rows, captions, strict=True):
        row[: len(own)] = [place[text] for text in own]
    return texts, rows


def embedded(texts: list[str]) -> NDArray[np.float32]:
    """The embeddings (M, E) of `texts`. Raises InputError if the encoder is not installed."""
    encoder, embeddings = text_encoder(), np.empty((len(texts), EMBEDDING_DIM), np.float32)
    for start in progress(range(0, len(texts), BATCH), len(texts), what="augment", unit="captions", step=BATCH):
        embeddings[start : start + BATCH] = encoder.embeddings(texts[start : start + BATCH])
    return embeddings


def pack_captions(folder: Path, kept: pd.DataFrame, params: AugmentParams) -> int:
    """Write the captions of the training and test pictures into `folder`; returns the number of distinct ones."""
    texts, rows = caption_rows(kept, params)
    splits = kept["split"].to_numpy()
    of_train, of_test = rows[splits == "train"], rows[splits == "test"]
    by_split = {
        "train": of_train.repeat(params.copies, axis=0),
        "reference_train": of_train,
        "reference_test": of_test,
    }
    write_captions(folder, ENCODER_NAME, texts, embedded(texts), by_split)
    return len(texts)
