"""Cuts garments out of photographs: a clothing map from EfficientNet-Lite0's features, refined by garment_masks."""

from functools import cache

import cv2
import torch
from torch import Tensor, nn

from pipeline.imaging.clothing_map import NUMBERS
from pipeline.imaging.efficientnet import pretrained_network, tapped_maps
from pipeline.imaging.garment_masks import GarmentMask, Pixels, find_mask, shrunk

NETWORK_SIDE_PX = 160
CELLS = 20  # of the clothing map, per side: the network's stride of 8
TAPPED_BLOCKS = (4, 10)  # 40 channels at stride 8, 112 at stride 16


class ClothingMap(nn.Module):
    """Log-odds of clothing on a grid of 20 x 20 cells: two taps of EfficientNet-Lite0 and two small layers.

    The layers' numbers come from `python -m benchmarks.garment_map`.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(40 + 112 + 2, width, 1), nn.ReLU(), nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, features: Tensor) -> Tensor:
        """(N, 154, 20, 20) to (N, 20, 20), natural log-odds."""
        return self.layers(features)[:, 0]


class GarmentCutter:
    """Cuts garments out, one picture at a time, so that no mask depends on which pictures come together."""

    def __init__(self, clothing_map: ClothingMap | None = None) -> None:
        torch.set_num_threads(1)
        self._network = pretrained_network(NETWORK_SIDE_PX)
        self._map = clothing_map if clothing_map is not None else stored_map()
        self._map.eval().requires_grad_(False)

    def __call__(self, picture: Pixels) -> GarmentMask:
        """The mask of a picture (H, W, 3), RGB; it may be empty, with confidence 0."""
        small = shrunk(picture)
        height, width = small.shape[:2]
        with torch.inference_mode():
            cells = self._map(self.features(picture)[None])[0].numpy()
        log_odds = cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
        return find_mask(small, log_odds)

    def features(self, picture: Pixels) -> Tensor:
        """(154, 20, 20) float32 of a picture (H, W, 3): 40 and 112 channels, and the squared offsets from the middle."""
        square = cv2.resize(picture, (NETWORK_SIDE_PX, NETWORK_SIDE_PX), interpolation=cv2.INTER_AREA)
        with torch.inference_mode():
            maps = tapped_maps(self._network, torch.from_numpy(square).permute(2, 0, 1)[None].float(), TAPPED_BLOCKS)
            cells = [nn.functional.interpolate(one, (CELLS, CELLS), mode="bilinear", align_corners=False)[0] for one in maps]
            return torch.cat([*cells, _offsets()])


@cache
def _offsets() -> Tensor:
    offset = ((torch.arange(CELLS) + 0.5) / CELLS * 2 - 1) ** 2
    return torch.stack(torch.meshgrid(offset, offset, indexing="ij"))


def stored_map() -> ClothingMap:
    """The clothing map that the package carries."""
    clothing_map = ClothingMap()
    nn.utils.vector_to_parameters(torch.tensor([float(number) for number in NUMBERS.split()]), clothing_map.parameters())
    return clothing_map
