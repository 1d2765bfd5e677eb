"""Sliced Wasserstein distance: closed forms, and what it tells apart."""

import numpy as np
import pytest
import torch

from pipeline.metrics.sliced_wasserstein import laplacian_pyramid, sliced_wasserstein, sliced_wasserstein_of_points


def _pictures(seed: int, side: int = 32) -> np.ndarray:
    """Smooth blobs, of a size and place of their own each."""
    numbers = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    places, sizes = numbers.uniform(8, 24, (64, 2, 1, 1)), numbers.uniform(3, 9, (64, 1, 1))
    blobs = np.exp(-((x - places[:, 0]) ** 2 + (y - places[:, 1]) ** 2) / (2 * sizes**2))
    return (blobs * 255).astype(np.uint8)[..., None]


def test_a_shift_is_as_far_as_its_mean_projection() -> None:
    points = torch.randn(500, 1, generator=torch.Generator().manual_seed(0))
    # In one dimension every direction is 1 or -1, and the distance of a shifted copy is the shift.
    assert sliced_wasserstein_of_points(points, points + 3, torch.Generator().manual_seed(1)) == pytest.approx(3, rel=1e-5)
    assert sliced_wasserstein_of_points(points, points[torch.randperm(500)], torch.Generator()) == pytest.approx(0, abs=1e-6)


def test_the_pyramid_loses_nothing() -> None:
    pictures = torch.rand(2, 1, 64, 64)
    finest, middle, coarse = laplacian_pyramid(pictures)
    half = middle + coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(finest + half.repeat_interleave(2, 2).repeat_interleave(2, 3), pictures, atol=1e-6)


def test_noise_is_further_than_other_pictures_of_the_kind() -> None:
    real, alike = _pictures(0), _pictures(1)
    noise = np.random.default_rng(0).integers(0, 256, real.shape, dtype=np.uint8)
    assert sliced_wasserstein(real, real, 0) == 0
    assert sliced_wasserstein(real, alike, 0) < sliced_wasserstein(real, noise, 0) / 2
    assert sliced_wasserstein(real, alike, 0) == sliced_wasserstein(real, alike, 0)


def test_flat_pictures_have_a_distance() -> None:
    flat = np.zeros((4, 32, 32, 1), dtype=np.uint8)
    assert np.isfinite(sliced_wasserstein(flat, _pictures(0)[:4], 0))
