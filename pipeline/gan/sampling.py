"""Images from a generator, and the conversion between uint8 and the networks' range."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.gan.alpha import as_layer, composite, premultiply
from pipeline.gan.networks.parts import Generator
from pipeline.inference.transparency import Ground, straight, unit_level
from pipeline.storage.arrays import has_alpha


def to_float(images: Tensor) -> Tensor:
    """uint8 images as float32 in [-1, 1]."""
    return images.float() / 127.5 - 1


def to_pictures(images: Tensor) -> Tensor:
    """uint8 images NCHW as the networks take them: float32 in [-1, 1], with alpha premultiplied."""
    return premultiply(to_float(images)) if has_alpha(images.shape[1]) else to_float(images)


def to_uint8(pictures: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8, rounded and clipped."""
    return ((pictures.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


class OfCategories(nn.Module):
    """A generator that is asked for categories alone, on a plain ground if it has alpha: for what measures pictures."""

    def __init__(self, generator: Generator, ground: Ground | None) -> None:
        super().__init__()
        self.generator, self.level = generator, None if ground is None else unit_level(ground)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Images NCHW in [-1, 1] of latents (N, D) and labels (N,)."""
        pictures = self.generator.draw(latents, labels)
        return pictures if self.level is None else composite(as_layer(pictures), self.level)


@torch.inference_mode()
def generate_images(
    generator: Generator,
    latents: NDArray[np.float32],
    labels: NDArray[np.int64],
    batch: int = 250,
    attributes: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    """uint8 images (N, H, W, C) of `latents` (N, D), `labels` (N,) and `attributes` (N, A) or texts (N, E), by `batch`.

    They are drawn in `eval` mode. Those with alpha have straight colour.
    """
    device = next(generator.parameters()).device
    generator.eval()
    drawn = []
    for start in range(0, len(latents), batch):
        here = slice(start, start + batch)
        inputs = [latents[here], labels[here], *([] if attributes is None else [attributes[here]])]
        pictures = generator.draw(*(torch.from_numpy(rows).to(device) for rows in inputs))
        if has_alpha(pictures.shape[1]):
            drawn.append(straight(pictures.float().cpu().numpy()))
        else:
            drawn.append(to_uint8(pictures).permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(drawn)
