"""The sliced Wasserstein distance in closed form, and its order on blobs and noise."""

import numpy as np
import pytest
import torch

from pipeline.metrics.sliced_wasserstein import laplacian_pyramid, sliced_wasserstein, sliced_wasserstein_of_points


def _pictures(seed: int, side: int = 32) -> np.ndarray:
    """64 images (H, W, 1), each a Gaussian blob of random size and position."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    places, sizes = rng.uniform(8, 24, (64, 2, 1, 1)), rng.uniform(3, 9, (64, 1, 1))
    blobs = np.exp(-((x - places[:, 0]) ** 2 + (y - places[:, 1]) ** 2) / (2 * sizes**2))
    return (blobs * 255).astype(np.uint8)[..., None]


def test_distance_to_a_shifted_copy_is_the_shift() -> None:
    points = torch.randn(500, 1, generator=torch.Generator().manual_seed(0))
    # In one dimension every direction is 1 or -1.
    assert sliced_wasserstein_of_points(points, points + 3, torch.Generator().manual_seed(1)) == pytest.approx(3, rel=1e-5)
    assert sliced_wasserstein_of_points(points, points[torch.randperm(500)], torch.Generator()) == pytest.approx(0, abs=1e-6)


def test_laplacian_pyramid_reconstructs_the_images() -> None:
    images = torch.rand(2, 1, 64, 64)
    finest, middle, coarse = laplacian_pyramid(images)
    half = middle + coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(finest + half.repeat_interleave(2, 2).repeat_interleave(2, 3), images, atol=1e-6)


def test_noise_is_more_distant_than_other_blobs() -> None:
    real, others = _pictures(0), _pictures(1)
    noise = np.random.default_rng(0).integers(0, 256, real.shape, dtype=np.uint8)
    assert sliced_wasserstein(real, real, 0) == 0
    assert sliced_wasserstein(real, others, 0) < sliced_wasserstein(real, noise, 0) / 2
    assert sliced_wasserstein(real, others, 0) == sliced_wasserstein(real, others, 0)


def test_constant_images_have_a_finite_distance() -> None:
    flat = np.zeros((4, 32, 32, 1), dtype=np.uint8)
    assert np.isfinite(sliced_wasserstein(flat, _pictures(0)[:4], 0))
