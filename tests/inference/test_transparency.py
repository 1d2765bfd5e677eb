"""Straight, premultiplied and on a ground: exact conversions, and edges without a halo."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.inference.transparency import FAINT, LEVELS, on_ground, on_level, premultiplied, straight, with_bled_colour


def _noise(channels: int, count: int = 3, height: int = 12, width: int = 8) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def _soft_disc(colour: tuple[int, int, int], side: int = 32) -> NDArray[np.uint8]:
    """A disc of one colour with an edge three pixels wide, and black under what is transparent: (1, side, side, 4)."""
    y, x = np.indices((side, side)) - (side - 1) / 2
    alpha = np.rint(((11 - np.hypot(x, y)) / 3 + 0.5).clip(0, 1) * 255).astype(np.uint8)
    return np.dstack([*(np.where(alpha, level, 0).astype(np.uint8) for level in colour), alpha])[None]


@pytest.mark.parametrize("channels", [2, 4])
def test_straight_inverts_premultiplied_where_alpha_is_more_than_faint(channels: int) -> None:
    images = _noise(channels)
    pictures = premultiplied(images)
    assert pictures.dtype == np.float32
    assert pictures.shape == (3, channels, 12, 8)
    assert (np.abs(pictures[:, :-1]) <= (pictures[:, -1:] + 1) / 2 + 1e-6).all()
    again = straight(pictures)
    sure = images[..., -1] >= FAINT * 255
    assert np.array_equal(again[sure], images[sure])
    assert np.array_equal(again[..., -1], images[..., -1])


def test_a_premultiplied_picture_differs_between_two_grounds_by_the_share_of_the_ground() -> None:
    pictures = premultiplied(_noise(4)).astype(np.float64)
    colour, alpha = pictures[:, :-1], (pictures[:, -1:] + 1) / 2
    first, second = 0.7, -0.4
    difference = (colour + (1 - alpha) * first) - (colour + (1 - alpha) * second)
    assert difference == pytest.approx((1 - alpha) * (first - second) * np.ones_like(colour), abs=1e-12)
    # In levels, rounded.
    white, black = (on_ground(_noise(4), ground).astype(int) for ground in ("white", "black"))
    assert white - black == pytest.approx(255 - _noise(4)[..., -1:] * np.ones_like(white), abs=1)


@pytest.mark.parametrize("ground", LEVELS)
def test_networks_and_files_agree_on_what_a_ground_shows(ground: str) -> None:
    level = LEVELS[ground]  # type: ignore[index]
    pictures = premultiplied(_noise(4))
    expected = pictures[:, :-1] + (1 - (pictures[:, -1:] + 1) / 2) * (level / 127.5 - 1)
    seen = on_ground(straight(pictures), ground).astype(np.float64)  # type: ignore[arg-type]
    assert seen == pytest.approx(((expected + 1) * 127.5).transpose(0, 2, 3, 1), abs=3)  # 2 from what is faint, 1 from rounding


def test_transparent_is_the_ground_and_opaque_is_the_picture() -> None:
    images = _noise(4)
    images[..., -1] = 0
    assert (on_ground(images, "grey") == 128).all()
    images[..., -1] = 255
    assert np.array_equal(on_ground(images, "grey"), images[..., :3])
    assert on_ground(images[..., :3], "white") is not None
    opaque = images[..., :3]
    assert on_ground(opaque, "white") is opaque
    texture = _noise(3)
    images[..., -1] = 0
    assert np.array_equal(on_level(images, texture), texture)


def test_colour_goes_on_under_what_is_transparent() -> None:
    disc = with_bled_colour(_soft_disc((200, 40, 90)))
    assert (np.abs(disc[..., :3].astype(int) - (200, 40, 90)) <= 1).all()
    assert np.array_equal(disc[..., -1], _soft_disc((0, 0, 0))[..., -1])
    empty = with_bled_colour(np.zeros((1, 8, 8, 4), np.uint8))
    assert (empty[..., -1] == 0).all()


@pytest.mark.parametrize(("ground", "colour"), [("black", (240, 230, 220)), ("white", (15, 20, 30))])
def test_a_light_garment_on_black_and_a_dark_one_on_white_have_no_halo(ground: str, colour: tuple[int, int, int]) -> None:
    disc = _soft_disc(colour)
    share = disc[0, ..., -1:] / 255
    exact = share * np.array(colour) + (1 - share) * LEVELS[ground]  # type: ignore[index]
    edge = (share > 0) & (share < 1)
    seen = on_ground(straight(premultiplied(disc)), ground)[0]  # type: ignore[arg-type]
    assert np.abs(seen - exact).mean(where=edge) <= 0.6  # levels
    # Also when it is enlarged, as every browser and Pillow do it: with straight colour, channel by channel.
    twice = with_bled_colour(disc)[0].astype(np.float64).repeat(2, 0).repeat(2, 1)
    smooth = (twice + np.roll(twice, 1, 0) + np.roll(twice, 1, 1) + np.roll(twice, (1, 1), (0, 1))) / 4
    on = smooth[..., :3] * smooth[..., 3:] / 255 + (1 - smooth[..., 3:] / 255) * LEVELS[ground]  # type: ignore[index]
    low, high = sorted((min(colour), LEVELS[ground])), sorted((max(colour), LEVELS[ground]))  # type: ignore[index]
    assert on.min() >= low[0] - 1
    assert on.max() <= high[1] + 1
