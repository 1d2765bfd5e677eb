"""Decode a picture in the sandbox and resize it to what training needs, so that only small arrays leave the sandbox."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.imaging.decoding import UndecodableError, decode
from pipeline.imaging.sandbox import SandboxFailure
from pipeline.stages.augment.transforms import Frame, fill_colour, fit_to_frame, pixels_of, resize_to_frame

Box = tuple[float, float, float, float]  # of a face, as in imaging.faces


@dataclass(frozen=True)
class Request:
    """What augment needs of a picture."""

    faces: tuple[Box, ...]  # to be blurred
    mask: bytes | None  # of the garment, packed, if the frame needs it
    oversizes: frozenset[int]  # of its copies: see Placement.oversize


@dataclass(frozen=True)
class Shrunk:
    """The answer to a Request."""

    framed: NDArray[np.uint8]  # (H, W, C), without random changes
    resized: Mapping[int, NDArray[np.uint8]]  # by oversize, (H, W), (H, W, 3) or (H, W, 4), from transforms.resize_to_frame

    def images(self) -> dict[int, Image.Image]:
        """The resized picture by oversize, for changes.changed_copies."""
        return {oversize: Image.fromarray(pixels) for oversize, pixels in self.resized.items()}


def _cut(image: Image.Image, packed_mask: bytes, frame: Frame) -> Image.Image:
    """The picture or the window around its garment; mode RGBA, with the garment's alpha, unless the frame keeps its ground."""
    from pipeline.imaging.cut_outs import crop_beyond, cut_out, garment_window  # import OpenCV
    from pipeline.imaging.garment_masks import unpacked

    mask = unpacked(packed_mask)
    if frame.ground != "keep":
        image = cut_out(image, mask)
    if not frame.on_garment:
        return image
    window = garment_window(mask, image.size, frame.width / frame.height, frame.garment_share)
    return crop_beyond(image, window, fill_colour(image, frame.pad_value))


def _shrunk(image: Image.Image, request: Request, frame: Frame, channels: int) -> Shrunk:
    if request.faces:
        from pipeline.imaging.faces import with_faces_blurred  # imports OpenCV

        image = with_faces_blurred(image, request.faces)
    if request.mask is not None:
        image = _cut(image, request.mask, frame)
    if frame.ground == "transparent":
        image = image.convert("RGBA")  # a picture in which no garment was found is opaque, its padding is not
    small = {oversize: np.asarray(resize_to_frame(image, frame, oversize)) for oversize in request.oversizes}
    return Shrunk(pixels_of(fit_to_frame(image, frame), channels), small)


def shrunk(task: tuple[bytes, list[Request]], max_pixels: int, frame: Frame, channels: int) -> list[Shrunk] | SandboxFailure:
    """The picture for each request of `task`, decoded once."""
    content, requests = task
    try:
        image = decode(content, max_pixels).image
    except UndecodableError as error:
        return SandboxFailure(str(error))
    return [_shrunk(image, request, frame, channels) for request in requests]
