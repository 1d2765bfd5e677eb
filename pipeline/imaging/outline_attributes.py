"""Sleeve, length and fit of a garment, from the outline of its mask and the kind of garment it is.

Length and fit are ratios of distances between its anchors, and the limits between their values were set on the photographs
for tuning in benchmarks/outline_labels.csv, as the classifier of sleeves was fitted to them. Tops and outerwear have neither:
an outline says how their length relates to their width, but in photographs both vary with the cut too little to be told apart.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.imaging.garment_anchors import GarmentAnchors, StraightMask, anchors_of, straightened
from pipeline.imaging.garment_kinds import LEGGED, UPPER, Kind
from pipeline.imaging.garment_masks import MASK_SIDE_PX
from pipeline.imaging.outline_numbers import NUMBERS
from pipeline.imaging.outlines import row_extent, run_at
from pipeline.storage.garment_attributes import SEEN_ATTRIBUTES

BANDS = 12  # of the outline's height
SLEEVES = SEEN_ATTRIBUTES["sleeve"].values
CUT_OFF = 0.25  # of the garment's width at the picture's upper or lower edge: the rest of it is outside
# Between short, medium and long: length, relative to the width below the armpits or at the waist.
LENGTH_LIMITS: dict[Kind, tuple[float, float]] = {
    "dress": (2.11, 3.77),
    "skirt": (1.72, 3.65),
    "trousers": (1.27, 1.73),
    "shorts": (1.27, 1.73),
}
# Between narrow, regular and wide: the hem, or a leg from the knee down, relative to the same width.
FIT_LIMITS: dict[Kind, tuple[float, float]] = {
    "dress": (1.12, 2.2),
    "skirt": (1.45, 1.79),
    "trousers": (0.4, 0.67),
    "shorts": (0.4, 0.67),
}
SURE_RATIO = 1.25  # between a ratio and the nearest limit, from which a value is sure

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Answer:
    """A value of an attribute, and how far to trust it, in [0, 1]."""

    value: str
    confidence: float


@dataclass(frozen=True)
class Outline:
    """The outline of a garment in its picture."""

    mask: NDArray[np.uint8]  # (H, W) of 0 and 1
    kind: Kind | None  # None: unknown, so that nothing can be said

    @cached_property
    def straight(self) -> StraightMask | None:
        """The garment upright, at the size of `inspect`'s masks; None if it is too small."""
        scale = MASK_SIDE_PX / max(self.mask.shape)
        size = (max(round(self.mask.shape[1] * scale), 1), max(round(self.mask.shape[0] * scale), 1))
        try:
            return straightened(cv2.resize(self.mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) > 0.5)
        except InputError:
            return None

    @cached_property
    def anchors(self) -> GarmentAnchors | None:
        """Its anchors, upright; None if they cannot be found."""
        try:
            return anchors_of(self.straight.mask, self.kind) if self.straight and self.kind else None
        except InputError:
            return None

    @property
    def cut_off(self) -> bool:
        """Whether the garment goes on beyond the picture's upper or lower edge."""
        width = self.mask.any(axis=0).sum()
        # The outermost rows are never the garment's (garment_masks.trimap).
        return max(int(self.mask[1].sum()), int(self.mask[-2].sum())) > CUT_OFF * width


def profile(mask: Mask) -> NDArray[np.float64]:
    """(4 BANDS,) the shape of an upright mask: in each band of its height the width from edge to edge, the width that is
    garment and that of the run about the axis, relative to the greatest, and the number of runs."""
    rows = np.flatnonzero(mask.any(axis=1))
    middle = mask.shape[1] // 2
    measures = np.zeros((mask.shape[0], 4))
    for row in rows:
        filled = mask[row]
        columns = np.flatnonzero(filled)
        runs = np.flatnonzero(np.diff(np.concatenate([[0], filled.astype(np.int8), [0]])))
        central = run_at(mask, int(row), middle) if filled[middle] else None
        wide_runs = int((np.diff(runs)[::2] >= 2).sum())  # a pixel alone is noise
        about_axis = 0 if central is None else central[1] - central[0] + 1
        measures[row] = columns[-1] - columns[0] + 1, len(columns), about_axis, wide_runs
    bands = np.stack([band.mean(axis=0) for band in np.array_split(measures[rows[0] : rows[-1] + 1], BANDS)])
    bands[:, :3] /= bands[:, 0].max()
    return bands.T.ravel()


def sleeve_features(outline: Outline) -> NDArray[np.float64] | None:
    """(4 BANDS,) what the classifier of sleeves sees; None where there is no upper garment to see, or hardly any."""
    if outline.kind not in UPPER or outline.straight is None:
        return None
    mask = outline.straight.mask
    top, bottom = row_extent(mask)
    return profile(mask) if bottom - top + 1 >= BANDS else None


def sleeve(outline: Outline, numbers: str = NUMBERS) -> Answer | None:
    """The sleeves of an upper garment, by a linear map of its profile, fitted by `python -m benchmarks.attributes --fit`."""
    features = sleeve_features(outline)
    if features is None:
        return None
    table = np.array([float(number) for number in numbers.split()]).reshape(len(SLEEVES), len(features) + 1)
    scores = table[:, :-1] @ features + table[:, -1]
    probabilities = np.exp(scores - scores.max())
    probabilities /= probabilities.sum()
    second, best = np.argsort(probabilities)[-2:]
    return Answer(SLEEVES[best], float(probabilities[best] - probabilities[second]))


def length(outline: Outline) -> Answer | None:
    """How long a dress, a skirt, trousers or shorts are; None where the picture cuts them off."""
    anchors, limits = outline.anchors, LENGTH_LIMITS.get(outline.kind) if outline.kind else None
    if anchors is None or limits is None or outline.cut_off:
        return None
    top, bottom = (_middle(anchors, name) for name in ("neck" if anchors.kind == "dress" else "waist", "hem"))
    return _between(limits, SEEN_ATTRIBUTES["length"].values, float(np.linalg.norm(top - bottom)) / _widths(anchors)[0])


def fit(outline: Outline) -> Answer | None:
    """How wide the hem of a dress or skirt, or the legs of trousers or shorts are."""
    anchors, limits = outline.anchors, FIT_LIMITS.get(outline.kind) if outline.kind else None
    if anchors is None or limits is None:
        return None
    widths = _widths(anchors)
    wide = float(widths[-1])
    if anchors.kind in LEGGED:
        legs = np.mean([np.linalg.norm(leg.first - leg.second, axis=1) for leg in anchors.limbs.values()], axis=0)
        wide = float(legs[[len(legs) // 2, -1]].mean())
    return _between(limits, SEEN_ATTRIBUTES["fit"].values, wide / widths[0])


OUTLINE_MEASURES = {"length": length, "sleeve": sleeve, "fit": fit}


def _middle(anchors: GarmentAnchors, name: str) -> NDArray[np.float64]:
    return (anchors.points[f"left_{name}"] + anchors.points[f"right_{name}"]) / 2


def _widths(anchors: GarmentAnchors) -> NDArray[np.float64]:
    """Of the trunk, from the armpits or the waist down, at least a pixel."""
    return np.maximum(np.linalg.norm(anchors.trunk.first - anchors.trunk.second, axis=1), 1.0)


def _between(limits: tuple[float, float], values: tuple[str, ...], ratio: float) -> Answer:
    """The value for a ratio, of three between two `limits`."""
    distance = np.abs(np.log(max(ratio, 1e-6) / np.array(limits))).min() / np.log(SURE_RATIO)
    return Answer(values[int(np.searchsorted(limits, ratio, side="right"))], float(min(distance, 1.0)))
