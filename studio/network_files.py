"""Which feature networks can be had on this machine, found without loading one."""

import os
from pathlib import Path

VGG19_FILE = "vgg19-dcbb9e9d.pth"
STYLE_LAYERS = {
    "efflite0": ("stem", "block0", "block2", "block4"),
    "vgg19": ("conv11", "conv21", "conv31", "conv41", "conv51"),
    "compressed-vgg19": ("conv11", "conv21", "conv31", "conv41", "conv51"),
}
CONTENT_LAYER = {"efflite0": "block4", "vgg19": "conv42", "compressed-vgg19": "conv41"}


def vgg19_path() -> Path:
    """Where torchvision keeps the weights of VGG-19 once they were downloaded."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser() / "hub" / "checkpoints" / VGG19_FILE


def available_networks(compressed_folder: Path | None) -> list[str]:
    """Names of the networks whose weights are here, the best first."""
    found = ["vgg19"] if vgg19_path().exists() else []
    found += ["compressed-vgg19"] if compressed_folder is not None else []
    return [*found, "efflite0"]
