"""How much nearer pictures are to irrelevant words than to relevant ones, without training (zero-shot).

A picture's embedding is the mean of those of ImageNet's classes, weighted by their probabilities (ConSE, Norouzi et al. 2014),
in the space of the text encoder. A class's embedding is that of its name, averaged over the classes that look alike to the
network, because an encoder of sentences knows little of breeds of dogs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.words.domain import CLOTHING
from pipeline.words.encoder import text_encoder
from pipeline.words.prompts import checked_prompt

ROWS = 4096  # pictures at once
Rows = NDArray[np.float32]


@dataclass(frozen=True)
class ImageClasses:
    """The classes of a network: their names and its last layer."""

    names: list[str]
    weights: Rows  # (K, F)
    biases: Rows  # (K,)


@dataclass(frozen=True)
class WordSpace:
    """Where classes, and by them pictures, are compared with words."""

    classes: ImageClasses
    embeddings: Rows  # (K, E) of the classes, unit vectors
    centre: Rows  # (E,) of the encoder's embeddings of their names


@dataclass(frozen=True)
class WordRelevance:
    """Of N pictures."""

    irrelevance: Rows  # (N,) cosine with the nearest irrelevant words, less that with the nearest relevant ones
    nearest: NDArray[np.int64]  # (N,) which of the irrelevant words


def imagenet_classes() -> ImageClasses:
    """ImageNet's thousand classes, as EfficientNet-Lite0 tells them by the features that `inspect` stores."""
    from torchvision.models import EfficientNet_B0_Weights  # seconds, with torch

    from pipeline.imaging.efficientnet import pretrained_network

    last = pretrained_network()._fc
    names = EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"]
    return ImageClasses(names, last.weight.numpy(), last.bias.numpy())


def _unit(rows: Rows) -> Rows:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), np.float32(1e-6))


def class_probabilities(features: Rows, classes: ImageClasses) -> Rows:
    """Softmax (N, K) of the logits of pictures with `features` (N, F)."""
    logits = features @ classes.weights.T + classes.biases
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def smoothed_embeddings(embeddings: Rows, weights: Rows) -> Rows:
    """Unit vectors (K, E): `embeddings` (K, E) of classes' names, averaged by the cosines of their centred `weights` (K, F)."""
    looks = _unit(weights - weights.mean(axis=0))
    return _unit(looks @ (looks.T @ embeddings))


def word_space(classes: ImageClasses) -> WordSpace:
    """The space of `classes`; of a thousand in about 20 s. Raises InputError if the encoder is not installed."""
    named = text_encoder().embeddings(classes.names)
    centre = named.mean(axis=0)  # the encoder's own is of garments: seen from there, all other things lie in one direction
    return WordSpace(classes, smoothed_embeddings(_unit(named - centre), classes.weights), centre)


def word_relevance(
    features: NDArray[np.float16], space: WordSpace, irrelevant: Sequence[str], relevant: Sequence[str]
) -> WordRelevance:
    """How near pictures with `features` (N, F) are to both sides; without `relevant` words, to words about clothing.

    Raises InputError if a text cannot be read, or if the encoder is not installed.
    """
    sides = [[checked_prompt(text) for text in side] for side in (irrelevant, relevant or CLOTHING)]
    words = [_unit(text_encoder().embeddings(side) - space.centre) for side in sides]
    irrelevance, nearest = np.empty(len(features), np.float32), np.empty(len(features), np.int64)
    for start in range(0, len(features), ROWS):
        part = slice(start, start + ROWS)
        pictures = _unit(class_probabilities(features[part].astype(np.float32), space.classes) @ space.embeddings)
        unwanted = pictures @ words[0].T
        nearest[part] = unwanted.argmax(axis=1)
        irrelevance[part] = unwanted.max(axis=1) - (pictures @ words[1].T).max(axis=1)
    return WordRelevance(irrelevance, nearest)
