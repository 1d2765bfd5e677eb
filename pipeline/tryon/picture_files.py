"""Files that a try-on starts from: pictures, and joints set by hand."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.imaging.outlines import Point
from pipeline.imaging.sandbox import SandboxFailure
from pipeline.imaging.sandboxed_decoding import sandboxed_pixels
from pipeline.tryon.body import JOINTS

SIDE_PX = 1024


def read_picture(path: Path, *, alpha: bool = False) -> NDArray[np.uint8]:
    """The picture (H, W, 3) in a file, its longer side at most SIDE_PX; with `alpha`, (H, W, 4) for a transparent PNG.

    Raises InputError.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a picture") from None
    [picture] = sandboxed_pixels([content], SIDE_PX, alpha=alpha)
    if isinstance(picture, SandboxFailure):
        raise InputError(f"{path}: is no picture that can be read ({picture.reason}); save it as JPEG or PNG")
    return picture if picture.shape[-1] >= 3 else picture.repeat(3, axis=2)


def read_anchors(path: Path, picture: NDArray[np.uint8]) -> dict[str, Point]:
    """Joints by name, in the pixels of `picture`. Raises InputError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        anchors = {name: np.array([float(x), float(y)]) for name, (x, y) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f'{path}: is no file of anchors ({error}); write {{"left_shoulder": [120, 80], …}}') from None
    unknown = [name for name in anchors if name not in JOINTS]
    if unknown:
        raise InputError(f"{path}: {unknown[0]}: is no joint; known are {', '.join(JOINTS)}")
    size = np.array(picture.shape[1::-1])
    outside = [name for name, point in anchors.items() if not (np.abs(point - size / 2) <= 1.5 * size).all()]
    if outside:
        raise InputError(f"{path}: {outside[0]}: lies far outside the picture of {size[0]}×{size[1]} pixels")
    return anchors
