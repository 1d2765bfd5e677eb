"""Sketches: small square grey versions of pictures for comparing them, and descriptors for finding candidates.

A descriptor holds the low cosine frequencies of a sketch. Flips and rotations by 90° only change signs and transpose the
coefficients, so the descriptors of all eight orientations cost next to nothing.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SKETCH_SIDE_PX = 64
FRAME_TOLERANCE = 12  # grey levels
FRAME_SHARE = 0.98  # of a line's pixels; JPEG ringing changes the rest
MAX_FRAME = 0.25  # of the side; a deeper one is a background, not a frame
FREQUENCIES = 10
VIEW_SHARES = (1.0, 0.9)  # of the side: a cropped picture matches the middle of the original

BLOCK = 4096  # sketches at a time: a million as float32 would take 16 GB

# The eight flips and rotations of centred points: a view shows at x what the picture shows at ORIENTATIONS[view] @ x.
ORIENTATIONS: NDArray[np.float32] = np.array(
    [
        *([[right, 0], [0, down]] for right in (1, -1) for down in (1, -1)),
        *([[0, right], [down, 0]] for right in (1, -1) for down in (1, -1)),
    ],
    dtype=np.float32,
)
IS_MIRROR: NDArray[np.bool_] = np.linalg.det(ORIENTATIONS) < 0


class SketchRows(Protocol):
    """Sketches (N, 64, 64) uint8: an array, or rows of a file."""

    def __len__(self) -> int: ...

    def __getitem__(self, which: slice | NDArray[np.int64], /) -> NDArray[np.uint8]: ...


def blocks(sketches: SketchRows) -> Iterator[NDArray[np.uint8]]:
    """All of `sketches`, at least one array of them, each (M, 64, 64)."""
    for start in range(0, max(1, len(sketches)), BLOCK):
        yield sketches[start : start + BLOCK]


def _frame_depth(lines: NDArray[np.uint8]) -> int:
    """How many of the outer `lines` have the colour of the first; 0 if nearly all have."""
    outer = lines[: int(MAX_FRAME * len(lines))]
    if not len(outer):
        return 0
    colour = int(np.sort(outer[0])[outer.shape[1] // 2])  # an int, so that the comparisons stay in integers
    for some in (outer[:1], outer):  # most pictures have no frame, which the first line shows
        near = (some >= max(colour - FRAME_TOLERANCE, 0)) & (some <= min(colour + FRAME_TOLERANCE, 255))
        broken = np.flatnonzero(near.mean(axis=1) < FRAME_SHARE)
        if len(broken):
            return int(broken[0])
    return 0


def content_box(grey: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of `grey` (H, W) without a plain frame.

    A frame has at least two opposite sides; a plain margin on one side belongs to the picture.
    """
    height, width = grey.shape
    top, bottom, left, right = (_frame_depth(lines) for lines in (grey, grey[::-1], grey.T, grey.T[::-1]))
    if not (top and bottom):
        top = bottom = 0
    if not (left and right):
        left = right = 0
    return left, top, width - right, height - bottom


def sketch(grey: Image.Image) -> NDArray[np.uint8]:
    """Area averages (64, 64) of `grey`, mode L, without its frame; a picture that is not square is stretched."""
    box = content_box(np.asarray(grey))
    side = (SKETCH_SIDE_PX, SKETCH_SIDE_PX)
    return np.asarray(grey.resize(side, Image.Resampling.BOX, box=box, reducing_gap=8.0))


def _spectra(sketches: SketchRows, share: float) -> NDArray[np.float32]:
    """Low cosine coefficients (N, 10, 10) of the middle of `sketches`, `share` of each side."""
    at = ((np.arange(SKETCH_SIDE_PX) + 0.5) / SKETCH_SIDE_PX - (1 - share) / 2) / share
    waves = np.cos(np.pi * np.arange(FREQUENCIES)[:, None] * at) * ((at > 0) & (at < 1))
    waves = (waves / share).astype(np.float32)
    return np.concatenate([waves @ some.astype(np.float32) @ waves.T for some in blocks(sketches)])


def _descriptors(spectra: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors (N, D) from `spectra`, weighted by frequency because pictures have little energy in high ones."""
    order = np.arange(FREQUENCIES)
    radius = np.hypot(order[:, None], order)
    used = (radius > 0) & (radius < FREQUENCIES)
    weighted = spectra[:, used] * radius[used].astype(np.float32)
    return weighted / np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-6)


def descriptors(sketches: SketchRows) -> NDArray[np.float32]:
    """Unit vectors (N, D) of whole `sketches`; the dot product is the similarity."""
    return _descriptors(_spectra(sketches, 1.0))


def views(sketches: SketchRows, mirrored: bool) -> Iterator[tuple[int, float, NDArray[np.float32]]]:
    """(orientation, share of the side, descriptors) of every view of `sketches`; mirror images only if `mirrored`."""
    signs = (-1.0) ** np.arange(FREQUENCIES, dtype=np.float32)
    for share in VIEW_SHARES:
        plain = _spectra(sketches, share)
        for orientation, linear in enumerate(ORIENTATIONS):
            if IS_MIRROR[orientation] and not mirrored:
                continue
            turned = plain.transpose(0, 2, 1) if linear[0, 0] == 0 else plain
            across, down = (linear[0, 0] + linear[1, 0]), (linear[0, 1] + linear[1, 1])
            seen = turned * (signs if across < 0 else 1) * (signs[:, None] if down < 0 else 1)
            yield orientation, share, _descriptors(seen)
