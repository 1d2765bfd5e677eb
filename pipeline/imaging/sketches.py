"""Sketches: small square grey pictures that stand for large ones when these are compared, and descriptors to find them by.

A descriptor is the low frequencies of a sketch. The cosine transform turns flips and turns of a picture into signs and a
transposition of its coefficients, so a descriptor of any of the eight views of a picture costs next to nothing.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SKETCH_SIDE_PX = 64
FRAME_TOLERANCE = 12  # grey levels
FRAME_SHARE = 0.98  # of a line's pixels, so that JPEG's ringing does not hide a frame
MAX_FRAME = 0.25  # of the side; what goes further is a background, not a frame
FREQUENCIES = 10
VIEW_SHARES = (1.0, 0.9)  # of the side that is looked at: a cut picture is found by what is left of it

# The eight flips and turns, as maps of centred points: a view shows at x what the picture has at ORIENTATIONS[view] @ x.
ORIENTATIONS: NDArray[np.float32] = np.array(
    [
        *([[right, 0], [0, down]] for right in (1, -1) for down in (1, -1)),
        *([[0, right], [down, 0]] for right in (1, -1) for down in (1, -1)),
    ],
    dtype=np.float32,
)
IS_MIRROR: NDArray[np.bool_] = np.linalg.det(ORIENTATIONS) < 0


def _frame_depth(lines: NDArray[np.uint8]) -> int:
    """How many of `lines`, from the outside inwards, are of one colour, the first one's; 0 where nearly all are."""
    outer = lines[: int(MAX_FRAME * len(lines))]
    if not len(outer):
        return 0
    colour = int(np.sort(outer[0])[outer.shape[1] // 2])  # an int: beside a float all of them would become floats
    for some in (outer[:1], outer):  # most pictures have no frame, which their first line tells
        near = (some >= max(colour - FRAME_TOLERANCE, 0)) & (some <= min(colour + FRAME_TOLERANCE, 255))
        broken = np.flatnonzero(near.mean(axis=1) < FRAME_SHARE)
        if len(broken):
            return int(broken[0])
    return 0


def content_box(grey: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of what a plain frame around `grey` (H, W) encloses: its whole where there is none.

    A frame has two opposite sides at least; a plain margin on one side belongs to the picture.
    """
    height, width = grey.shape
    top, bottom, left, right = (_frame_depth(lines) for lines in (grey, grey[::-1], grey.T, grey.T[::-1]))
    if not (top and bottom):
        top = bottom = 0
    if not (left and right):
        left = right = 0
    return left, top, width - right, height - bottom


def sketch(grey: Image.Image) -> NDArray[np.uint8]:
    """`grey`, of mode L, without its frame, as (64, 64) by area averages, out of shape where it is not square."""
    box = content_box(np.asarray(grey))
    side = (SKETCH_SIDE_PX, SKETCH_SIDE_PX)
    return np.asarray(grey.resize(side, Image.Resampling.BOX, box=box, reducing_gap=8.0))


def _spectra(sketches: NDArray[np.uint8], share: float) -> NDArray[np.float32]:
    """Low cosine coefficients (N, 10, 10) of the middle `share` of the side of `sketches` (N, S, S)."""
    at = ((np.arange(sketches.shape[1]) + 0.5) / sketches.shape[1] - (1 - share) / 2) / share
    waves = np.cos(np.pi * np.arange(FREQUENCIES)[:, None] * at) * ((at > 0) & (at < 1))
    waves = (waves / share).astype(np.float32)
    return waves @ sketches.astype(np.float32) @ waves.T


def _descriptors(spectra: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors (N, D) of `spectra`, weighted by frequency: pictures have little of the high ones."""
    order = np.arange(FREQUENCIES)
    radius = np.hypot(order[:, None], order)
    used = (radius > 0) & (radius < FREQUENCIES)
    weighted = spectra[:, used] * radius[used].astype(np.float32)
    return weighted / np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-6)


def descriptors(sketches: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Unit vectors (N, D) of the whole of `sketches` (N, S, S): the more alike two pictures, the larger their product."""
    return _descriptors(_spectra(sketches, 1.0))


def views(sketches: NDArray[np.uint8], mirrored: bool) -> Iterator[tuple[int, float, NDArray[np.float32]]]:
    """(orientation, share of the side looked at, descriptors) of every view of `sketches`; no mirror images unless asked."""
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
