"""Networks: shapes for every size, all families; StyleGAN2's equations; conditions reach picture and score."""

from typing import Any, get_args

import pytest
import torch
from torch import nn
from torch.nn import functional

from pipeline.errors import TrainingError
from pipeline.gan.grid import coarsest_grid
from pipeline.gan.networks import GENERATORS, PictureShape, build_discriminator, build_generator
from pipeline.gan.networks.convolution import _Convolution, no_weight_gradients
from pipeline.gan.networks.parts import channels_by_level, minibatch_deviation
from pipeline.gan.networks.resampling import Resampled, doubling
from pipeline.gan.networks.resnet import Upsampling, doubling_layer
from pipeline.gan.networks.stylegan2 import (
    ModulatedConv,
    ScaledConv,
    StyledLayer,
    Stylegan2Generator,
    scaled_leaky_relu,
)

ARGUMENTS: dict[str, Any] = {"width": 4, "max_width": 16}
GENERATOR: dict[str, dict[str, Any]] = {
    "resnet": ARGUMENTS,
    "dcgan": ARGUMENTS,
    "stylegan2": ARGUMENTS | {"style_dim": 8, "mapping_layers": 2},
}
DISCRIMINATOR: dict[str, dict[str, Any]] = {
    "resnet": ARGUMENTS | {"stddev_group": 2},
    "dcgan": ARGUMENTS,
    "stylegan2": ARGUMENTS | {"stddev_group": 2},
}
SIZES = [
    (16, 16, 1),
    (28, 28, 1),
    (32, 32, 1),
    (32, 32, 3),
    (48, 48, 3),
    (64, 64, 3),
    (64, 48, 3),
    (128, 96, 3),
    (256, 256, 3),
    (256, 192, 3),
]


def test_bilinear_doubling_draws_no_checkerboard_on_a_plain_map() -> None:
    plain = torch.ones(1, 3, 8, 6)
    inner = {
        kind: doubling_layer(kind, 3, 2, (8, 6), last=False)(plain).detach()[:, :, 3:-3, 3:-3] for kind in get_args(Upsampling)
    }
    spread = {kind: float((maps.amax((2, 3)) - maps.amin((2, 3))).max()) for kind, maps in inner.items()}
    assert spread["bilinear"] < 1e-6
    assert spread["transposed"] > 0.01


@pytest.mark.parametrize("size", [(28, 28, 1), (64, 48, 4)], ids=str)
def test_a_generator_with_bilinear_doubling_fits_the_pictures(size: tuple[int, int, int]) -> None:
    shape = PictureShape(*size)
    generator = build_generator("resnet", ARGUMENTS | {"upsampling": "bilinear"}, shape, 3, 8)
    assert generator.eval()(torch.randn(2, 8), torch.tensor([0, 2])).shape == (2, shape.channels, shape.height, shape.width)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", GENERATORS)
def test_networks_fit_the_pictures(name: str, size: tuple[int, int, int]) -> None:
    shape = PictureShape(*size)
    generator = build_generator(name, GENERATOR[name], shape, 3, 8)
    discriminator = build_discriminator(name, DISCRIMINATOR[name], shape, 3)
    labels = torch.tensor([0, 1, 2, 2])
    pictures = generator.eval()(torch.randn(4, 8), labels)
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


@pytest.mark.parametrize("name", GENERATORS)
def test_the_class_changes_picture_and_score(name: str) -> None:
    torch.manual_seed(0)
    shape = PictureShape(16, 16, 1)
    generator = build_generator(name, GENERATOR[name], shape, 2, 8).eval()
    discriminator = build_discriminator(name, DISCRIMINATOR[name], shape, 2).eval()
    latents = torch.randn(2, 8)
    first, second = (generator(latents, torch.tensor([label, label])) for label in (0, 1))
    assert not torch.allclose(first, second)
    assert not torch.allclose(discriminator(first, torch.tensor([0, 0])), discriminator(first, torch.tensor([1, 1])))


@pytest.mark.parametrize("name", GENERATORS)
def test_attributes_change_picture_and_score_and_none_set_is_the_class_alone(name: str) -> None:
    torch.manual_seed(0)
    shape, labels = PictureShape(16, 16, 1), torch.tensor([0, 1])
    generator = build_generator(name, GENERATOR[name], shape, 2, 8, 3).eval()
    discriminator = build_discriminator(name, DISCRIMINATOR[name], shape, 2, 3).eval()
    latents = torch.randn(2, 8)
    nothing, several = torch.zeros(2, 3), torch.tensor([[1.0, 0.0, 1.0]] * 2)
    pictures = generator(latents, labels, nothing)
    assert torch.allclose(pictures, generator(latents, labels))
    assert not torch.allclose(pictures, generator(latents, labels, several))
    assert torch.allclose(discriminator(pictures, labels, nothing), discriminator(pictures, labels))
    assert not torch.allclose(discriminator(pictures, labels, several), discriminator(pictures, labels))


@pytest.mark.parametrize("name", GENERATORS)
def test_what_a_text_leaves_unsaid_is_the_usual_text_of_its_category(name: str) -> None:
    torch.manual_seed(0)
    generator = build_generator(name, GENERATOR[name], PictureShape(16, 16, 1), 2, 8, 3).eval()
    assert generator.complete(torch.tensor([0]), None) is None  # it knows no texts
    generator.expect_texts(torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]))
    said, labels = torch.tensor([[0.0, 0.0, 1.0]] * 2), torch.tensor([0, 1])
    for strength, expected in [
        (0.0, [[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]),
        (0.5, [[0.25, 0.0, 0.5], [0.0, 0.25, 0.5]]),
        (1.0, [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]),
        (2.0, [[-0.5, 0.0, 2.0], [0.0, -0.5, 2.0]]),
    ]:
        completed = generator.complete(labels, strength * said)
        assert completed is not None
        assert torch.allclose(completed, torch.tensor(expected))
    mixed = generator.complete(torch.tensor([[0.5, 0.5]]), None)
    assert mixed is not None
    assert torch.allclose(mixed, torch.tensor([[0.25, 0.25, 0.0]]))
    latents = torch.randn(2, 8)
    entered, _ = generator.early_layers(latents, labels)
    generator.expect_texts(torch.zeros(2, 3))
    assert not torch.allclose(generator.early_layers(latents, labels)[0], entered)


@pytest.mark.parametrize("name", ["resnet", "dcgan"])
def test_truncation_pulls_latents_only_outside_training(name: str) -> None:
    torch.manual_seed(0)
    shape, latents, labels = PictureShape(16, 16, 1), torch.randn(4, 8), torch.tensor([0, 1, 0, 1])
    halved = build_generator(name, ARGUMENTS | {"truncation": 0.5}, shape, 2, 8)
    plain = build_generator(name, ARGUMENTS, shape, 2, 8)
    plain.load_state_dict(halved.state_dict())
    assert torch.equal(halved.eval()(latents, labels), plain.eval()(latents * 0.5, labels))
    assert torch.equal(halved.train()(latents, labels), plain.train()(latents, labels))


@pytest.mark.parametrize("up", [False, True])
def test_a_styled_layer_is_a_convolution_with_modulated_weights(up: bool) -> None:
    torch.manual_seed(0)
    size = (16, 16) if up else (8, 8)
    layer = StyledLayer(3, 5, 4, size, up=up)
    nn.init.normal_(layer.bias)
    nn.init.constant_(layer.strength, 0.3)
    conv = layer.conv
    x, style, noise = torch.randn(2, 3, 8, 8), torch.randn(2, 4), torch.randn(2, 1, *size)
    weights = conv.weight * conv.affine(style)[:, None, :, None, None] * conv.scale  # equation 1
    weights = weights / (weights.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).sqrt()  # equation 3
    expected = []
    for one, weight in zip(x, weights, strict=True):
        if up:
            expected.append(4 * _blurred(functional.conv_transpose2d(one[None], weight.transpose(0, 1), stride=2), 1))
        else:
            expected.append(functional.conv2d(one[None], weight, padding=1))
    summed = torch.cat(expected) + noise * layer.strength + layer.bias[:, None, None]  # figure 2 (c)
    torch.testing.assert_close(layer(x, style, noise), scaled_leaky_relu(summed))


def test_layers_start_with_unit_deviation() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 32, 32, 32)
    assert ScaledConv(32, 64, 3, gain=1.0)(x)[:, :, 1:-1, 1:-1].std().item() == pytest.approx(1, abs=0.05)
    modulated = ModulatedConv(32, 64, 3, 8)
    maps, scales = modulated(x, torch.randn(4, 8))
    maps = maps * modulated.demodulation(scales)[:, :, None, None]
    assert maps[:, :, 1:-1, 1:-1].std().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (4, 2, 1), (3, 2, 0), (1, 1, 0)])
def test_a_convolution_for_gpus_is_torchs_and_so_are_its_derivatives(
    kernel: int, stride: int, padding: int, transposed: bool
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 8, 7, dtype=torch.float64).requires_grad_()
    shape = (3, 5, kernel, kernel) if transposed else (5, 3, kernel, kernel)
    weight = torch.randn(shape, dtype=torch.float64).requires_grad_()
    theirs = functional.conv_transpose2d if transposed else functional.conv2d
    found = []
    for result in (
        _Convolution.apply(x, weight, stride, padding, transposed),
        theirs(x, weight, stride=stride, padding=padding),
    ):
        with no_weight_gradients():
            (at_input,) = torch.autograd.grad(result.square().sum(), x, create_graph=True)
        twice = torch.autograd.grad(at_input.square().sum(), (x, weight), retain_graph=True)
        found.append([result, at_input, *twice, *torch.autograd.grad(result.sin().sum(), (x, weight))])
    torch.testing.assert_close(found[0], found[1])


def test_a_weights_gradient_can_be_differentiated_too() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64).requires_grad_()
    weight = torch.randn(4, 3, 3, 3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda *inputs: _Convolution.apply(*inputs, 2, 1, False), (x, weight))


def _blurred(x: torch.Tensor, padding: int) -> torch.Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 4, 4)
    return functional.conv2d(x, kernel, padding=padding, groups=x.shape[1])


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("kernel", "padding"), [(1, 1), (3, 2)])
def test_maps_are_blurred_before_they_are_halved(kernel: int, padding: int, memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 8, 16, 12).contiguous(memory_format=memory_format)
    conv = ScaledConv(8, 6, kernel, gain=0.7, down_from=(16, 12), bias=False)
    expected = functional.conv2d(_blurred(x, padding), conv.weight * 0.7 / (8 * kernel**2) ** 0.5, stride=2)
    torch.testing.assert_close(conv(x), expected)
    with torch.no_grad():  # drawn with, it is another computation
        torch.testing.assert_close(conv(x), expected)
    assert expected.shape == (4, 6, 8, 6)


def test_pictures_are_doubled_bilinearly() -> None:
    pictures = torch.randn(2, 3, 5, 7)
    expected = functional.interpolate(pictures, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(Resampled(doubling(5), doubling(7))(pictures), expected)


def _styled(**more: Any) -> Stylegan2Generator:
    torch.manual_seed(0)
    generator = build_generator("stylegan2", GENERATOR["stylegan2"] | more, PictureShape(16, 16, 1), 2, 8)
    assert isinstance(generator, Stylegan2Generator)
    return generator


def test_mixed_styles_change_at_the_crossover() -> None:
    generator = _styled(style_mixing=1.0)
    latents, labels = torch.randn(6, 8), torch.tensor([0, 1] * 3)
    drawn = generator.random_inputs(6, torch.Generator().manual_seed(1))
    styles = generator.styles(latents, labels, drawn=drawn)
    own, other = generator.styles(latents, labels)[:, 0], generator.styles(drawn.other_latents, labels)[:, 0]
    assert styles.shape == (6, generator.style_layers, 8)
    for row, crossover in enumerate(drawn.crossovers.tolist()):
        assert 1 <= crossover < generator.style_layers
        assert (styles[row, :crossover] == own[row]).all()
        assert (styles[row, crossover:] == other[row]).all()
    unmixed = _styled()
    assert (unmixed.random_inputs(6, torch.Generator()).crossovers == unmixed.style_layers).all()


def test_noise_changes_the_picture_once_its_strength_is_not_zero() -> None:
    generator = _styled()
    latents, labels = torch.randn(2, 8), torch.tensor([0, 1])
    first, second = (generator.random_inputs(2, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    assert torch.equal(generator(latents, labels, drawn=first), generator(latents, labels, drawn=second))
    for layer in (generator.first, *generator.ups, *generator.keeps):
        torch.nn.init.ones_(layer.strength)
    assert not torch.allclose(generator(latents, labels, drawn=first), generator(latents, labels, drawn=second))
    assert torch.equal(generator(latents, labels), generator(latents, labels))  # none drawn: always the same noise


def test_truncation_pulls_styles_to_the_moving_mean_of_their_category() -> None:
    generator = _styled(truncation=0.5)
    random = torch.Generator().manual_seed(0)
    for _ in range(40):
        labels = torch.randint(2, (64,), generator=random)
        generator.styles(torch.randn(64, 8, generator=random), labels, drawn=generator.random_inputs(64, random))
    many, labels = torch.randn(4000, 8, generator=random), torch.arange(4000) % 2
    styles = generator.styles(many, labels)[:, 0]
    means = torch.stack([styles[labels == label].mean(dim=0) for label in (0, 1)])
    assert (means[0] - means[1]).abs().max() > 0.5  # so that the next line tells them apart
    torch.testing.assert_close(generator.mean_styles.data, means, atol=0.15, rtol=0)
    pulled = generator.eval().styles(many, labels)[:, 0]
    torch.testing.assert_close(pulled, (styles + generator.mean_styles[labels]) / 2)
