"""Photographs of a folder, decoded in a sandbox, because the folder may come from anywhere."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from pipeline.imaging.sandbox import SandboxFailure
from pipeline.imaging.sandboxed_decoding import sandboxed_pixels


def photographs(paths: Sequence[Path]) -> Iterator[tuple[Path, Image.Image]]:
    """Each of `paths` with its RGB image; files that cannot be decoded are logged and left out."""
    for path, pixels in zip(paths, sandboxed_pixels(path.read_bytes() for path in paths), strict=True):
        if isinstance(pixels, SandboxFailure):
            sys.stderr.write(f"{path}: left out ({pixels.reason})\n")
        else:
            yield path, Image.fromarray(pixels.squeeze()).convert("RGB")
