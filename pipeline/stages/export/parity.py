"""How far the pictures of an exported generator are from torch's, by pixels and as the classifier sees them."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.inference.latents import draw_latents
from pipeline.inference.onnx_generator import OnnxGenerator, OnnxJudge, as_images
from pipeline.metrics.classifier import Classifier, cpu_threads, softmax
from pipeline.metrics.frechet import frechet_distance_of_features

SEED = 0
FD_SAMPLES = 1000  # of the same latents in every precision, so that few will do: their chance is the same
FD_DIGITS = 3
TORCH_BATCH = 50


@dataclass(frozen=True)
class Parity:
    """How far one exported graph is from torch."""

    max_difference: float  # of a pixel in [-1, 1]
    mean_difference: float  # absolute, of pixels in [-1, 1]
    fd_classifier: float  # of FD_SAMPLES from the real test pictures


class Parities:
    """Measures exported graphs against `generator`, on one thread: how sums are split among threads changes their last bits."""

    def __init__(
        self,
        generator: nn.Module,
        classifier: Classifier,
        of_test: NDArray[np.float32],
        *,
        latent_dim: int,
        categories: int,
        check_latents: int,
        attributes: int = 0,
    ) -> None:
        """`of_test` are the classifier's features (N, 128) of the real test pictures."""
        count = max(check_latents, FD_SAMPLES)
        self._latents = draw_latents(SEED, count, latent_dim)
        self._labels = np.arange(count, dtype=np.int64) % categories  # every category in any first few
        chance = np.random.default_rng(SEED).random((count, attributes))
        self._attributes = (chance < 0.5).astype(np.float32) if attributes else None
        self._checked = check_latents
        self._classifier = classifier
        self._of_test = of_test
        self._expected = self._of_torch(generator)

    def _of_torch(self, generator: nn.Module) -> NDArray[np.float32]:
        latents, labels = self._latents[: self._checked], self._labels[: self._checked]
        with torch.inference_mode(), cpu_threads(1):
            parts = [slice(start, start + TORCH_BATCH) for start in range(0, self._checked, TORCH_BATCH)]
            inputs: list[NDArray[Any]] = [latents, labels]
            if self._attributes is not None:
                inputs.append(self._attributes[: self._checked])
            drawn = [generator(*(torch.from_numpy(rows[part]) for rows in inputs)).numpy() for part in parts]
        return np.concatenate(drawn)

    def of(self, model: bytes) -> Parity:
        """The parity of the graph `model`; not a number where its pictures are none."""
        pictures = OnnxGenerator(model, threads=1).pictures(self._latents, self._labels, self._attributes)
        difference = np.abs(pictures[: self._checked] - self._expected)
        if not np.isfinite(pictures).all():
            return Parity(math.nan, math.nan, math.nan)
        with cpu_threads(1):
            features = self._classifier.features(as_images(pictures[:FD_SAMPLES]))
        distance = frechet_distance_of_features(self._of_test, features)
        return Parity(float(difference.max()), float(difference.mean()), round(distance, FD_DIGITS))


def judge_difference(classifier: Classifier, judge: bytes, pictures: NDArray[np.uint8]) -> float:
    """Largest absolute difference between the probabilities of torch and of the graph `judge` for `pictures` (N, H, W, C)."""
    with cpu_threads(1):
        expected = classifier.probabilities(pictures)
    return float(np.abs(softmax(OnnxJudge(judge, threads=1).scores(pictures)) - expected).max())


def rounded_up(value: float) -> float:
    """`value` rounded up to one digit, so that the last bits of a machine's arithmetic do not show."""
    step = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return float(f"{math.ceil(value / step) * step:.0e}")
