"""The section `augment` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.section import Count, Grey, Section, Seed, Share


class AugmentParams(Section):
    attributes: list[str]  # further columns of a manifest's rows, such as colour, on which training may be conditioned
    height: Annotated[int, Field(ge=16, le=512)]
    width: Annotated[int, Field(ge=16, le=512)]
    channels: Literal[1, 3]
    fit: Literal["pad", "crop", "stretch"]  # how a picture of another shape fills the frame
    upscale: bool  # whether a picture smaller than the frame is enlarged (else it is padded)
    resize_filter: Literal["box", "bilinear", "bicubic", "lanczos"]
    pad_value: Grey | Literal["edge"]
    copies: Count  # training pictures made of each picture; the first is untouched
    rotate_degrees: Annotated[float, Field(ge=0, le=180)]  # up to, either way
    min_scale: Annotated[float, Field(gt=0, le=1)]
    max_scale: Annotated[float, Field(ge=1)]
    translate: Share  # up to, of the side
    crop: Share  # up to, of the side
    flip_categories: list[str]  # symmetric garments, flipped at random; ["*"] for all
    brightness: Share
    saturation: Share
    contrast: Share
    hue: Annotated[float, Field(ge=0, le=0.5)]  # share of the colour circle
    blur_faces: bool  # whether people's faces are made unrecognisable
    seed: Seed
