"""Measures of garments, on drawn shapes whose answers are known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from studio.measures import COLOUR_MEASURES, MEASURES, garment_masks, measure


def canvas(*boxes: tuple[slice, slice], value: int = 200) -> NDArray[np.uint8]:
    """One grey 32×32 picture of `boxes` on black, (1, 32, 32, 1)."""
    picture = np.zeros((1, 32, 32, 1), np.uint8)
    for rows, columns in boxes:
        picture[0, rows, columns] = value
    return picture


TORSO = (slice(4, 28), slice(10, 22))


def test_the_mask_is_what_differs_from_the_backdrop_with_its_holes_closed() -> None:
    picture = canvas(TORSO)
    picture[0, 10:12, 14:16] = 0
    mask = garment_masks(picture)[0]
    assert mask.sum() == 24 * 12
    assert garment_masks(255 - picture)[0].sum() == 24 * 12


def test_size_width_and_length_are_shares_of_the_frame() -> None:
    found = measure(canvas(TORSO))
    assert found["size"][0] == pytest.approx(24 * 12 / 1024)
    assert found["width"][0] == pytest.approx(12 / 32)
    assert found["length"][0] == pytest.approx(24 / 32)
    assert found["brightness"][0] == pytest.approx(200)
    assert found["contrast"][0] == pytest.approx(0)


def test_sleeves_count_by_the_rows_they_reach() -> None:
    def sleeves(rows: int) -> list[tuple[slice, slice]]:
        return [(slice(4, 4 + rows), slice(3, 9)), (slice(4, 4 + rows), slice(23, 29))]

    lengths = [measure(canvas(TORSO, *sleeves(rows)))["sleeve"][0] for rows in (0, 6, 20)]
    assert lengths[0] == 0
    assert lengths[1] == pytest.approx(6 / 24)
    assert lengths[2] == pytest.approx(20 / 24)


def test_a_flared_hem_is_wider_than_the_waist() -> None:
    straight, flared = canvas(TORSO), canvas(TORSO, (slice(24, 28), slice(4, 28)))
    assert measure(straight)["hem"][0] == pytest.approx(1)
    assert measure(flared)["hem"][0] == pytest.approx(2)


def test_an_open_neckline_is_deeper() -> None:
    closed, opened = canvas(TORSO), canvas(TORSO)
    opened[0, 4:10, 14:18] = 0
    assert measure(closed)["neckline"][0] == 0
    assert measure(opened)["neckline"][0] == pytest.approx(6 / 24)


def test_colour_is_measured_on_colour_pictures_alone() -> None:
    grey = canvas(TORSO)
    red = np.concatenate([grey, grey // 4, grey // 4], axis=-1)
    assert set(measure(grey)) == set(MEASURES) - set(COLOUR_MEASURES)
    found = measure(red)
    assert set(found) == set(MEASURES)
    assert found["saturation"][0] == pytest.approx(150)
    assert found["warmth"][0] == pytest.approx(150)


def test_an_empty_picture_has_measures_too() -> None:
    assert all(np.isfinite(values).all() for values in measure(canvas()).values())
