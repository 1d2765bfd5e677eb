"""Apply random changes to pictures with torchvision, which takes seconds to import."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from pipeline.stages.augment.transforms import FILTERS, Change, Fill, Frame, centred, fill_colour, on_ground, resize_to_frame

# By attribute of Change, in the order in which they are applied; grey pictures have no colour to adjust.
ADJUSTMENTS: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "brightness": functional.adjust_brightness,
    "contrast": functional.adjust_contrast,
    "saturation": functional.adjust_saturation,
    "hue": functional.adjust_hue,
}
COLOUR_ONLY = ("saturation", "hue")
IDENTITY = Change()


def _moved(image: Image.Image, change: Change, fill: Fill) -> Image.Image:
    """`image` rotated and scaled about its centre, then shifted; bicubic."""
    return functional.affine(
        image,
        angle=-change.degrees,  # torchvision rotates clockwise
        translate=[change.shift_x * image.width, change.shift_y * image.height],
        scale=change.scale,
        shear=[0.0, 0.0],
        interpolation=InterpolationMode.BICUBIC,
        fill=fill,
    )


def _recoloured(image: Image.Image, change: Change) -> Image.Image:
    if image.mode == "RGBA":  # only the garment: its mean colour, which contrast needs, stands in for what is transparent
        pixels = np.array(image)
        colours, seen = pixels[..., :3], pixels[..., 3] > 0
        if seen.any():
            colours[~seen] = colours[seen].mean(0)
        recoloured = _recoloured(Image.fromarray(colours), change)
        recoloured.putalpha(image.getchannel("A"))
        return recoloured
    for name, adjust in ADJUSTMENTS.items():
        value = getattr(change, name)
        if value != getattr(IDENTITY, name) and (image.mode == "RGB" or name not in COLOUR_ONLY):
            image = adjust(image, value)
    return image


def _changed(resized: Image.Image, frame: Frame, change: Change) -> Image.Image:
    picture = _recoloured(functional.horizontal_flip(resized) if change.mirrored else resized, change)
    fill = fill_colour(picture, frame.pad_value)
    placed = centred(picture, (frame.width * change.oversize, frame.height * change.oversize), fill)
    if change.oversize == 1:
        return on_ground(placed, frame)
    # functional.resize does not support every filter that a frame can name.
    return on_ground(_moved(placed, change, fill).resize((frame.width, frame.height), FILTERS[frame.resize_filter]), frame)


def changed_copies(resized: Mapping[int, Image.Image], frame: Frame, changes: Iterable[Change]) -> list[Image.Image]:
    """One framed copy for each of `changes`; `resized` holds the picture, mode L, RGB or RGBA, by oversize.

    The padding keeps the frame's own grey level.
    """
    return [_changed(resized[change.oversize], frame, change) for change in changes]


def apply_changes(image: Image.Image, frame: Frame, changes: list[Change]) -> list[Image.Image]:
    """One framed copy of `image`, mode L or RGB, for each of `changes`."""
    resized = {oversize: resize_to_frame(image, frame, oversize) for oversize in {change.oversize for change in changes}}
    return changed_copies(resized, frame, changes)
