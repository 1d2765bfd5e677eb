"""The garment of an uploaded photograph, cut out by the pipeline's mask in a sandbox, because importing torch is slow."""

from collections.abc import Iterator
from contextlib import closing

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.imaging.sandbox import SandboxFailure, SandboxLimits, sandboxed_map

LIMITS = SandboxLimits(memory_bytes=16 << 30, timeout_s=120.0)  # address space, which torch reserves freely


def _cut_out(photograph: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    from pipeline.imaging.cut_outs import cut_out  # imports OpenCV
    from pipeline.imaging.garment_cutter import GarmentCutter  # imports torch

    mask = GarmentCutter()(photograph).pixels
    return np.asarray(cut_out(Image.fromarray(photograph), mask)) if mask.any() else None


def garment_of(photograph: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The garment of `photograph` (H, W, 3) as straight RGBA (H, W, 4); None if no mask was found."""
    photographs: Iterator[NDArray[np.uint8]] = iter([photograph])
    with closing(sandboxed_map(_cut_out, photographs, LIMITS, processes=1, batch=1)) as results:
        [cut] = results
    return None if isinstance(cut, SandboxFailure) else cut
