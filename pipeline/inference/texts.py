"""Embeddings of texts as a generator's condition: unit vectors times a strength."""

import numpy as np
from numpy.typing import NDArray

from pipeline.inference.attributes import UNSAID

MAX_STRENGTH = 2.0  # 1 is as in training, 0 the category as it comes


def drawn_texts(seed: int, count: int, sample: NDArray[np.float32], max_strength: float = 1.0) -> NDArray[np.float32]:
    """Rows (N, E) of the unit vectors `sample` (M, E) at random, or zeros, no text, in UNSAID of the cases.

    With a `max_strength` other than 1 they are multiplied by strengths from 0 to it.
    """
    rng = np.random.default_rng(seed)
    rows = sample[rng.integers(len(sample), size=count)] * (rng.random((count, 1)) >= UNSAID)
    strengths = 1.0 if max_strength == 1 else rng.uniform(0, max_strength, (count, 1))
    return (rows * strengths).astype(np.float32)
