"""The attributes that a generator takes beside the category, as rows of zeros and ones, a column for each value."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError, known_names

Attributes = Mapping[str, Sequence[str]]  # the values of each attribute; in order, the columns
UNSAID = 0.1  # share of drawn attributes without a value, as in training


def columns_of(attributes: Attributes) -> list[str]:
    """`name=value` of each column."""
    return [f"{name}={value}" for name, values in attributes.items() for value in values]


def attribute_row(asked: Sequence[str], attributes: Attributes, option: str = "--attribute") -> NDArray[np.float32]:
    """The row (A,) with the columns `asked`, each `name=value`. Raises InputError if one is unknown; it names `option`."""
    known = columns_of(attributes)
    for one in asked:
        if one not in known:
            names = known_names(one, known) if known else "it was trained on categories only"
            raise InputError(f"{option} {one}: unknown to the model; {names}")
    return np.array([one in asked for one in known], dtype=np.float32)


def drawn_attributes(seed: int, count: int, attributes: Attributes) -> NDArray[np.float32]:
    """Rows (N, A) with one value of each attribute, at random, or none in UNSAID of the cases."""
    rng = np.random.default_rng(seed)
    parts = [np.empty((count, 0), np.float32)]
    for values in attributes.values():
        chosen = np.eye(len(values), dtype=np.float32)[rng.integers(len(values), size=count)]
        parts.append(chosen * (rng.random((count, 1)) >= UNSAID))
    return np.concatenate(parts, axis=1, dtype=np.float32)
