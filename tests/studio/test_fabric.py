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


@pytest.mark.parametrize("name", ["ikat", "tartan"])
def test_a_garment_on_a_contrasting_ground_gets_the_means_and_covariance_of_the_fabric(name: str) -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((64, 64), np.float32)
    mask[8:56, 20:44] = 1
    folds = 0.06 * rng.standard_normal((64, 64, 1)) * np.array([1, 0.8, 0.8])
    red = np.array([0.7, 0.25, 0.25]) + folds + 0.02 * rng.standard_normal((64, 64, 3))
    garment = np.where(mask[..., None] > 0, red, np.array([0.2, 0.3, 0.9])).astype(np.float32)
    fabric = pattern(name, 64).astype(np.float32) / np.float32(255)
    inside = with_statistics(garment, fabric, mask)[mask > 0.5]
    wanted = fabric.reshape(-1, 3)
    assert np.allclose(inside.mean(axis=0), wanted.mean(axis=0), atol=0.02)
    assert np.allclose(np.cov(inside.T), np.cov(wanted.T), atol=0.1 * np.cov(wanted.T).max())


def test_outside_the_mask_nothing_changes() -> None:
    garment, fabric = np.zeros((4, 4, 3), np.float32), np.ones((4, 4, 3), np.float32)
    mask = np.zeros((4, 4), np.float32)
    mask[1, 1] = 1
    assert laid_over(fabric, garment, mask).sum() == 3
