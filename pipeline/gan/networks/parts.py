"""What the networks of every family are made of: the sizes of their maps, conditions, truncation, the minibatch deviation."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

SLOPE = 0.2  # of the leaky rectifiers
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


@dataclass(frozen=True)
class PictureShape:
    """What a generator draws."""

    height: int
    width: int
    channels: int


def channels_by_level(width: int, max_width: int, doublings: int) -> list[int]:
    """Channels of the feature maps, from the coarsest to half the picture's side; they halve as the side doubles."""
    return [min(max_width, width * 2**level) for level in reversed(range(doublings))]


def known_labels(labels: Tensor, categories: int) -> Tensor:
    """`labels` (N,) as a network of so many categories knows them: one of a single category, unconditional, takes any."""
    return labels if categories > 1 else torch.zeros_like(labels)


class ConditionEmbedding(nn.Embedding):
    """A vector (N, D) of each label, plus those of the attributes that are set; with none set the label's alone."""

    def __init__(self, categories: int, dim: int, attributes: int) -> None:
        super().__init__(categories, dim)
        self.of_attributes = nn.Parameter(torch.randn(attributes, dim)) if attributes else None

    def forward(self, labels: Tensor, attributes: Tensor | None = None) -> Tensor:
        condition = super().forward(known_labels(labels, self.num_embeddings))
        if self.of_attributes is None or attributes is None:
            return condition
        return condition + attributes @ self.of_attributes


@dataclass(frozen=True)
class RandomInputs:
    """What a generator takes at random for one training batch, besides the latents."""

    other_latents: Tensor  # (N, D), whose styles the layers from the crossover on see
    crossovers: Tensor  # (N,)
    noises: tuple[Tensor, ...]  # (N, 1, H, W), a layer each

    def select(self, rows: slice) -> "RandomInputs":
        """The inputs of some rows of the batch."""
        return RandomInputs(self.other_latents[rows], self.crossovers[rows], tuple(noise[rows] for noise in self.noises))


class Generator(nn.Module):
    """Base of the generators: outside training it takes latents pulled towards their mean, 0, by the factor `truncation`.

    Fewer unlikely pictures for fewer kinds of them; Brock et al. 2019, section 3.1, with a smaller deviation for a cut tail.
    """

    def __init__(self, truncation: float) -> None:
        super().__init__()
        self.truncation = truncation

    def truncate(self, latents: Tensor) -> Tensor:
        """`latents` as the layers see them."""
        return latents if self.training or self.truncation == 1 else latents * self.truncation

    def random_inputs(self, count: int, random: torch.Generator) -> RandomInputs | None:  # noqa: ARG002
        """What `count` pictures want in training beside latents, the last input of `forward`; None where it takes nothing."""
        return None

    def images_and_styles(
        self, latents: Tensor, labels: Tensor, attributes: Tensor | None, drawn: RandomInputs | None
    ) -> tuple[Tensor, Tensor]:
        """Pictures NCHW and the styles (N, L, D) they were drawn from, where the network has styles."""
        raise NotImplementedError


def minibatch_deviation(features: Tensor, group: int) -> Tensor:
    """Standard deviation of each channel of (N, H, W, C) over `group` neighbours in the batch, averaged over places, (N, C).

    Karras et al. 2018 (progressive growing), section 3, kept apart by channel. N is a multiple of `group`.
    """
    grouped = features.float().unflatten(0, (-1, group))  # (N / group, group, H, W, C)
    centred = grouped - grouped.mean(dim=1, keepdim=True)
    deviation = (centred.square().mean(dim=1) + 1e-8).sqrt().mean(dim=(1, 2))  # var() takes five times as long
    return deviation.repeat_interleave(group, dim=0)
