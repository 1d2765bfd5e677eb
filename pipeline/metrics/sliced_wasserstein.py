"""Sliced Wasserstein distance of image patches: a cheap distance between samples and real images, without a network."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

PATCH_PX = 7
PATCHES_PER_IMAGE = 32
DIRECTIONS = 128
COARSEST_SIDE_PX = 16  # of the pyramid


def laplacian_pyramid(images: Tensor) -> list[Tensor]:
    """The detail of `images` (N, C, H, W) lost by each halving, finest first, then the coarsest image; Burt & Adelson 1983."""
    levels = []
    while min(images.shape[2:]) >= 2 * COARSEST_SIDE_PX:
        smaller = functional.avg_pool2d(images, 2)
        levels.append(images - functional.interpolate(smaller, images.shape[2:], mode="nearest"))
        images = smaller
    return [*levels, images]


def _patches(images: Tensor, generator: torch.Generator) -> Tensor:
    """Random patches (N · PATCHES_PER_IMAGE, C, PATCH_PX, PATCH_PX), each channel normalised to mean 0 and deviation 1."""
    windows = images.unfold(2, PATCH_PX, 1).unfold(3, PATCH_PX, 1)  # (N, C, rows, columns, PATCH_PX, PATCH_PX)
    count = len(images) * PATCHES_PER_IMAGE
    image_rows = torch.arange(len(images)).repeat_interleave(PATCHES_PER_IMAGE)
    rows = torch.randint(windows.shape[2], (count,), generator=generator)
    columns = torch.randint(windows.shape[3], (count,), generator=generator)
    patches = windows[image_rows, :, rows, columns]
    centred = patches - patches.mean(dim=(0, 2, 3), keepdim=True)
    return centred / centred.std(dim=(0, 2, 3), keepdim=True).clamp(min=1e-8)


def sliced_wasserstein_of_points(first: Tensor, second: Tensor, generator: torch.Generator) -> float:
    """Mean Wasserstein-1 distance between points (N, D) projected on random directions; Rabin et al. 2012."""
    directions = functional.normalize(torch.randn(first.shape[1], DIRECTIONS, generator=generator), dim=0)
    projected = [(points @ directions).sort(dim=0).values for points in (first, second)]
    return (projected[0] - projected[1]).abs().mean().item()


def sliced_wasserstein(real: NDArray[np.uint8], fake: NDArray[np.uint8], seed: int) -> float:
    """Distance between equally many images (N, H, W, C), averaged over a Laplacian pyramid; Karras et al. 2018, section 5.

    Both sets are cut into 7×7 patches at the same random positions. Use it only to compare generators of one run.
    """
    distances = []
    pyramids = [laplacian_pyramid(torch.from_numpy(images).permute(0, 3, 1, 2).float()) for images in (real, fake)]
    for number, levels in enumerate(zip(*pyramids, strict=True)):
        real_patches, fake_patches = (
            _patches(level, torch.Generator().manual_seed(seed + number)).flatten(1) for level in levels
        )
        generator = torch.Generator().manual_seed(seed + number)
        distances.append(sliced_wasserstein_of_points(real_patches, fake_patches, generator))
    return float(np.mean(distances))
