"""What the taste model knows of a garment: components of its picture, its measured attributes and its colours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.garment_colours import COLOURS, colour_terms
from pipeline.imaging.garment_masks import cielab
from pipeline.inference.transparency import on_ground
from studio.directions import Samples
from studio.measures import MEASURES, SEEN_ON, garment_masks, measure

FEATURE_SIDE_PX = 8
COMPONENTS = 24
COLOUR_SIDE_PX = 32  # of the grid of pixels whose colours are counted
MAX_DEVIATIONS = 4.0  # of a measured attribute, beyond which it counts no further

Features = NDArray[np.float64]


@dataclass(frozen=True)
class TasteFeatures:
    """The map from garments of one category to rows of features, fitted to drawn samples.

    The columns are COMPONENTS principal components of the reduced picture, relative to the typical distance of two garments;
    MEASURES in standard deviations; and the share of each of COLOURS, in [0, 1].
    """

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]  # (COMPONENTS, F)
    scale: float
    centres: NDArray[np.float64]  # (M,) of the measures
    deviations: NDArray[np.float64]  # (M,)

    def of(self, pictures: NDArray[np.uint8], measures: dict[str, NDArray[np.float32]] | None = None) -> Features:
        """Features (N, K) of `pictures` (N, H, W, C), whose `measures` are taken unless they are given."""
        components = ((_reduced(pictures) - self.mean) @ self.axes.T / self.scale).astype(np.float64)
        measures = measure(pictures) if measures is None else measures
        measured = (_measured(measures, len(pictures)) - self.centres) / self.deviations
        limited = np.clip(measured, -MAX_DEVIATIONS, MAX_DEVIATIONS)
        return np.concatenate([components, limited, colour_shares(pictures)], axis=1)


COMPONENT_COLUMNS = slice(0, COMPONENTS)
MEASURE_COLUMNS = slice(COMPONENTS, COMPONENTS + len(MEASURES))
COLOUR_COLUMNS = slice(MEASURE_COLUMNS.stop, MEASURE_COLUMNS.stop + len(COLOURS))
COLUMNS = COLOUR_COLUMNS.stop


def measure_column(name: str) -> int:
    """The column of the measured attribute `name`."""
    return MEASURE_COLUMNS.start + list(MEASURES).index(name)


def colour_column(name: str) -> int:
    """The column of the share of the colour `name`."""
    return COLOUR_COLUMNS.start + COLOURS.index(name)


def colour_shares(pictures: NDArray[np.uint8]) -> Features:
    """The share (N, 11) of each of COLOURS in the garments of `pictures` (N, H, W, C); zeros where there is no garment."""
    step = max(min(pictures.shape[1:3]) // COLOUR_SIDE_PX, 1)
    masks, seen = garment_masks(pictures)[:, ::step, ::step], on_ground(pictures, SEEN_ON)[:, ::step, ::step]
    count, height, width = masks.shape
    coloured = np.ascontiguousarray(np.broadcast_to(seen, (*seen.shape[:3], 3)))
    lab = cielab(coloured.reshape(count * height, width, 3)).reshape(count, height, width, 3)
    garment, _, _ = np.nonzero(masks)
    cells = garment * len(COLOURS) + colour_terms(lab[masks])
    pixels = np.bincount(cells, minlength=count * len(COLOURS)).reshape(count, len(COLOURS))
    return pixels / np.maximum(pixels.sum(axis=1, keepdims=True), 1)


def _measured(measures: dict[str, NDArray[np.float32]], count: int) -> Features:
    """All MEASURES as columns (count, M); those of colour are 0 without colour."""
    missing = np.zeros(count, np.float32)
    return np.stack([measures.get(name, missing) for name in MEASURES], axis=1).astype(np.float64)


def _reduced(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    pictures = on_ground(pictures, SEEN_ON)
    count, height, width, channels = pictures.shape
    rows, columns = height // FEATURE_SIDE_PX, width // FEATURE_SIDE_PX
    cropped = pictures[:, : rows * FEATURE_SIDE_PX, : columns * FEATURE_SIDE_PX]
    blocks = cropped.reshape(count, FEATURE_SIDE_PX, rows, FEATURE_SIDE_PX, columns, channels)
    return blocks.mean(axis=(2, 4), dtype=np.float32).reshape(count, -1)


def fit_features(samples: Samples) -> TasteFeatures:
    """Features fitted to the pictures of `samples`."""
    rows = _reduced(samples.pictures)
    mean = rows.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov((rows - mean).astype(np.float64), rowvar=False))
    largest = np.argsort(variances)[::-1][:COMPONENTS]
    scale = float(np.sqrt(2 * variances[largest].sum())) or 1.0
    measured = _measured(samples.measures, len(rows))
    deviations = measured.std(axis=0)
    known = np.where(deviations > 1e-6, deviations, np.inf)  # what never changes counts nothing
    return TasteFeatures(mean, axes[:, largest].T.astype(np.float32), scale, measured.mean(axis=0), known)
