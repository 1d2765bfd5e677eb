"""Feature networks for style transfer: pictures (N, 3, H, W) in [0, 1] to named layers, shallow to deep.

`efflite0` comes with the installed packages. `vgg19` is torchvision's and needs its weights in torch's cache: nothing is
downloaded. `compressed-vgg19` (Wang et al. 2020) is read from the folder of `--style-weights` and also has decoders.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import InputError
from pipeline.storage.files import sha256_of_file
from studio.style_networks import CONTENT_LAYER, STYLE_LAYERS, vgg19_path

VGG19_SHA256 = "dcbb9e9d"  # first digits, from torchvision's file name
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
VGG_BLOCKS = (("11", "12"), ("21", "22"), ("31", "32", "33", "34"), ("41", "42", "43", "44"), ("51",))

Features = dict[str, Tensor]
Step = tuple[str | None, Callable[[Tensor], Tensor]]


class FeatureNetwork(nn.Module):
    """A sequence of steps; forward returns the outputs of those with names."""

    def __init__(self, steps: list[Step], name: str) -> None:
        super().__init__()
        self._steps = steps
        self.style_layers = STYLE_LAYERS[name]
        self.content_layer = CONTENT_LAYER[name]

    def forward(self, pictures: Tensor) -> Features:
        features: Features = {}
        x = pictures
        for name, step in self._steps:
            x = step(x)
            if name:
                features[name] = x
        return features


def _normalised(pictures: Tensor) -> Tensor:
    mean, std = (pictures.new_tensor(value)[:, None, None] for value in (IMAGENET_MEAN, IMAGENET_STD))
    return (pictures - mean) / std


def _vgg19() -> FeatureNetwork:
    from torchvision.models import vgg19

    if not sha256_of_file(vgg19_path()).startswith(VGG19_SHA256):
        raise InputError(f"{vgg19_path()}: not torchvision's VGG-19 (SHA-256 differs); delete it and fetch it again")
    network = vgg19()
    network.load_state_dict(torch.load(vgg19_path(), map_location="cpu", weights_only=True))
    steps: list[Step] = [(None, _normalised)]
    names = iter(name for block in VGG_BLOCKS for name in block)
    for layer in network.features.eval().requires_grad_(False)[:30]:
        match layer:
            case nn.ReLU():
                steps.append((f"conv{next(names)}", functional.relu))
            case nn.MaxPool2d():
                steps.append((None, lambda x: functional.avg_pool2d(x, 2)))  # smoother gradients; Gatys et al. 2016, section 2
            case _:
                steps.append((None, layer))
    return _only(steps, "vgg19")


def _only(steps: list[Step], network: str) -> FeatureNetwork:
    kept = {*STYLE_LAYERS[network], CONTENT_LAYER[network]}
    return FeatureNetwork([(name if name in kept else None, step) for name, step in steps], network)


def _efflite0() -> FeatureNetwork:
    from pipeline.imaging.efficientnet import pretrained_network

    network = pretrained_network()
    steps: list[Step] = [
        (None, lambda x: (x * 255 - 127) / 128),
        ("stem", lambda x: functional.relu6(network._bn0(network._conv_stem(x)))),
    ]
    steps += [(f"block{n}", block) for n, block in enumerate(network._blocks[:6])]
    return _only(steps, "efflite0")


def _weights(folder: Path, name: str) -> dict[str, Tensor]:
    path = folder / f"{name}.pth"
    try:
        return torch.load(path, map_location="cpu", weights_only=True)["model"]
    except Exception as error:  # torch raises half a dozen classes for a damaged file
        raise InputError(f"{path}: not the weights of a compressed VGG-19 ({type(error).__name__})") from None


def _convolution(weights: dict[str, Tensor], name: str) -> Callable[[Tensor], Tensor]:
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    side = weight.shape[-1] // 2
    return lambda x: functional.conv2d(functional.pad(x, (side,) * 4, mode="reflect") if side else x, weight, bias)


def _encoder_steps(weights: dict[str, Tensor], level: int) -> Iterator[Step]:
    yield None, _convolution(weights, "conv0")
    for number, block in enumerate(VGG_BLOCKS[:level], start=1):
        for name in block[:1] if number == level else block:
            yield None, _convolution(weights, f"conv{name}")
            yield f"conv{name}", functional.relu
        if number < level:
            yield None, lambda x: functional.max_pool2d(x, 2)


def _compressed_vgg19(folder: Path) -> FeatureNetwork:
    steps = list(_encoder_steps(_weights(folder, "encoder_conv5_1"), 5))
    return _only(steps, "compressed-vgg19")


def autoencoder(folder: Path, level: int) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Encoder to layer `level`_1 of the compressed VGG-19 in `folder`, and its decoder. Raises InputError."""
    encoder = list(_encoder_steps(_weights(folder, f"encoder_conv{level}_1"), level))
    weights = _weights(folder, f"decoder_conv{level}_1")
    decoder: list[Callable[[Tensor], Tensor]] = []
    for number in range(level, 0, -1):
        names = VGG_BLOCKS[number - 1][:1] if number == level else VGG_BLOCKS[number - 1][::-1]
        for name in names:
            decoder.append(_convolution(weights, f"conv{name}"))
            if name != "11":
                decoder.append(functional.relu)
        if number > 1:
            decoder.append(lambda x: functional.interpolate(x, scale_factor=2, mode="nearest"))

    def encode(x: Tensor) -> Tensor:
        for _, step in encoder:
            x = step(x)
        return x

    def decode(x: Tensor) -> Tensor:
        for step in decoder:
            x = step(x)
        return x

    return encode, decode


def feature_network(name: str, compressed_folder: Path | None) -> FeatureNetwork:
    """The network called `name`. Raises InputError if its weights are not on this machine."""
    match name:
        case "efflite0":
            return _efflite0()
        case "vgg19" if vgg19_path().exists():
            return _vgg19()
        case "compressed-vgg19" if compressed_folder is not None:
            return _compressed_vgg19(compressed_folder)
        case _:
            raise InputError(f"the weights of {name} are not on this machine; use efflite0, which always is")
