"""The section `augment` of params.yaml."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, create_model

from pipeline.section import Count, GreyLevel, Section, Seed, Share
from pipeline.stages.augment.changes import parameters
from pipeline.storage.garment_attributes import SEEN_ATTRIBUTES
from pipeline.words.vocabulary import LANGUAGES, Language

if TYPE_CHECKING:
    SeenName = str
else:
    SeenName = Literal[tuple(SEEN_ATTRIBUTES)]  # of storage/garment_attributes.py

Colour = Annotated[list[GreyLevel], Field(min_length=3, max_length=3)]


class PackingParams(Section):
    """How pictures fill the arrays."""

    attributes: list[str] = []
    """Further columns of a list, such as season, on which the training can be conditioned."""
    garment_attributes: list[SeenName] = []
    """What inspect sees of the garment, on which the training can be conditioned. Needs inspect.detect garment."""
    min_attribute_confidence: Share = 0.2
    """Least confidence of such an attribute; below it the picture's is unknown."""
    captions: Annotated[int, Field(ge=0, le=64)] = 0
    """Captions of each picture, from its title, category, colours and pattern, for train.condition text; 0: none. Needs the
    extra words."""
    caption_languages: Annotated[list[Language], Field(min_length=1)] = [*LANGUAGES]
    """Languages of the captions that are made from attributes."""
    height: Annotated[int, Field(ge=16, le=512)] = 32
    """Height of the training pictures in pixels."""
    width: Annotated[int, Field(ge=16, le=512)] = 32
    """Width of the training pictures in pixels."""
    channels: Literal[1, 3] = 1
    """1: grey, 3: RGB; alpha comes on top."""
    fit: Literal["pad", "crop", "stretch"] = "pad"
    """How a picture of another shape fills the frame."""
    upscale: bool = False
    """Enlarge pictures that are smaller than the frame; else they are padded."""
    resize_filter: Literal["box", "bilinear", "bicubic", "lanczos"] = "lanczos"
    """Filter for resizing."""
    pad_value: GreyLevel | Literal["edge"] | Colour = 0
    """Grey level or [red, green, blue] of the padding and of a plain ground; edge: the colour of the picture's border."""
    ground: Literal["keep", "plain", "transparent"] = "keep"
    """What is behind the garment: keep: the photograph's background; plain: pad_value; transparent: nothing, pictures have an
    alpha channel. Needs inspect.detect garment."""
    frame: Literal["picture", "garment"] = "picture"
    """What is fitted into width × height: the whole picture, or its garment, centred. Needs inspect.detect garment."""
    garment_share: Annotated[float, Field(gt=0, le=1)] = 0.92
    """Share of the width or height that the garment fills with frame: garment."""
    copies: Count = 1
    """Training pictures made from each picture; the first is not augmented."""


if TYPE_CHECKING:

    class ChangeParams(Section):
        flip_categories: list[str] = []  # which other modules read

else:
    ChangeParams = create_model("ChangeParams", __base__=Section, **parameters())  # of changes.py


class AugmentParams(ChangeParams, PackingParams):
    """The section; its keys are listed in the order of the bases, the last one first."""

    blur_faces: bool = False
    """Blur people's faces beyond recognition; needs inspect.detect faces."""
    seed: Seed = 0
    """Seed of the augmentation."""

    @property
    def packed_channels(self) -> int:
        """Channels of the packed pictures, alpha included."""
        return self.channels + (self.ground == "transparent")

    @property
    def cuts_out(self) -> bool:
        """Whether the masks of the garments are needed."""
        return self.ground != "keep" or self.frame == "garment"
