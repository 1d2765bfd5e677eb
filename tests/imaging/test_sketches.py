"""Sketches: frames, and descriptors of flipped and rotated pictures."""

import numpy as np
import pytest

from pipeline.imaging.sketches import ORIENTATIONS, content_box, descriptors, views
from tests.support.garments import small_garment


def test_content_box_excludes_a_frame_but_not_a_margin_on_one_side() -> None:
    photograph = np.random.default_rng(0).integers(0, 255, (60, 80), dtype=np.uint8)
    framed_photograph = np.pad(photograph, ((5, 7), (4, 0)), constant_values=255)
    assert content_box(framed_photograph) == (0, 5, 84, 65)
    assert content_box(photograph) == (0, 0, 80, 60)
    assert content_box(np.full((20, 20), 9, dtype=np.uint8)) == (0, 0, 20, 20)


def test_views_equal_descriptors_of_flipped_and_rotated_pictures() -> None:
    pixels = np.asarray(small_garment().convert("L"))[None]
    at = (np.arange(64) + 0.5) / 32 - 1
    points = np.stack(np.meshgrid(at, at)).reshape(2, -1)
    for orientation, share, seen in views(pixels, mirrored=True):
        if share == 1:
            column, row = np.rint((ORIENTATIONS[orientation] @ points + 1) * 32 - 0.5).astype(int)
            assert descriptors(pixels[:, row, column].reshape(1, 64, 64)) == pytest.approx(seen, abs=1e-4)
