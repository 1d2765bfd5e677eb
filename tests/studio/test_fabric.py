"""Bundled patterns, and the ways to dress a garment that need no network."""

import numpy as np
import pytest

from studio.fabric import laid_over, printed, with_statistics
from studio.patterns import PATTERNS, pattern


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_uses_its_colours_and_is_always_the_same(name: str) -> None:
    fabric = pattern(name, 96)
    palette = np.array(PATTERNS[name][2])
    assert fabric.shape == (96, 96, 3)
    assert np.array_equal(fabric, pattern(name, 96))
    assert fabric.min() >= palette.min()
    assert fabric.max() <= palette.max()
    used = [bool((np.abs(fabric.astype(int) - colour).max(axis=-1) <= 1).any()) for colour in palette]
    assert sum(used) >= 2


def test_stripes_and_gingham_are_what_their_formulas_say() -> None:
    breton = pattern("breton", 90)
    assert (breton == breton[:, :1]).all()
    white, one, two = (np.array(colour) for colour in PATTERNS["gingham"][2])
    shares = [(pattern("gingham", 80) == colour).all(axis=-1).mean() for colour in (white, one, two)]
    assert shares == pytest.approx([0.25, 0.5, 0.25])


def test_a_print_on_a_flat_garment_is_the_fabric() -> None:
    fabric = pattern("tartan", 32).astype(np.float32) / np.float32(255)
    flat = np.full((32, 32, 3), 0.6, np.float32)
    assert np.allclose(printed(flat, fabric, np.ones((32, 32), np.float32)), fabric, atol=1e-6)


def test_folds_show_through_a_print() -> None:
    garment = np.full((32, 32, 3), 0.6, np.float32)
    garment[:, :16] = 0.3
    fabric = np.full((32, 32, 3), 0.5, np.float32)
    dressed = printed(garment, fabric, np.ones((32, 32), np.float32))
    assert dressed[0, 0, 0] < dressed[0, 31, 0]


def test_matched_statistics_are_the_fabrics_under_the_mask() -> None:
    rng = np.random.default_rng(0)
    garment = np.clip(0.5 + 0.1 * rng.standard_normal((64, 64, 3)), 0, 1).astype(np.float32)
    fabric = pattern("ikat", 64).astype(np.float32) / np.float32(255)
    mask = np.zeros((64, 64), np.float32)
    mask[8:56, 8:56] = 1
    inside = with_statistics(garment, fabric, mask)[mask > 0.5]
    assert np.allclose(inside.mean(axis=0), fabric.mean(axis=(0, 1)), atol=0.02)
    assert np.allclose(inside.std(axis=0), fabric.std(axis=(0, 1)), atol=0.02)


def test_outside_the_mask_nothing_changes() -> None:
    garment, fabric = np.zeros((4, 4, 3), np.float32), np.ones((4, 4, 3), np.float32)
    mask = np.zeros((4, 4), np.float32)
    mask[1, 1] = 1
    assert laid_over(fabric, garment, mask).sum() == 3
