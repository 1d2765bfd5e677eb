"""The section `inspect` of params.yaml."""

from typing import Literal

from pipeline.section import Count, Grey, Positive, Section


class InspectParams(Section):
    max_pixels: Count  # a picture that unfolds to more is not decoded
    max_memory_bytes: Count  # of decoding and measuring a picture; one that needs more is a row with a reason …
    timeout_s: Positive  # … and so is one that takes longer
    background_tolerance: Grey  # difference from the border colour that still counts as background
    # What is looked for in pictures at a cost of tens of milliseconds each: text over it, people's faces, and (by a network)
    # clothing with features for the distance to the category.
    detect: list[Literal["text", "faces", "clothing"]]
    sketch: bool  # whether to keep a 64×64 sketch, by which dedup.edited compares pictures
