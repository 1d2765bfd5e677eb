"""Heads on a frozen pretrained network: the maps are that network's, and only the heads learn."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from pipeline.errors import ParamsError
from pipeline.gan.forecast import estimate_training
from pipeline.gan.networks.projected import TAPPED_BLOCKS, MixedMaps, TappedNetwork
from pipeline.gan.networks.resampling import averaging
from pipeline.gan.training import Trainer
from pipeline.imaging.efficientnet import pretrained_network
from tests.support.training import tiny_params, write_data

SIDE_PX = 64


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    return torch.rand(4, 3, SIDE_PX, SIDE_PX, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data") / "train")


def make_trainer(train: Path, **projected: Any) -> Trainer:
    images, labels = np.load(train / "train_images.npy"), np.load(train / "train_labels.npy")
    params = tiny_params(projected={"channels": 8, "warm_up_kimg": 0, **projected})
    return Trainer(params, images, labels, 3, torch.device("cpu"))


def test_the_tapped_network_is_the_pretrained_one(pictures: torch.Tensor) -> None:
    network = pretrained_network(SIDE_PX)
    expected = []
    with torch.no_grad():
        x = network._swish(network._bn0(network._conv_stem(pictures)))
        for index, block in enumerate(network._blocks):
            x = block(x)
            if index in TAPPED_BLOCKS:
                expected.append(x)
        maps = TappedNetwork(SIDE_PX)(pictures)
    assert [one.shape[1:] for one in maps] == [(24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)]
    for one, other in zip(maps, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-3 * float(other.abs().max()))


def test_mixed_maps_have_unit_deviation_and_their_gradient_reaches_the_pictures(pictures: torch.Tensor) -> None:
    mixed = MixedMaps(SIDE_PX, SIDE_PX, SIDE_PX, 8)
    mixed.calibrate(pictures)
    seen = pictures.clone().requires_grad_()
    maps = mixed(seen)
    assert [one.shape[1:] for one in maps] == [(8, 16, 16), (16, 8, 8), (32, 4, 4)]
    assert [float(one.detach().std()) for one in maps] == pytest.approx([1.0] * 3, rel=1e-5)
    (gradient,) = torch.autograd.grad(torch.stack([one.sum() for one in maps]).sum(), seen)
    assert all(float(picture.abs().mean()) > 0 for picture in gradient)
    assert all(weights.grad is None for weights in mixed.parameters())


def test_grey_pictures_of_another_side_are_resized() -> None:
    mixed = MixedMaps(32, 16, SIDE_PX, 8)
    assert [one.shape for one in mixed(torch.zeros(2, 1, 32, 16))] == [(2, 8, 16, 16), (2, 16, 8, 8), (2, 32, 4, 4)]


@pytest.mark.parametrize("sides", [(16, 64), (128, 64), (48, 64)])
def test_averaging_is_torchs_antialiased_resizing(sides: tuple[int, int]) -> None:
    columns = torch.rand(1, 1, sides[0], 3, generator=torch.Generator().manual_seed(0))
    expected = functional.interpolate(columns, (sides[1], 3), mode="bilinear", antialias=True)[0, 0]
    assert torch.allclose(averaging(*sides) @ columns[0, 0], expected, atol=1e-6)


def weights_of(trainer: Trainer, name: str) -> list[torch.Tensor]:
    assert trainer.models.projected is not None
    networks = {
        "discriminator": trainer.discriminator,
        "heads": trainer.models.projected.heads,
        "maps": trainer.models.projected.maps,
    }
    return [weights.detach().clone() for weights in networks[name].parameters()]


def changed(trainer: Trainer, name: str, steps: int = 1) -> bool:
    before = weights_of(trainer, name)
    for _ in range(steps):
        trainer.step()
    return not all(map(torch.equal, before, weights_of(trainer, name)))


def test_heads_learn_once_the_warm_up_is_over_and_the_frozen_network_never(train: Path) -> None:
    trainer = make_trainer(train, warm_up_kimg=0.016)  # two steps of eight images
    frozen = weights_of(trainer, "maps")
    assert not changed(trainer, "heads", steps=2)
    assert changed(trainer, "heads")
    assert changed(trainer, "discriminator")
    assert all(map(torch.equal, frozen, weights_of(trainer, "maps")))


def test_alone_the_heads_replace_the_discriminator(train: Path) -> None:
    trainer = make_trainer(train, alone=True)
    before = [weights.detach().clone() for weights in trainer.generator.parameters()]
    assert not changed(trainer, "discriminator")
    assert changed(trainer, "heads")
    assert not all(map(torch.equal, before, trainer.generator.parameters()))
    row = trainer.history.close_row(trainer.images_seen)
    assert row["score_real"] != row["score_fake"]
    with pytest.raises(ParamsError, match=r"projected\.warm_up_kimg: must be 0 with alone"):
        tiny_params(projected={"alone": True})


def test_the_heads_are_penalised_where_the_discriminator_is_not(train: Path) -> None:
    off = {"r1_gamma": 0.0, "r2_gamma": 0.0, "gradient_penalty": 0.0, "interval": 2, "weight_clip": 0.0}
    penalties = []
    for gamma in (0.0, 1.0):
        images, labels = np.load(train / "train_images.npy"), np.load(train / "train_labels.npy")
        params = tiny_params(penalties=off, projected={"channels": 8, "warm_up_kimg": 0, "alone": True, "r1_gamma": gamma})
        trainer = Trainer(params, images, labels, 3, torch.device("cpu"))
        trainer.step()
        penalties.append(trainer.history.close_row(trainer.images_seen)["loss_penalty"])
    assert penalties[0] == 0 < penalties[1]


def test_wgans_weight_clipping_reaches_the_heads(train: Path) -> None:
    clipped = {"r1_gamma": 0.0, "r2_gamma": 0.0, "gradient_penalty": 0.0, "interval": 1, "weight_clip": 0.02}
    images, labels = np.load(train / "train_images.npy"), np.load(train / "train_labels.npy")
    params = tiny_params(loss="wgan", penalties=clipped, projected={"channels": 8, "warm_up_kimg": 0, "r1_gamma": 0.0})
    trainer = Trainer(params, images, labels, 3, torch.device("cpu"))
    trainer.step()
    for name in ("discriminator", "heads"):
        assert max(float(weights.abs().max()) for weights in weights_of(trainer, name)) == pytest.approx(0.02)


def test_the_generator_follows_the_heads_by_their_weight(train: Path) -> None:
    def generator_gradient(weight: float) -> torch.Tensor:
        trainer = make_trainer(train, weight=weight)
        trainer.step()
        return torch.cat([weights.grad.flatten() for weights in trainer.generator.parameters() if weights.grad is not None])

    none, one, two = (generator_gradient(weight) for weight in (1e-6, 0.5, 1.0))
    assert torch.allclose(two - none, 2 * (one - none), rtol=0.01, atol=1e-5)
    assert float((one - none).norm()) > 0


def test_a_forecast_counts_the_heads_from_where_they_join(train: Path) -> None:
    always, half, never = (
        estimate_training(
            make_trainer(train, warm_up_kimg=kimg), 1, sample_every_kimg=1, checkpoint_every_kimg=1
        ).training_flops
        for kimg in (0, 0.2, 0.4)
    )
    assert half == pytest.approx((always + never) / 2, rel=0.01)
    assert always > 2 * never
