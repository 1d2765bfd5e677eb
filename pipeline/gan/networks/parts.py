"""Building blocks of all networks: channel widths, condition embedding, truncation, minibatch deviation."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.gan.alpha import premultiply
from pipeline.storage.arrays import has_alpha

USUAL_TEXTS = "usual_texts"  # a generator's buffer
SLOPE = 0.2  # negative slope of every leaky ReLU
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


@dataclass(frozen=True)
class PictureShape:
    """Shape of the images."""

    height: int
    width: int
    channels: int  # 2 and 4: with alpha


def channels_by_level(width: int, max_width: int, doublings: int) -> list[int]:
    """Channels of the feature maps, from the coarsest to half the image's side; they halve when the side doubles."""
    return [min(max_width, width * 2**level) for level in reversed(range(doublings))]


def known_labels(labels: Tensor, categories: int) -> Tensor:
    """`labels` (N,) or shares of categories (N, C). A network with one category is unconditional: label 0, or share 1."""
    if categories > 1:
        return labels
    return labels.new_ones(len(labels), 1) if labels.is_floating_point() else torch.zeros_like(labels)


def rows_of(table: Tensor, labels: Tensor) -> Tensor:
    """Rows (N, D) of `table` (C, D) for labels (N,), or its rows weighted by shares of categories (N, C)."""
    labels = known_labels(labels, len(table))
    return labels @ table if labels.is_floating_point() else functional.embedding(labels, table)


@dataclass(frozen=True)
class Entries:
    """Which entries of a tensor belong to the categories or attributes, one each: those of `axis` from `first` on.

    Modules with such tensors have `category_entries` and `attribute_entries`, by the tensors' names.
    """

    axis: int = 0
    first: int = 0
    learnt: bool = True  # not a statistic of what the network draws


class ConditionEmbedding(nn.Embedding):
    """An embedding (N, D) of the label, plus the sum of the embeddings of the attributes that are set."""

    category_entries: ClassVar = {"weight": Entries()}
    attribute_entries: ClassVar = {"of_attributes": Entries()}

    def __init__(self, categories: int, dim: int, attributes: int) -> None:
        super().__init__(categories, dim)
        self.of_attributes = nn.Parameter(torch.randn(attributes, dim)) if attributes else None

    def forward(self, labels: Tensor, attributes: Tensor | None = None) -> Tensor:
        condition = rows_of(self.weight, labels)
        if self.of_attributes is None or attributes is None:
            return condition
        return condition + attributes @ self.of_attributes


@dataclass(frozen=True)
class RandomInputs:
    """What a generator takes at random for one training batch, besides the latents."""

    other_latents: Tensor  # (N, D); layers from the crossover on use their styles
    crossovers: Tensor  # (N,)
    noises: tuple[Tensor, ...]  # (N, 1, H, W) per layer

    def select(self, rows: slice) -> "RandomInputs":
        """The inputs of some rows of the batch."""
        return RandomInputs(self.other_latents[rows], self.crossovers[rows], tuple(noise[rows] for noise in self.noises))


def bounded(maps: Tensor) -> Tensor:
    """Images in [-1, 1] from the last layer's `maps` NCHW, by tanh; with alpha, their colour is multiplied by it.

    So no colour is stronger than its alpha, and images stay in range on any ground.
    """
    images = torch.tanh(maps)
    return premultiply(images) if has_alpha(maps.shape[1]) else images


class Generator(nn.Module):
    """Base class of the generators. In `eval` mode latents are truncated: scaled towards their mean, 0, by `truncation`.

    In `eval` mode `forward` also takes shares of categories (N, C) for labels, and a latent for each style layer (N, L, D).

    Truncation trades variety for fidelity; Brock et al. 2019, section 3.1, who cut the tails where this shrinks the deviation.
    """

    usual_texts: Tensor | None

    def __init__(self, truncation: float, style_layers: int = 1) -> None:
        super().__init__()
        self.truncation = truncation
        self.style_layers = style_layers  # L; 1 if latents enter once
        self.register_buffer(USUAL_TEXTS, None)

    def expect_texts(self, usual: Tensor) -> None:
        """Draw by texts; `usual` (C, E) are those of categories of which nothing else is said, as in training."""
        self.usual_texts = usual

    def complete(self, labels: Tensor, attributes: Tensor | None) -> Tensor | None:
        """Attributes (N, A) or texts (N, E) for `forward` from what is asked for; labels may be shares of categories (N, C).

        A text is a unit vector times a strength s, and its category's usual text has 1 - s of the say: 0 draws the category as
        it comes, and 2 exaggerates what is special. Such extrapolation is that of classifier-free guidance, Ho & Salimans 2022,
        but of the condition.
        """
        if self.usual_texts is None:
            return attributes
        usual = rows_of(self.usual_texts, labels)
        if attributes is None:
            return usual
        strength = torch.linalg.vector_norm(attributes, dim=1, keepdim=True)
        return attributes + (1 - strength) * usual

    def draw(self, latents: Tensor, labels: Tensor, asked: Tensor | None = None) -> Tensor:
        """Images NCHW of latents (N, D) and labels (N,), and of the attributes or texts `asked` for, after `complete`."""
        pictures: Tensor = self(latents, labels, self.complete(labels, asked))
        return pictures

    def truncate(self, latents: Tensor) -> Tensor:
        """The truncated latents in `eval` mode, the latents themselves in training."""
        return latents if self.training or self.truncation == 1 else latents * self.truncation

    def random_inputs(self, count: int, rng: torch.Generator) -> RandomInputs | None:  # noqa: ARG002
        """Random inputs of `count` training images besides latents, the last input of `forward`; None if it takes none."""
        return None

    def early_layers(self, latents: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (N, O) of the layers that latents (N, D) enter first, and an early activation (N, F)."""
        raise NotImplementedError

    def images_and_styles(
        self, latents: Tensor, labels: Tensor, attributes: Tensor | None, drawn: RandomInputs | None
    ) -> tuple[Tensor, Tensor]:
        """Images NCHW and their styles (N, L, D), for networks that have styles."""
        raise NotImplementedError


def minibatch_deviation(features: Tensor, group: int) -> Tensor:
    """Standard deviation of each channel of (N, H, W, C) over `group` neighbours in the batch, averaged over positions, (N, C).

    Karras et al. 2018 (progressive growing), section 3, but per channel. N is a multiple of `group`.
    """
    grouped = features.float().unflatten(0, (-1, group))  # (N / group, group, H, W, C)
    centred = grouped - grouped.mean(dim=1, keepdim=True)
    deviation = (centred.square().mean(dim=1) + 1e-8).sqrt().mean(dim=(1, 2))  # five times as fast as var()
    return deviation.repeat_interleave(group, dim=0)
