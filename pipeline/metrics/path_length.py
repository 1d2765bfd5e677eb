"""Perceptual path length: how far pictures move, by features, when their latent moves a little (Karras et al. 2019, 4.1)."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.inference.latents import draw_latents
from pipeline.metrics.extractors import BATCH, Extractor

# The step along the path. Karras et al. take 1e-4: too little for features in single precision, whose last digits it meets.
STEP = 1e-3
TRIMMED_PERCENT = 1.0  # at both ends, as they do


def on_the_way(first: NDArray[np.float32], second: NDArray[np.float32], share: NDArray[np.float64]) -> NDArray[np.float32]:
    """Latents (N, D) at `share` (N,) of the great circle from `first` to `second` (N, D); White 2016, slerp."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    angle = np.arccos(np.clip((first.astype(np.float64) * second).sum(axis=1) / lengths, -1, 1))
    weights = np.sin((1 - share) * angle) / np.sin(angle), np.sin(share * angle) / np.sin(angle)
    return (weights[0][:, None] * first + weights[1][:, None] * second).astype(np.float32)


def steps_of(seed: int, count: int, dim: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two latents (N, D) each, STEP apart on paths between random latents, at random places of these."""
    ends = draw_latents(seed, 2 * count, dim)
    share = np.random.default_rng([seed, 1]).random(count)
    first, second = ends[:count], ends[count:]
    return on_the_way(first, second, share), on_the_way(first, second, share + STEP)


@torch.inference_mode()
def _drawn(
    generator: nn.Module, steps: tuple[NDArray[np.float32], NDArray[np.float32]], labels: NDArray[np.int64]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of the pictures at both ends of the steps, NCHW float32 in [0, 255]; as bytes they would not differ."""
    device = next(generator.parameters()).device
    generator.eval()
    for start in range(0, len(labels), BATCH):
        here = slice(start, start + BATCH)
        asked = torch.from_numpy(labels[here]).to(device)
        pair = (generator(torch.from_numpy(latents[here]).to(device), asked).float() for latents in steps)
        before, after = ((pictures.clamp(-1, 1) + 1) * 127.5 for pictures in pair)
        yield before, after


def path_lengths(
    generator: nn.Module, extractors: Sequence[Extractor], labels: NDArray[np.int64], dim: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """For each extractor |f(G(z')) - f(G(z))|² / STEP² on a path for each of `labels` (N,), without the extremes."""
    lengths: dict[str, list[NDArray[np.float64]]] = {extractor.name: [] for extractor in extractors}
    for before, after in _drawn(generator, steps_of(seed, len(labels), dim), labels):
        for extractor in extractors:
            moved = extractor.of_pictures(after).astype(np.float64) - extractor.of_pictures(before)
            lengths[extractor.name].append((moved**2).sum(axis=1) / STEP**2)
    return {name: _trimmed(np.concatenate(parts)) for name, parts in lengths.items()}


def _trimmed(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = np.percentile(lengths, [TRIMMED_PERCENT, 100 - TRIMMED_PERCENT])
    return lengths[(lengths >= low) & (lengths <= high)]
