"""The section `augment` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.section import Count, GreyLevel, Section, Seed, Share


class AugmentParams(Section):
    attributes: list[str] = []
    """Further columns of a manifest, such as colour, on which the training can be conditioned."""
    height: Annotated[int, Field(ge=16, le=512)] = 32
    """Height of the training pictures in pixels."""
    width: Annotated[int, Field(ge=16, le=512)] = 32
    """Width of the training pictures in pixels."""
    channels: Literal[1, 3] = 1
    """1: grey, 3: RGB."""
    fit: Literal["pad", "crop", "stretch"] = "pad"
    """How a picture of another shape fills the frame."""
    upscale: bool = False
    """Enlarge pictures that are smaller than the frame; else they are padded."""
    resize_filter: Literal["box", "bilinear", "bicubic", "lanczos"] = "lanczos"
    """Filter for resizing."""
    pad_value: GreyLevel | Literal["edge"] = 0
    """Grey level of the padding; edge: repeat the border of the picture."""
    copies: Count = 1
    """Training pictures made from each picture; the first is not augmented."""
    rotate_degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Largest rotation in either direction."""
    min_scale: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Smallest scale factor."""
    max_scale: Annotated[float, Field(ge=1)] = 1.0
    """Largest scale factor."""
    translate: Share = 0.0
    """Largest shift, relative to the side."""
    crop: Share = 0.0
    """Largest crop, relative to the side."""
    flip_categories: list[str] = []
    """Categories of symmetric garments, which are mirrored at random; ["*"]: all."""
    brightness: Share = 0.0
    """Largest relative change of brightness."""
    saturation: Share = 0.0
    """Largest relative change of saturation."""
    contrast: Share = 0.0
    """Largest relative change of contrast."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest change of hue, relative to the colour circle."""
    blur_faces: bool = False
    """Blur people's faces beyond recognition; needs inspect.detect faces."""
    seed: Seed = 0
    """Seed of the augmentation."""
