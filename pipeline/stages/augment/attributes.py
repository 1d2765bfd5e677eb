"""The attributes of the packed pictures: columns of a list, and what `inspect` sees of the garment."""

import json

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import ParamsError
from pipeline.stages.augment.params import AugmentParams

MAX_VALUES = 256  # of an attribute; one with more is probably free text


def listed_values(extra: str | None, name: str) -> set[str]:
    """Values of the attribute `name` in `extra`, a JSON object: the items of a list, or a text split at semicolons."""
    value = json.loads(extra).get(name) if isinstance(extra, str) else None
    parts = value if isinstance(value, list) else [] if value is None else str(value).split(";")
    return {str(part).strip() for part in parts} - {""}


def garment_values(pictures: pd.DataFrame, name: str, min_confidence: float) -> list[set[str]]:
    """The value of a garment's attribute `name` for each of `pictures`; empty where it is unknown or less confident."""
    confidence = pictures[f"garment_{name}_confidence"].fillna(0) >= min_confidence
    values = pictures[f"garment_{name}"].where(confidence, None)
    return [{value} if isinstance(value, str) else set() for value in values]


def attributes_of(kept: pd.DataFrame, params: AugmentParams) -> tuple[dict[str, list[str]], dict[str, NDArray[np.uint8]]]:
    """The values of each attribute in training, and multi-hot flags (N, A) uint8 in their order, for train and test.

    Attributes are in the order of their names, in which JSON files keep them.

    Raises ParamsError for an attribute that no training picture has, that has more than MAX_VALUES values, or whose name a list
    and the garment share.
    """
    if twice := sorted(set(params.attributes) & set(params.garment_attributes)):
        raise ParamsError(f"augment.garment_attributes: {twice[0]} is also in augment.attributes; leave one of them out")
    sets = {
        name: pd.Series([listed_values(extra, name) for extra in kept["extra"]], dtype=object) for name in params.attributes
    }
    for seen in params.garment_attributes:
        sets[seen] = pd.Series(garment_values(kept, seen, params.min_attribute_confidence), dtype=object)
    sets = dict(sorted(sets.items()))
    split = kept["split"].to_numpy()
    values = {name: sorted(set().union(*rows[split == "train"])) for name, rows in sets.items()}
    for name, known in values.items():
        if not 0 < len(known) <= MAX_VALUES:
            key = "attributes" if name in params.attributes else "garment_attributes"
            raise ParamsError(f"augment.{key}: {name} has {len(known)} values in training, not 1 to {MAX_VALUES}")
    columns = [[value in row for row in rows] for name, rows in sets.items() for value in values[name]]
    flags = np.array(columns, dtype=np.uint8).reshape(-1, len(kept)).T
    return values, {name: flags[split == name] for name in ("train", "test")}
