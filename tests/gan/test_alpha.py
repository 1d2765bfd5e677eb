"""Pictures with alpha in training: closed forms of the composite, grounds, augmentations, and whole trainings."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.gan.ada import ada_augment, warp
from pipeline.gan.alpha import (
    as_layer,
    as_pictures,
    as_seen,
    composite,
    premultiply,
    random_grounds,
    seen_channels,
)
from pipeline.gan.diffaugment import diff_augment
from pipeline.gan.penalties import gradient_square_norms
from pipeline.gan.sampling import OfCategories, generate_images, to_float, to_pictures
from pipeline.gan.training import Trainer
from pipeline.gan.watchdog import diversity
from pipeline.inference.latents import draw_latents
from pipeline.inference.transparency import on_ground, premultiplied
from tests.stages.train.test_train import VARIANTS
from tests.support.training import tiny_params, whole_and_resumed, write_data

CPU = torch.device("cpu")


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _layers(channels: int = 4, count: int = 6) -> Tensor:
    return as_layer(premultiply(torch.rand(count, channels, 16, 12, generator=_rng()) * 2 - 1))


def test_a_layer_is_a_picture_and_back() -> None:
    pictures = premultiply(torch.rand(2, 4, 8, 8, generator=_rng()) * 2 - 1)
    assert torch.allclose(as_pictures(as_layer(pictures)), pictures, atol=1e-6)
    assert as_layer(pictures)[:, -1].min() >= 0


def test_torch_and_numpy_premultiply_alike() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 4), dtype=np.uint8)
    pictures = to_pictures(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    assert np.array_equal(pictures, premultiplied(images))
    opaque = torch.from_numpy(images[..., :3])
    assert torch.equal(to_pictures(opaque.permute(0, 3, 1, 2)), to_float(opaque).permute(0, 3, 1, 2))


def test_the_composites_of_a_picture_on_two_grounds_differ_by_the_grounds_times_what_they_show_of_it() -> None:
    layers = _layers().double()
    first, second = (random_grounds(layers[:, :-1].shape, _rng(seed), CPU).double() for seed in (1, 2))
    difference = composite(layers, first) - composite(layers, second)
    torch.testing.assert_close(difference, (1 - layers[:, -1:]) * (first - second), rtol=0, atol=1e-12)


def test_grounds_are_plain_two_coloured_or_smooth_and_come_from_the_generator() -> None:
    shape = torch.Size((400, 3, 16, 16))
    grounds = random_grounds(shape, _rng(), CPU)
    assert grounds.shape == shape
    assert grounds.abs().max() <= 1
    colours = torch.tensor([len(ground.flatten(1).unique(dim=1).T) for ground in grounds])
    assert (colours == 1).float().mean() == pytest.approx(0.5 + 0.03, abs=0.08)  # a line may miss the picture
    assert (colours == 2).float().mean() == pytest.approx(0.25 - 0.03, abs=0.08)
    assert (colours > 2).float().mean() == pytest.approx(0.25, abs=0.06)
    assert grounds.mean() == pytest.approx(0, abs=0.05)
    assert torch.equal(grounds, random_grounds(shape, _rng(), CPU))


def test_a_discriminator_sees_the_composite_and_the_premultiplied_picture() -> None:
    layers = _layers()
    seen = as_seen(layers, _rng())
    assert seen.shape[1] == seen_channels(4) == 7
    assert (seen_channels(1), seen_channels(2), seen_channels(3)) == (1, 3, 3)
    assert torch.equal(seen[:, 3:], as_pictures(layers))
    grounds = random_grounds(layers[:, :-1].shape, _rng(), CPU)
    assert torch.equal(seen[:, :3], composite(layers, grounds))
    opaque = torch.cat([layers[:, :-1], torch.ones_like(layers[:, -1:])], dim=1)
    assert torch.equal(as_seen(opaque, _rng())[:, :3], opaque[:, :-1])


CHANGES = [["colour"], ["translation"], ["cutout"], ["translation", "colour", "cutout"]]


@pytest.mark.parametrize(("names", "channels"), [*product(CHANGES, [2, 4])], ids=str)
def test_augmentations_leave_the_transparent_transparent(names: list[str], channels: int) -> None:
    layers = _layers(channels)
    layers[:, :, :, :4] = 0
    for changed in (diff_augment(layers, names, _rng()), ada_augment(layers, 1.0, _rng())):
        nothing = changed[:, -1:] == 0
        assert nothing.any()
        assert (changed[:, :-1] * nothing).abs().max() < 1e-6
        assert changed[:, -1].min() >= 0
        assert changed[:, -1].max() <= 1 + 1e-5
    if names == ["colour"]:
        assert torch.equal(diff_augment(layers, names, _rng())[:, -1], layers[:, -1])


@pytest.mark.parametrize("channels", [2, 4])
def test_colours_of_opaque_layers_change_as_those_of_pictures_without_alpha(channels: int) -> None:
    opaque = torch.rand(5, channels - 1, 8, 8, generator=_rng()) * 2 - 1
    layers = torch.cat([opaque, torch.ones(5, 1, 8, 8)], dim=1)
    changed = diff_augment(layers, ["colour"], _rng())
    torch.testing.assert_close(changed[:, :-1], diff_augment(opaque, ["colour"], _rng()))


def test_colour_changes_of_premultiplied_colour_are_those_of_straight_colour() -> None:
    """A garment of one alpha: dividing by it gives what the change makes of the straight colour."""
    straight = torch.rand(5, 3, 8, 8, generator=_rng()) * 2 - 1
    layers = torch.cat([straight * 0.5, torch.full((5, 1, 8, 8), 0.5)], dim=1)
    changed = diff_augment(layers, ["colour"], _rng())
    torch.testing.assert_close(changed[:, :-1] / 0.5, diff_augment(straight, ["colour"], _rng()))


def test_a_warp_of_a_layer_brings_nothing_in_from_beyond_its_edges() -> None:
    layers = torch.ones(1, 4, 6, 6)
    right = torch.tensor([[[1.0, 0.0, 2.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
    assert torch.equal(warp(layers, right, mirrored=False)[..., 4:], torch.zeros(1, 4, 6, 2))
    assert torch.equal(warp(layers, right)[..., 4:], torch.ones(1, 4, 6, 2))


def test_r1_passes_through_grounds_and_augmentations_in_closed_form() -> None:
    """A score linear in what is seen has the gradient that the composite's own derivative gives."""
    layers = _layers(count=3).double()
    pictures = as_pictures(layers).requires_grad_()
    weights = torch.rand(3, 7, 16, 12, generator=_rng(5), dtype=torch.float64).requires_grad_()
    scores = (as_seen(as_layer(pictures), _rng()).double() * weights).sum(dim=(1, 2, 3))
    norms = gradient_square_norms(scores, pictures)
    grounds = random_grounds(layers[:, :-1].shape, _rng(), CPU).double()
    of_colour = weights[:, :3] + weights[:, 3:6]
    of_alpha = weights[:, 6:] - (weights[:, :3] * grounds).sum(dim=1, keepdim=True) / 2
    expected = torch.cat([of_colour, of_alpha], dim=1).square().sum(dim=(1, 2, 3))
    torch.testing.assert_close(norms, expected.float())
    (gradient,) = torch.autograd.grad(norms.sum(), weights)
    assert gradient.abs().max() > 0


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data") / "train", channels=4)


def _trainer(train: Path, **changes: Any) -> Trainer:
    images, labels = np.load(train / "train_images.npy"), np.load(train / "train_labels.npy")
    return Trainer(tiny_params(**changes), images, labels, 3, CPU)


TRAININGS: dict[str, dict[str, Any]] = {
    "diffaugment": {"diffaugment": ["translation", "colour"], "accumulate": 2},
    "ada": {"ada": {"target": -1.0, "ramp_kimg": 0.05, "interval": 3}},
    "stylegan2": VARIANTS["stylegan2"],
    "wgan-gp": VARIANTS["wgan-gp"],
    "dcgan": VARIANTS["dcgan"],
}


@pytest.mark.parametrize("name", TRAININGS)
def test_n_then_m_steps_with_alpha_are_n_plus_m(name: str, train: Path) -> None:
    whole, second = whole_and_resumed(lambda: _trainer(train, **TRAININGS[name]))
    expected, state = whole.state(), second.state()
    assert [key for key in expected if not torch.equal(expected[key], state[key])] == []
    assert all(tensor.isfinite().all() for tensor in expected.values() if tensor.is_floating_point())


def test_a_trained_generator_draws_straight_pictures_and_is_measured_on_a_ground(train: Path) -> None:
    trainer = _trainer(train)
    trainer.step()
    latents, labels = draw_latents(0, 6, 8), np.repeat(np.arange(3), 2)
    images = generate_images(trainer.recalibrated_average(1), latents, labels)
    assert images.shape == (6, 16, 16, 4)
    assert diversity(images, labels, 3) == pytest.approx(diversity(on_ground(images, "white"), labels, 3))
    drawn = OfCategories(trainer.average, "black")(torch.from_numpy(latents), torch.from_numpy(labels))
    levels = ((drawn.detach() + 1) * 127.5).permute(0, 2, 3, 1).numpy()
    assert np.abs(levels - on_ground(images, "black")).max() <= 3


def test_the_discriminator_learns_from_every_channel(train: Path) -> None:
    trainer = _trainer(train)
    trainer.step()
    gradients = [weights.grad for weights in trainer.discriminator.parameters() if weights.ndim == 4]
    assert gradients[0] is not None
    assert gradients[0].shape[1] == 7
    assert (gradients[0].abs().sum(dim=(0, 2, 3)) > 0).all()
