"""A picture as small as training needs it, from its bytes: all that is done at its full size.

Made to run in `images.guarded`: the bytes come from anywhere, and what comes back is small.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.imaging.decoding import UndecodableError, decode
from pipeline.imaging.sandbox import SandboxFailure
from pipeline.stages.augment.transforms import Frame, fit_to_frame, pixels_of, resize_to_frame

Box = tuple[float, float, float, float]  # of a face, as in images.faces


@dataclass(frozen=True)
class Request:
    """How a picture is wanted."""

    faces: tuple[Box, ...]  # to be blurred
    oversizes: frozenset[int]  # of its copies: how many times the frame it is while it is changed


@dataclass(frozen=True)
class Shrunk:
    """A picture as it was requested."""

    framed: NDArray[np.uint8]  # the untouched one, (H, W, C)
    resized: Mapping[int, NDArray[np.uint8]]  # by oversize, (H, W) or (H, W, 3), as transforms.resized gives them

    def images(self) -> dict[int, Image.Image]:
        """What copies are made of, by oversize."""
        return {oversize: Image.fromarray(pixels) for oversize, pixels in self.resized.items()}


def _shrunk(image: Image.Image, request: Request, frame: Frame, channels: int) -> Shrunk:
    if request.faces:
        from pipeline.imaging.faces import with_faces_blurred  # with OpenCV

        image = with_faces_blurred(image, request.faces)
    small = {oversize: np.asarray(resize_to_frame(image, frame, oversize)) for oversize in request.oversizes}
    return Shrunk(pixels_of(fit_to_frame(image, frame), channels), small)


def shrunk(task: tuple[bytes, list[Request]], max_pixels: int, frame: Frame, channels: int) -> list[Shrunk] | SandboxFailure:
    """The picture in the bytes of `task`, decoded once, as each of the requests wants it."""
    content, requests = task
    try:
        image = decode(content, max_pixels).image
    except UndecodableError as error:
        return SandboxFailure(str(error))
    return [_shrunk(image, request, frame, channels) for request in requests]
