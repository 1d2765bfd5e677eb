"""Pictures at fixed sizes."""

import numpy as np
import pytest
from PIL import Image

from pipeline.imaging.resizing import shrink, thumbnail


@pytest.mark.parametrize(
    ("size", "expected"), [((28, 28), (28, 28)), ((256, 9), (256, 9)), ((1000, 1), (256, 1)), ((300, 600), (128, 256))]
)
def test_shrink_limits_the_longer_side_and_never_enlarges(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert shrink(Image.new("L", size), 256, Image.Resampling.BOX).size == expected


def test_thumbnail_holds_area_averages() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32)).astype(np.uint8)
    averages = pixels.reshape(16, 2, 16, 2).mean(axis=(1, 3))
    assert np.abs(thumbnail(Image.fromarray(pixels)) - averages).max() <= 1
