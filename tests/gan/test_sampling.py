"""Latents, averages, and pictures out of a generator."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.errors import InputError
from pipeline.gan.checkpoints import GeneratorCard, load_generator, save_generator
from pipeline.gan.ema import ema_decay, recalibrate_batch_norm, update_ema
from pipeline.gan.networks import PictureShape, build_generator
from pipeline.gan.networks.parts import Generator
from pipeline.gan.sampling import generate_images, to_float, to_uint8
from pipeline.inference.latents import draw_latents, labels_in_equal_shares, labels_in_shares, spherical_walk


def _generator() -> Generator:
    torch.manual_seed(0)
    return build_generator("resnet", {"width": 8, "max_width": 16}, PictureShape(16, 16, 1), 3, 8)


def test_draw_latents_is_standard_normal_and_prefix_stable() -> None:
    latents = draw_latents(1, 4000, 4)
    assert latents.dtype == np.float32
    assert latents.mean(axis=0) == pytest.approx(0, abs=0.05)
    assert np.cov(latents, rowvar=False) == pytest.approx(np.eye(4), abs=0.06)
    assert latents[0] == pytest.approx(
        [1.7291036, -1.4284534, 1.0277448, 1.8820691]
    )  # a golden value: seeds must keep their images
    assert np.array_equal(draw_latents(1, 2, 4), latents[:2])
    assert not np.array_equal(draw_latents(2, 2, 4), latents[:2])


def test_labels_in_equal_shares() -> None:
    assert labels_in_equal_shares(7, 3).tolist() == [0, 0, 0, 1, 1, 2, 2]


def test_labels_follow_shares_rounded_by_largest_remainders() -> None:
    assert np.bincount(labels_in_shares(10, np.array([0.55, 0.26, 0.19]))).tolist() == [5, 3, 2]
    assert labels_in_shares(7, np.full(3, 1 / 3)).tolist() == labels_in_equal_shares(7, 3).tolist()


def test_a_rare_category_gets_its_least_number_of_labels() -> None:
    assert np.bincount(labels_in_shares(100, np.array([0.99, 0.01, 0.0]), at_least=2)).tolist() == [96, 2, 2]


def test_a_walk_keeps_to_great_circles_at_an_even_pace() -> None:
    corners = np.array([[2, 0, 0], [0, 4, 0], [0, 0, 4]], dtype=np.float32)
    walk = spherical_walk(corners, 9)
    assert walk.dtype == np.float32
    assert walk[[0, 4, 8]] == pytest.approx(corners, abs=1e-6)
    lengths = np.linalg.norm(walk, axis=1)
    assert lengths == pytest.approx([2, 2.5, 3, 3.5, 4, 4, 4, 4, 4])
    turned = np.degrees([np.arccos(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))) for a, b in pairwise(walk)])
    assert turned == pytest.approx(22.5, abs=1e-3)
    assert spherical_walk(corners[[0, 0]], 3) == pytest.approx(corners[[0, 0, 0]])


def test_bytes_go_through_the_unit_range_and_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(levels)), levels)
    assert to_uint8(torch.tensor([-1.5, 1.5])).tolist() == [0, 255]


def test_pictures_do_not_depend_on_the_batch() -> None:
    generator, latents, labels = _generator(), draw_latents(0, 12, 8), labels_in_equal_shares(12, 3)
    whole = generate_images(generator, latents, labels)
    assert whole.shape == (12, 16, 16, 1)
    assert whole.dtype == np.uint8
    pieces = generate_images(generator, latents, labels, batch=5)
    assert np.abs(whole.astype(int) - pieces).max() <= 1


def test_a_generator_comes_back_from_its_files(tmp_path: Path) -> None:
    generator, latents, labels = _generator(), draw_latents(0, 6, 8), labels_in_equal_shares(6, 3)
    card = GeneratorCard("resnet", {"width": 8, "max_width": 16}, ["a", "b", "c"], 16, 16, 1, 8, 1000)
    save_generator(tmp_path, generator, card)
    again, card_again = load_generator(tmp_path, torch.device("cpu"))
    assert card_again == card
    assert np.array_equal(generate_images(again, latents, labels), generate_images(generator, latents, labels))


def test_damaged_weights_are_refused_in_words(tmp_path: Path) -> None:
    save_generator(
        tmp_path, _generator(), GeneratorCard("resnet", {"width": 8, "max_width": 16}, ["a", "b", "c"], 16, 16, 1, 8, 0)
    )
    weights = tmp_path / "generator.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"generator\.safetensors.*run train again"):
        load_generator(tmp_path, torch.device("cpu"))


def test_the_average_forgets_half_in_a_half_life() -> None:
    decay = ema_decay(10_000_000, batch_size=50, half_life_kimg=10.0)
    assert decay ** (10_000 / 50) == pytest.approx(0.5)
    assert ema_decay(0, 50, 10.0) == 0
    early = [ema_decay(seen, 50, 10.0) for seen in (0, 50, 500, 5_000, 50_000)]
    assert all(before < after for before, after in pairwise(early))


def test_the_average_moves_by_the_decay() -> None:
    average, current = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        average.weight.fill_(1.0)
        current.weight.fill_(3.0)
    update_ema(average, current, 0.75)
    assert average.weight.item() == pytest.approx(1.5)


def test_batch_norm_is_measured_over_the_batches_given() -> None:
    network = nn.Sequential(nn.BatchNorm1d(1))

    class OfLatents(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network

        def forward(self, latents: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            return self.inner(latents)

    batches = [torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0], [8.0]])]
    recalibrate_batch_norm(OfLatents(), [(batch, torch.zeros(2)) for batch in batches])
    norm = network[0]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.running_mean.item() == pytest.approx((1 + 6) / 2)
    assert norm.running_var.item() == pytest.approx((2 + 8) / 2)  # unbiased, of each batch
    assert norm.momentum == 0.1
    assert not norm.training
