"""Random changes made to a picture on its way into the frame, by torchvision, which takes seconds to import."""

from collections.abc import Iterable, Mapping

from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from pipeline.stages.augment.transforms import FILTERS, Change, Fill, Frame, centred, fill_colour, resize_to_frame


def _moved(image: Image.Image, change: Change, fill: Fill) -> Image.Image:
    """`image` turned and scaled about its middle, then shifted; bicubic."""
    return functional.affine(
        image,
        angle=-change.degrees,  # torchvision turns clockwise
        translate=[change.shift_x * image.width, change.shift_y * image.height],
        scale=change.scale,
        shear=[0.0, 0.0],
        interpolation=InterpolationMode.BICUBIC,
        fill=fill,
    )


def _recoloured(image: Image.Image, change: Change) -> Image.Image:
    """`image` with its colours changed, in the order brightness, contrast, saturation, hue; grey has no colours to change."""
    if change.brightness != 1:
        image = functional.adjust_brightness(image, change.brightness)
    if change.contrast != 1:
        image = functional.adjust_contrast(image, change.contrast)
    if change.saturation != 1 and image.mode == "RGB":
        image = functional.adjust_saturation(image, change.saturation)
    if change.hue != 0 and image.mode == "RGB":
        image = functional.adjust_hue(image, change.hue)
    return image


def _changed(shrunk: Image.Image, frame: Frame, change: Change) -> Image.Image:
    picture = _recoloured(functional.horizontal_flip(shrunk) if change.mirrored else shrunk, change)
    fill = fill_colour(picture, frame.pad_value)
    placed = centred(picture, (frame.width * change.oversize, frame.height * change.oversize), fill)
    if change.oversize == 1:
        return placed
    # Not functional.resize, which does not know every filter that a frame can name.
    return _moved(placed, change, fill).resize((frame.width, frame.height), FILTERS[frame.resize_filter])


def changed_copies(shrunk: Mapping[int, Image.Image], frame: Frame, changes: Iterable[Change]) -> list[Image.Image]:
    """A picture in the frame with each of `changes` made to it; `shrunk` holds it, of mode L or RGB, resized for each oversize.

    Margins keep the frame's own grey level.
    """
    return [_changed(shrunk[change.oversize], frame, change) for change in changes]


def apply_changes(image: Image.Image, frame: Frame, changes: list[Change]) -> list[Image.Image]:
    """`image`, of mode L or RGB, in the frame with each of `changes` made to it."""
    shrunk = {oversize: resize_to_frame(image, frame, oversize) for oversize in {change.oversize for change in changes}}
    return changed_copies(shrunk, frame, changes)
