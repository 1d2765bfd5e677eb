"""Probability of clothing and feature vector of a picture, by EfficientNet-Lite0."""

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.imaging.efficientnet import EfficientLite0
from pipeline.imaging.resizing import NETWORK_SIDE_PX

# ImageNet classes of clothes, shoes, bags and accessories.
CLOTHING_CLASSES = {
    399: "abaya",
    400: "academic gown",
    411: "apron",
    414: "backpack",
    433: "bathing cap",
    439: "bearskin",
    443: "bib",
    445: "bikini",
    451: "bolo tie",
    452: "bonnet",
    457: "bow tie",
    459: "brassiere",
    474: "cardigan",
    496: "Christmas stocking",
    501: "cloak",
    502: "clog",
    514: "cowboy boot",
    515: "cowboy hat",
    552: "feather boa",
    568: "fur coat",
    578: "gown",
    601: "hoopskirt",
    608: "jean",
    610: "jersey",
    614: "kimono",
    617: "lab coat",
    630: "Loafer",
    636: "mailbag",
    638: "maillot",
    639: "maillot tank suit",
    652: "military uniform",
    655: "miniskirt",
    658: "mitten",
    667: "mortarboard",
    689: "overskirt",
    697: "pajama",
    735: "poncho",
    748: "purse",
    770: "running shoe",
    774: "sandal",
    775: "sarong",
    793: "shower cap",
    806: "sock",
    808: "sombrero",
    824: "stole",
    834: "suit",
    841: "sweatshirt",
    842: "swimming trunks",
    869: "trench coat",
    885: "velvet",
    887: "vestment",
    906: "Windsor tie",
    911: "wool",
}


class ClothingClassifier:
    """Classifies one picture at a time, so that no result depends on the batch."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self._features = EfficientLite0(NETWORK_SIDE_PX)

    def __call__(self, pixels: NDArray[np.uint8]) -> tuple[float, NDArray[np.float16]]:
        """Probability of clothing in [0, 1] and pooled features (1280,) for `pixels` from `network_input`."""
        with torch.inference_mode():
            features = self._features(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float())
            probabilities = torch.softmax(self._features.network._fc(features)[0], dim=0)
        return float(probabilities[list(CLOTHING_CLASSES)].sum()), features[0].numpy().astype(np.float16)
