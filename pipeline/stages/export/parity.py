"""Differences between the pictures of an exported generator and torch's, in pixels and in classifier features."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.gan.networks.parts import Generator
from pipeline.inference.latents import draw_latents, labels_in_shares
from pipeline.inference.onnx_generator import OnnxGenerator, OnnxJudge, as_images
from pipeline.inference.transparency import Ground, on_ground
from pipeline.metrics.classifier import Classifier, cpu_threads
from pipeline.metrics.frechet import frechet_distance_of_features

SEED = 0
FD_SAMPLES = 1000  # few are enough, because every precision draws the same latents
FD_DIGITS = 3
TORCH_BATCH = 50


@dataclass(frozen=True)
class Parity:
    """Differences of one exported graph from torch."""

    max_difference: float  # of a pixel in [-1, 1]
    mean_difference: float  # absolute, of pixels in [-1, 1]
    fd_classifier: float  # between FD_SAMPLES samples and the real test pictures


def sampled_labels(count: int, shares: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Labels (N,): one of each category, so that the first few have them all, then their `shares` (C,) in random order."""
    in_shares = np.random.default_rng(SEED).permutation(labels_in_shares(count - len(shares), shares))
    return np.concatenate([np.arange(len(shares)), in_shares])


# From a seed and N, what the generator takes besides latents and labels: rows (N, …) by the name of the input.
DrawCondition = Callable[[int, int], dict[str, NDArray[np.float32]]]


class Parities:
    """Compares exported graphs with `generator`, on one thread: how threads split sums changes the last bits."""

    def __init__(
        self,
        generator: Generator,
        classifier: Classifier,
        test_features: NDArray[np.float32],
        *,
        latent_dim: int,
        shares: NDArray[np.floating[Any]],
        check_latents: int,
        condition: DrawCondition,
        ground: Ground | None = None,
    ) -> None:
        """`test_features` (N, 128) are the classifier's features of the real test pictures, on `ground` if they have alpha.

        Samples have the `shares` (C,) of the test pictures' categories, as in evaluate.
        """
        count = max(check_latents, FD_SAMPLES)
        self._latents = draw_latents(SEED, count, latent_dim)
        self._labels = sampled_labels(count, shares)
        self._condition = condition(SEED, count)
        self._checked = check_latents
        self._classifier, self._ground = classifier, ground
        self._test_features = test_features
        self._expected = self._of_torch(generator)

    def _of_torch(self, generator: Generator) -> NDArray[np.float32]:
        latents, labels = self._latents[: self._checked], self._labels[: self._checked]
        with torch.inference_mode(), cpu_threads(1):
            parts = [slice(start, start + TORCH_BATCH) for start in range(0, self._checked, TORCH_BATCH)]
            inputs: list[NDArray[Any]] = [latents, labels]
            inputs += [rows[: self._checked] for rows in self._condition.values()]
            drawn = [generator.draw(*(torch.from_numpy(rows[part]) for rows in inputs)).numpy() for part in parts]
        return np.concatenate(drawn)

    def of(self, model: bytes) -> Parity:
        """The parity of the graph `model`; NaN if its pictures are not finite."""
        pictures = OnnxGenerator(model, threads=1).pictures(self._latents, self._labels, **self._condition)
        difference = np.abs(pictures[: self._checked] - self._expected)
        if not np.isfinite(pictures).all():
            return Parity(math.nan, math.nan, math.nan)
        with cpu_threads(1):
            images = as_images(pictures[:FD_SAMPLES])
            features = self._classifier.features(images if self._ground is None else on_ground(images, self._ground))
        distance = frechet_distance_of_features(self._test_features, features)
        return Parity(float(difference.max()), float(difference.mean()), round(distance, FD_DIGITS))


def judge_difference(classifier: Classifier, judge: bytes, pictures: NDArray[np.uint8], ground: Ground | None) -> float:
    """Largest absolute difference between torch's probabilities and those of the graph `judge` for `pictures` (N, H, W, C)."""
    with cpu_threads(1):
        expected = classifier.probabilities(pictures if ground is None else on_ground(pictures, ground))
    return float(np.abs(softmax(OnnxJudge(judge, threads=1).scores(pictures), axis=1) - expected).max())


def rounded_up(value: float) -> float:
    """`value` rounded up to one digit, so that it is the same on every machine."""
    step = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return float(f"{math.ceil(value / step) * step:.0e}")
