"""The section `curate` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.section import Count, Limit, NotNegative, Positive, Section, Seed, Share


class CurateParams(Section):
    """Limits of measures, inclusive; each is a number or a quantile of the pictures that could be decoded."""

    min_side_px: Limit[Count]
    max_size_ratio: Limit[Annotated[float, Field(ge=1)]]  # how many times larger or smaller than the median picture
    max_aspect: Limit[Annotated[float, Field(ge=1)]]  # long side over short side
    min_sharpness: Limit[NotNegative]
    min_brightness: Limit[Share]
    max_brightness: Limit[Share]
    min_highlight: Limit[Share]  # luma of the brightest pixels; under it the picture is underexposed
    max_shadow: Limit[Share]  # luma of the darkest pixels; over it the picture is washed out
    min_contrast: Limit[NotNegative]
    min_entropy_bits: Limit[NotNegative]
    min_levels: Limit[Share]  # share of the grey levels that are used; over 0 drops what has been reduced to few
    min_colourfulness: Limit[NotNegative]  # over 0 drops grey pictures
    max_background: Limit[Share]  # over it the garment is too small
    max_cut_off: Limit[Share]  # share of the picture's middle in colours of its edge
    max_second: Limit[Share]  # size of the second piece in the foreground, of the largest's
    # These need what inspect.detect names; null: not looked at.
    max_text: Limit[NotNegative] | None  # letters in the longest line of letters
    max_face: Limit[Share] | None  # height of a person's face, of the picture's; 0 drops every picture with a face
    min_clothing: Limit[Share] | None  # probability of clothing
    max_irrelevance: Limit[Positive] | None  # distance to the nearest category, 1 for a typical picture
    max_misplacement: Limit[NotNegative] | None  # how much more it is like another category than its own, -1 to 1
    min_per_category: Count  # a smaller category is dropped whole
    split: Literal["source", "hash"]  # the source's own split where it has one, or by hash of the family of look-alikes
    validation_share: Share
    test_share: Share
    seed: Seed
