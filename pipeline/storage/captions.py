"""The captions of the packed pictures: the distinct texts, an embedding of each, and which of them each picture has."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.storage.arrays import UNREADABLE_ARRAY
from pipeline.storage.files import write_json

TEXTS, EMBEDDINGS = "captions.json", "caption_embeddings.npy"
NO_CAPTION = -1


@dataclass(frozen=True)
class Captions:
    """Captions of N pictures, K of each."""

    encoder: str  # that made the embeddings
    texts: list[str]  # M
    embeddings: NDArray[np.float32]  # (M, E), unit vectors
    rows: NDArray[np.int32]  # (N, K) into `texts`; NO_CAPTION where a picture has fewer

    def embeddings_of(self, column: NDArray[np.int64]) -> NDArray[np.float32]:
        """The embedding (N, E) of the caption that `column` (N,) chooses for each picture; zeros where it has none."""
        chosen = self.rows[np.arange(len(self.rows)), column]
        return np.where(chosen[:, None] == NO_CAPTION, np.float32(0), self.embeddings[chosen])

    def usual(self, labels: NDArray[np.int64], categories: int) -> NDArray[np.float32]:
        """The mean embedding (C, E) of the captions of each category's pictures, whose `labels` are (N,); 0 without any."""
        pictures, columns = np.nonzero(self.rows != NO_CAPTION)
        sums = np.zeros((categories, self.embeddings.shape[1]), np.float64)
        np.add.at(sums, labels[pictures], self.embeddings[self.rows[pictures, columns]])
        counts = np.bincount(labels[pictures], minlength=categories)[:, None]
        return (sums / np.maximum(counts, 1)).astype(np.float32)


def rows_file(split: str) -> str:
    """The name of the file with the captions of a split's pictures."""
    return f"{split}_captions.npy"


def write_captions(
    folder: Path, encoder: str, texts: list[str], embeddings: NDArray[np.float32], rows: dict[str, NDArray[np.int32]]
) -> None:
    """Write the captions and, by split, which ones (N, K) its pictures have, into `folder`."""
    write_json(folder / TEXTS, {"encoder": encoder, "texts": texts})
    np.save(folder / EMBEDDINGS, embeddings)
    for split, of_pictures in rows.items():
        np.save(folder / rows_file(split), of_pictures)


def has_captions(folder: Path) -> bool:
    """Whether the data in `folder` have captions."""
    return (folder / TEXTS).exists()


def read_captions(folder: Path, split: str = "train") -> Captions:
    """The captions of `split`: train, reference_train or reference_test. Raises InputError."""
    try:
        card = json.loads((folder / TEXTS).read_text(encoding="utf-8"))
        return Captions(card["encoder"], card["texts"], np.load(folder / EMBEDDINGS), np.load(folder / rows_file(split)))
    except (*UNREADABLE_ARRAY, TypeError, KeyError) as error:
        raise InputError(
            f"{folder}: its captions cannot be read ({error}); set augment.captions and run augment again"
        ) from error
