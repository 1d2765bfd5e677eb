"""Perceptual path length: closed forms on a generator and features that are linear."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.inference.latents import draw_latents
from pipeline.metrics import path_length
from pipeline.metrics.extractors import Extractor
from pipeline.metrics.path_length import STEP, path_lengths, path_steps

DIM = 12
CONTRAST = 0.05  # keeps the images of all latents inside [-1, 1]


class Linear(nn.Module):
    """Returns the latent itself as an image of 1×DIM pixels."""

    def __init__(self, contrast: float = CONTRAST) -> None:
        super().__init__()
        self.contrast = nn.Parameter(torch.tensor(contrast), requires_grad=False)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        assert labels.shape == latents.shape[:1]
        return (self.contrast * latents)[:, None, None, :]


def _flat(factor: float) -> Extractor:
    return Extractor(f"times{factor}", "", 1, DIM, "none", "torch on cpu", lambda x: (factor * x).flatten(1).numpy())


def _squared_speed(seed: int, count: int) -> NDArray[np.float64]:
    """|dz/dt|² on the great circles of `path_steps`: the length's change and the turn, which are at right angles."""
    ends = draw_latents(seed, 2 * count, DIM).astype(np.float64)
    first, second, share = ends[:count], ends[count:], np.random.default_rng([seed, 1]).random((count, 1))[:, 0]
    start, end = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
    angle = np.arccos((first * second).sum(1) / start / end)
    return np.asarray((end - start) ** 2 + (((1 - share) * start + share * end) * angle) ** 2)


def test_linear_generator_moves_as_its_latents_do() -> None:
    count = 300
    labels = np.zeros(count, dtype=np.int64)
    found = path_lengths(Linear(), [_flat(1.0), _flat(3.0)], labels, DIM, seed=5)
    squared = np.sort((CONTRAST * 127.5) ** 2 * _squared_speed(5, count))[3:-3]  # a hundredth at both ends
    np.testing.assert_allclose(np.sort(found["times1.0"]), squared, rtol=0.02)
    np.testing.assert_allclose(found["times3.0"], 9 * found["times1.0"], rtol=0.02)


def test_constant_generator_has_length_zero() -> None:
    found = path_lengths(Linear(0.0), [_flat(1.0)], np.zeros(20, dtype=np.int64), DIM, seed=0)
    assert found["times1.0"].max() == 0


def test_lengths_do_not_depend_on_the_batch_size(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.zeros(50, dtype=np.int64)
    whole = path_lengths(Linear(), [_flat(1.0)], labels, DIM, seed=0)["times1.0"]
    monkeypatch.setattr(path_length, "BATCH", 7)
    np.testing.assert_array_equal(path_lengths(Linear(), [_flat(1.0)], labels, DIM, seed=0)["times1.0"], whole)


def test_path_steps_are_seeded_and_small() -> None:
    before, after = path_steps(3, 6, DIM)
    again, _ = path_steps(3, 6, DIM)
    np.testing.assert_array_equal(before, again)
    assert 0 < np.abs(after - before).max() < 20 * STEP
