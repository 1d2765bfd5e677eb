"""Names, layers and settings of style transfer's feature networks, without importing torch."""

import os
from dataclasses import dataclass
from pathlib import Path

VGG19_FILE = "vgg19-dcbb9e9d.pth"
STYLE_LAYERS = {
    "efflite0": ("stem", "block0", "block2", "block4"),
    "vgg19": ("conv11", "conv21", "conv31", "conv41", "conv51"),
    "compressed-vgg19": ("conv11", "conv21", "conv31", "conv41", "conv51"),
}
CONTENT_LAYER = {"efflite0": "block4", "vgg19": "conv42", "compressed-vgg19": "conv41"}


@dataclass(frozen=True)
class PaintingOptions:
    """Settings of Gatys et al. 2016, equation 7; each loss is relative to the size of its target."""

    network: str
    content_weight: float  # alpha
    style_weight: float  # beta
    layers: tuple[str, ...]  # style layers; empty: all
    steps: int
    seed: int


def vgg19_path() -> Path:
    """The file in which torchvision stores the VGG-19 weights that it has downloaded."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser() / "hub" / "checkpoints" / VGG19_FILE


def available_networks(compressed_folder: Path | None) -> list[str]:
    """Names of the networks whose weights are on this machine, best first."""
    found = ["vgg19"] if vgg19_path().exists() else []
    found += ["compressed-vgg19"] if compressed_folder is not None else []
    return [*found, "efflite0"]
