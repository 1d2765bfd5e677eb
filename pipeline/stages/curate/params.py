"""The section `curate` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.section import Count, NotNegative, NumberOrQuantile, Positive, Section, Seed, Share


class CurateParams(Section):
    """Inclusive limits of measures, each a number or `{quantile: Q}` of the pictures that could be decoded."""

    min_side_px: NumberOrQuantile[Count] = 28
    """Shorter side of the picture."""
    max_size_ratio: NumberOrQuantile[Annotated[float, Field(ge=1)]] = 1000.0
    """How many times larger or smaller than the median picture."""
    max_aspect: NumberOrQuantile[Annotated[float, Field(ge=1)]] = 3.0
    """Longer side divided by shorter side."""
    min_sharpness: NumberOrQuantile[NotNegative] = 0.0
    """Sharpness (docs/tables.md); 0 keeps all."""
    min_brightness: NumberOrQuantile[Share] = 0.01
    """Mean luma."""
    max_brightness: NumberOrQuantile[Share] = 0.99
    """Mean luma."""
    min_highlight: NumberOrQuantile[Share] = 0.0
    """Luma of the brightest pixels; below the limit the picture is underexposed."""
    max_shadow: NumberOrQuantile[Share] = 1.0
    """Luma of the darkest pixels; above the limit the picture is washed out."""
    min_contrast: NumberOrQuantile[NotNegative] = 0.02
    """Contrast of the luma (docs/tables.md)."""
    min_entropy_bits: NumberOrQuantile[NotNegative] = 1.0
    """Entropy of the grey levels."""
    min_levels: NumberOrQuantile[Share] = 0.0
    """Share of the grey levels that occur; above 0 drops posterised pictures."""
    min_colourfulness: NumberOrQuantile[NotNegative] = 0.0
    """Colourfulness; above 0 drops grey pictures."""
    max_background: NumberOrQuantile[Share] = 1.0
    """Share of the picture that is background; above the limit the garment is too small."""
    max_cut_off: NumberOrQuantile[Share] = 1.0
    """Share of the picture's middle in the colours of its edge."""
    max_second: NumberOrQuantile[Share] = 1.0
    """Size of the second largest piece of the foreground, relative to the largest."""
    max_text: NumberOrQuantile[NotNegative] | None = None
    """Letters in the longest line of overlaid text; needs inspect.detect text. null: no limit."""
    max_face: NumberOrQuantile[Share] | None = None
    """Height of a person's face relative to the picture, 0 drops every face; needs inspect.detect faces. null: no limit."""
    min_clothing: NumberOrQuantile[Share] | None = None
    """Probability that the picture shows clothing; needs inspect.detect clothing. null: no limit."""
    max_irrelevance: NumberOrQuantile[Positive] | None = None
    """Distance to the nearest category, 1 for a typical picture; needs inspect.detect clothing. null: no limit."""
    max_misplacement: NumberOrQuantile[NotNegative] | None = None
    """How much closer the picture is to another category than to its own; needs inspect.detect clothing. null: no limit."""
    min_per_category: Count = 100
    """Pictures in a category at least; a smaller category is dropped whole."""
    split: Literal["source", "hash"] = "source"
    """source: the split that the source gives, where it gives one; hash: by a hash of each near-duplicate group."""
    validation_share: Share = 0.0
    """Share of the groups in the validation split."""
    test_share: Share = 0.15
    """Share of the groups in the test split, where the source gives none."""
    seed: Seed = 0
    """Seed of the split."""
