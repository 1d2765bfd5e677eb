"""Masks of garments: on drawn pictures whose garment is known, and on the photographs."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.imaging.cut_outs import alpha_of, crop_beyond, cut_out, garment_window
from pipeline.imaging.garment_cutter import GarmentCutter
from pipeline.imaging.garment_masks import MASK_SIDE_PX, Pixels, border_colours, cielab, described, packed, tidied, unpacked


@pytest.fixture(scope="module")
def cutter() -> GarmentCutter:
    return GarmentCutter()


def _shirt(ground: tuple[int, int, int], cloth: tuple[int, int, int], side: int = 240) -> tuple[Pixels, Pixels]:
    """A picture (H, W, 3) of a shirt with noise, and its mask."""
    mask = np.zeros((side, side), np.uint8)
    outline = np.array(
        [(70, 50), (170, 50), (215, 100), (190, 120), (168, 100), (168, 200), (72, 200), (72, 100), (50, 120), (25, 100)]
    )
    cv2.fillPoly(mask, [outline * side // 240], 1)
    picture = np.where(mask[..., None] == 1, np.array(cloth), np.array(ground)) + np.random.default_rng(0).normal(
        0, 6, (side, side, 3)
    )
    return picture.clip(0, 255).astype(np.uint8), mask


def _iou(first: Pixels, second: Pixels) -> float:
    second = np.asarray(cv2.resize(second, first.shape[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
    return float((first & second).sum() / (first | second).sum())


@pytest.mark.parametrize("ground", [(240, 240, 240), (90, 60, 40), (30, 30, 60)])
def test_a_shirt_on_a_plain_ground_is_cut_out(cutter: GarmentCutter, ground: tuple[int, int, int]) -> None:
    picture, truth = _shirt(ground, (170, 40, 60))
    mask = cutter(picture)
    assert mask.pixels.shape == (MASK_SIDE_PX, MASK_SIDE_PX)
    assert _iou(mask.pixels, truth) > 0.93
    assert mask.coverage == pytest.approx(truth.mean(), rel=0.06)
    assert (mask.border_share, mask.pieces) == (0, 1)
    assert mask.confidence > 0.7


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (16, 9)])
def test_any_size_gives_a_mask(cutter: GarmentCutter, size: tuple[int, int]) -> None:
    mask = cutter(np.full((*size, 3), 200, np.uint8))
    assert max(mask.pixels.shape) == MASK_SIDE_PX
    assert 0 <= mask.confidence <= 1


def test_a_flat_picture_is_not_trusted(cutter: GarmentCutter) -> None:
    assert cutter(np.full((100, 80, 3), 128, np.uint8)).confidence < 0.6


def test_the_same_picture_gives_the_same_mask_after_others(cutter: GarmentCutter, photographs: list[Path]) -> None:
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in photographs[:3]]
    first = [cutter(picture) for picture in pictures]
    again = [cutter(picture) for picture in reversed(pictures)][::-1]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
        assert replace(one, pixels=other.pixels) == replace(other, pixels=other.pixels)


def test_nearly_all_photographs_are_cut_out_with_confidence(cutter: GarmentCutter, photographs: list[Path]) -> None:
    masks = [cutter(np.asarray(Image.open(path).convert("RGB"))) for path in photographs]
    assert np.mean([mask.confidence > 0.66 for mask in masks]) >= 0.85
    assert all(0.03 < mask.coverage < 0.9 for mask in masks)


def test_rare_colours_of_the_border_are_no_ground() -> None:
    picture = np.full((100, 100, 3), 255, np.uint8)
    picture[40:43, :10] = (200, 0, 0)  # a sleeve that touches the border
    colours = border_colours(cielab(picture))
    assert np.abs(colours - [100, 0, 0]).max() < 1


def test_tidying_drops_crumbs_and_fills_pinholes() -> None:
    mask = np.zeros((100, 100), np.uint8)
    mask[20:80, 20:80] = 1
    mask[45:48, 45:48] = 0
    mask[5:9, 5:9] = 1
    expected = np.zeros_like(mask)
    expected[20:80, 20:80] = 1
    np.testing.assert_array_equal(tidied(mask), expected)


def test_raggedness_of_a_disc_is_about_one_and_of_a_comb_is_more() -> None:
    disc = np.zeros((120, 120), np.uint8)
    cv2.circle(disc, (60, 60), 40, 1, -1)
    comb = np.zeros_like(disc)
    comb[20:100, 20:100:8] = comb[20:100, 21:100:8] = comb[20:30, 20:100] = 1
    lab = cielab(np.full((120, 120, 3), 128, np.uint8))
    even = np.zeros((120, 120), np.float32)
    round_one, ragged = (described(mask, lab, even).raggedness for mask in (disc, comb))
    assert round_one == pytest.approx(1, abs=0.1)
    assert ragged > 4


def test_packing_keeps_each_bit_within_two_kilobytes() -> None:
    noise = np.random.default_rng(0).integers(0, 2, (128, 96)).astype(np.uint8)
    np.testing.assert_array_equal(unpacked(packed(noise)), noise)
    picture, mask = _shirt((255, 255, 255), (0, 0, 0), side=128)
    assert picture.shape[:2] == mask.shape
    assert len(packed(mask)) < 600
    assert len(packed(noise)) < 2048


def test_alpha_follows_the_edge_of_the_picture() -> None:
    picture, truth = _shirt((250, 250, 250), (40, 40, 90), side=480)
    coarse = np.asarray(cv2.resize(truth, (60, 60), interpolation=cv2.INTER_AREA), np.uint8)
    alpha = alpha_of(coarse, picture)
    assert alpha.shape == truth.shape
    assert (alpha.min(), alpha.max()) == (0, 1)
    blocky = cv2.resize(coarse.astype(np.float32), truth.shape[::-1], interpolation=cv2.INTER_LINEAR)
    assert np.abs(alpha - truth).mean() < 0.7 * np.abs(blocky - truth).mean()


def test_no_rim_of_the_old_ground_is_left_on_a_new_one() -> None:
    picture, truth = _shirt((0, 255, 0), (120, 20, 20))
    mask = np.asarray(cv2.resize(truth, (128, 128), interpolation=cv2.INTER_AREA), np.uint8)
    pixels = np.asarray(cut_out(Image.fromarray(picture), mask)).astype(int)
    seen = pixels[..., 3] > 25
    greenness = pixels[..., 1] - pixels[..., 0]
    assert np.quantile(greenness[seen], 0.995) < 0


def test_the_window_is_centred_on_the_garment_and_may_leave_the_picture() -> None:
    mask = np.zeros((64, 128), np.uint8)
    mask[0:32, 0:32] = 1  # the upper left of a picture of 400 × 200
    left, top, right, bottom = garment_window(mask, (400, 200), aspect=1, share=0.5)
    assert (left + right, top + bottom) == (100, 100)
    assert (right - left, bottom - top) == (200, 200)
    window = crop_beyond(Image.new("RGB", (400, 200), "red"), (left, top, right, bottom), (1, 2, 3))
    assert window.size == (200, 200)
    assert (window.getpixel((0, 0)), window.getpixel((199, 199))) == ((1, 2, 3), (255, 0, 0))
