"""Perceptual path length: how far features move when the latent moves a little (Karras et al. 2019, section 4.1)."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.inference.latents import draw_latents, slerp
from pipeline.metrics.extractors import BATCH, Extractor

# The step along the path. Karras et al. use 1e-4, which is too small for float32 features: rounding dominates.
STEP = 1e-3
TRIMMED_PERCENT = 1.0  # at both ends, as in the paper


def path_steps(seed: int, count: int, dim: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two arrays of latents (N, D), STEP apart, at random positions on paths between random latents."""
    ends = draw_latents(seed, 2 * count, dim)
    share = np.random.default_rng([seed, 1]).random((count, 1))
    first, second = ends[:count], ends[count:]
    return slerp(first, second, share), slerp(first, second, share + STEP)


@torch.inference_mode()
def _generate_pairs(
    generator: nn.Module, steps: tuple[NDArray[np.float32], NDArray[np.float32]], labels: NDArray[np.int64]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of the images at both ends of the steps, NCHW float32 in [0, 255]; rounded to bytes they would be equal."""
    device = next(generator.parameters()).device
    generator.eval()
    for start in range(0, len(labels), BATCH):
        rows = slice(start, start + BATCH)
        batch_labels = torch.from_numpy(labels[rows]).to(device)
        pair = (generator(torch.from_numpy(latents[rows]).to(device), batch_labels).float() for latents in steps)
        before, after = ((images.clamp(-1, 1) + 1) * 127.5 for images in pair)
        yield before, after


def path_lengths(
    generator: nn.Module, extractors: Sequence[Extractor], labels: NDArray[np.int64], dim: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """|f(G(z')) - f(G(z))|² / STEP² by extractor, for one path per label of `labels` (N,), without the extremes."""
    lengths: dict[str, list[NDArray[np.float64]]] = {extractor.name: [] for extractor in extractors}
    for before, after in _generate_pairs(generator, path_steps(seed, len(labels), dim), labels):
        for extractor in extractors:
            moved = extractor.extract(after).astype(np.float64) - extractor.extract(before)
            lengths[extractor.name].append((moved**2).sum(axis=1) / STEP**2)
    return {name: _trim(np.concatenate(parts)) for name, parts in lengths.items()}


def _trim(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = np.percentile(lengths, [TRIMMED_PERCENT, 100 - TRIMMED_PERCENT])
    return lengths[(lengths >= low) & (lengths <= high)]
