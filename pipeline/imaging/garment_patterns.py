"""The pattern of a garment, from EfficientNet-Lite0's features of its cut-out."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.imaging.efficientnet import pretrained_network, tapped_maps
from pipeline.imaging.pattern_numbers import NUMBERS
from pipeline.storage.garment_attributes import SEEN_ATTRIBUTES

PATTERNS = SEEN_ATTRIBUTES["pattern"].values
SIDE_PX = 160
TAPPED_BLOCKS = (4, 10)  # 40 channels at stride 8, 112 at stride 16
CHANNELS = 40 + 112
INSIDE = 0.7  # share of garment of a cell that counts, where there are enough of them
LEAST_CELLS = 4

Pixels = NDArray[np.uint8]


class PatternClassifier:
    """A linear map of the features' means over the garment, fitted by `python -m benchmarks.attributes`.

    One picture at a time, so that no answer depends on which pictures come together.
    """

    def __init__(self, numbers: str = NUMBERS) -> None:
        torch.set_num_threads(1)
        self._network = pretrained_network(SIDE_PX)
        table = np.array([float(number) for number in numbers.split()]).reshape(len(PATTERNS), CHANNELS + 1)
        self._weights, self._offsets = table[:, :-1], table[:, -1]

    def __call__(self, picture: Pixels, mask: Pixels) -> tuple[str, float]:
        """One of PATTERNS and its probability, for the garment under `mask` (H, W, 0 or 1, not empty) of a `picture`."""
        scores = self._weights @ self.features(picture, mask) + self._offsets
        probabilities = np.exp(scores - scores.max())
        probabilities /= probabilities.sum()
        best = int(probabilities.argmax())
        return PATTERNS[best], float(probabilities[best])

    def features(self, picture: Pixels, mask: Pixels) -> NDArray[np.float64]:
        """(CHANNELS,) means over the garment."""
        square, inside = framed_garment(picture, mask)
        means = []
        with torch.inference_mode():
            for maps in tapped_maps(self._network, torch.from_numpy(square).permute(2, 0, 1)[None], TAPPED_BLOCKS):
                weights = cv2.resize(inside, maps.shape[:1:-1], interpolation=cv2.INTER_AREA)
                if (weights > INSIDE).sum() >= LEAST_CELLS:
                    weights = np.where(weights > INSIDE, weights, 0)
                means.append((maps[0].numpy() * weights).sum(axis=(1, 2)) / max(float(weights.sum()), 1e-6))
        return np.concatenate(means).astype(np.float64)


def framed_garment(picture: Pixels, mask: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The garment on its mean colour, (SIDE_PX, SIDE_PX, 3) in [0, 255], and its share of each pixel."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    garment, inside = picture[box].astype(np.float32), mask[box].astype(np.float32)
    height, width = inside.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.full((side, side, 3), garment[inside > 0].mean(axis=0), np.float32)
    square[top : top + height, left : left + width][inside > 0] = garment[inside > 0]
    share = np.zeros((side, side), np.float32)
    share[top : top + height, left : left + width] = inside
    how = cv2.INTER_AREA if side > SIDE_PX else cv2.INTER_LINEAR
    size = (SIDE_PX, SIDE_PX)
    return np.asarray(cv2.resize(square, size, interpolation=how)), np.asarray(cv2.resize(share, size, interpolation=how))
