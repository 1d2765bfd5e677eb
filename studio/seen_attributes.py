"""Which attribute of a garment a picture shows, by the measures with which `inspect` names those of photographs."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.garment_attributes import MEASURES, PatternOf, SeenGarment
from pipeline.imaging.garment_kinds import kind_of_category
from pipeline.inference.transparency import on_ground
from pipeline.storage.arrays import colour_channels
from pipeline.storage.garment_attributes import SEEN_ATTRIBUTES
from studio.measures import SEEN_ON, garment_masks


def attribute_shown(pictures: NDArray[np.uint8], categories: Sequence[str], dimension: str, value: str) -> NDArray[np.bool_]:
    """Whether the garment in each of `pictures` (N, H, W, C) of `categories` has `value` as its attribute `dimension`.

    What needs a network is measured by a process of its own, because torch takes hundreds of megabytes that stay.
    """
    masks = garment_masks(pictures).astype(np.uint8)
    seen = on_ground(pictures, SEEN_ON)
    seen = np.ascontiguousarray(np.broadcast_to(seen, (*seen.shape[:3], 3)))
    if SEEN_ATTRIBUTES[dimension].network is None:
        found = values_seen(seen, masks, categories, dimension)
    else:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            found = process.submit(values_seen, seen, masks, categories, dimension).result()
    return np.array([one == value for one in found], bool)


def colour_shown(picture: NDArray[np.uint8], category: str) -> str | None:
    """The colour of the garment in `picture` (H, W, C), one of eleven terms; None if it is grey or the garment too small."""
    if colour_channels(picture.shape[-1]) != 3:
        return None
    mask = garment_masks(picture[None]).astype(np.uint8)
    return values_seen(on_ground(picture[None], SEEN_ON), mask, [category], "colour")[0]


def values_seen(
    pictures: NDArray[np.uint8], masks: NDArray[np.uint8], categories: Sequence[str], dimension: str
) -> list[str | None]:
    """The value of the attribute `dimension` of each garment under `masks` (N, H, W) of `pictures` (N, H, W, 3)."""
    pattern_of: PatternOf = _no_pattern
    if SEEN_ATTRIBUTES[dimension].network is not None:
        from pipeline.imaging.garment_patterns import PatternClassifier  # imports torch

        pattern_of = PatternClassifier()
    found: list[str | None] = []
    for picture, mask, category in zip(pictures, masks, categories, strict=True):
        garment = SeenGarment(picture, mask, kind_of_category(category), pattern_of)
        answer = MEASURES[dimension](garment) if garment.colours is not None else None
        found.append(answer.value if answer else None)
    return found


def _no_pattern(_picture: NDArray[np.uint8], _mask: NDArray[np.uint8]) -> tuple[str, float]:
    raise AssertionError("this attribute needs no network")
