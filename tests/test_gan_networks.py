"""Networks: shapes for every size, both families; the minibatch deviation's closed form; the class reaches the picture."""

from typing import Any

import pytest
import torch

from pipeline.errors import TrainingError
from pipeline.gan.networks import PictureShape, build_discriminator, build_generator
from pipeline.gan.networks.parts import channels_by_level, coarsest_grid, minibatch_deviation

ARGUMENTS: dict[str, Any] = {"width": 4, "max_width": 16}
SIZES = [(16, 16, 1), (28, 28, 1), (32, 32, 1), (32, 32, 3), (48, 48, 3), (64, 64, 3), (64, 48, 3), (128, 96, 3)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", ["resnet", "dcgan"])
def test_networks_fit_the_pictures(name: str, size: tuple[int, int, int]) -> None:
    shape = PictureShape(*size)
    generator = build_generator(name, ARGUMENTS, shape, 3, 8)
    extra = {"stddev_group": 2} if name == "resnet" else {}
    discriminator = build_discriminator(name, ARGUMENTS | extra, shape, 3)
    labels = torch.tensor([0, 1, 2, 2])
    pictures = generator(torch.randn(4, 8), labels)
    assert pictures.shape == (4, shape.channels, shape.height, shape.width)
    assert pictures.abs().max() <= 1
    assert discriminator(pictures, labels).shape == (4,)


@pytest.mark.parametrize(("height", "width", "grid"), [(32, 32, (4, 4, 3)), (28, 28, (7, 7, 2)), (128, 96, (8, 6, 4))])
def test_the_coarsest_grid(height: int, width: int, grid: tuple[int, int, int]) -> None:
    assert coarsest_grid(height, width) == grid


@pytest.mark.parametrize(("height", "width"), [(4, 4), (30, 30), (64, 36)])
def test_a_size_that_cannot_be_drawn_is_refused_in_words(height: int, width: int) -> None:
    with pytest.raises(TrainingError, match=r"augment\.height"):
        coarsest_grid(height, width)


def test_channels_halve_as_the_side_doubles() -> None:
    assert channels_by_level(32, 128, 4) == [128, 128, 64, 32]


def test_minibatch_deviation_is_that_of_neighbours() -> None:
    x = torch.tensor([0.0, 2.0, 5.0, 5.0]).reshape(4, 1, 1, 1).expand(4, 2, 2, 3)
    deviation = minibatch_deviation(x, 2)
    assert deviation.shape == (4, 3)
    assert deviation[:, 0].tolist() == pytest.approx([1.0, 1.0, 1e-4, 1e-4])


@pytest.mark.parametrize("name", ["resnet", "dcgan"])
def test_the_class_changes_picture_and_score(name: str) -> None:
    torch.manual_seed(0)
    shape = PictureShape(16, 16, 1)
    generator = build_generator(name, ARGUMENTS, shape, 2, 8).eval()
    extra = {"stddev_group": 0} if name == "resnet" else {}
    discriminator = build_discriminator(name, ARGUMENTS | extra, shape, 2).eval()
    latents = torch.randn(1, 8)
    first, second = (generator(latents, torch.tensor([label])) for label in (0, 1))
    assert not torch.allclose(first, second)
    assert discriminator(first, torch.tensor([0])).item() != discriminator(first, torch.tensor([1])).item()


@pytest.mark.parametrize("name", ["resnet", "dcgan"])
def test_truncation_pulls_latents_only_outside_training(name: str) -> None:
    torch.manual_seed(0)
    shape, latents, labels = PictureShape(16, 16, 1), torch.randn(4, 8), torch.tensor([0, 1, 0, 1])
    halved = build_generator(name, ARGUMENTS | {"truncation": 0.5}, shape, 2, 8)
    plain = build_generator(name, ARGUMENTS, shape, 2, 8)
    plain.load_state_dict(halved.state_dict())
    assert torch.equal(halved.eval()(latents, labels), plain.eval()(latents * 0.5, labels))
    assert torch.equal(halved.train()(latents, labels), plain.train()(latents, labels))
