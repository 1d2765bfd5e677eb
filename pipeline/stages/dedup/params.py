"""The section `dedup` of params.yaml."""

from typing import Annotated

from pydantic import Field

from pipeline.section import Count, Section


class EditedParams(Section):
    """When a picture is taken for an edit of another: cut, framed, flipped, turned, squeezed, recoloured, covered in part."""

    neighbours: Annotated[int, Field(ge=1, le=256)]  # candidates of a picture in each of its views
    min_similarity: Annotated[float, Field(ge=-1, le=1)]  # of candidates' descriptors
    min_agreement: Annotated[float, Field(gt=0, le=1)]  # of the detail of the two, one laid over the other …
    min_texture: Annotated[float, Field(ge=-1, le=1)]  # … and of their fine detail alone, which tells plain garments apart


class DedupParams(Section):
    max_distance_bits: Annotated[int, Field(ge=0, le=16)]  # Hamming, inclusive
    # Confirms a candidate: √(2 - 2 correlation) of the two 16×16 thumbnails, 0 for equal, inclusive.
    max_thumbnail_difference: Annotated[float, Field(ge=0, le=2)]
    mirrored: bool  # whether a mirror image is a duplicate
    edited: EditedParams | None  # edits are looked for; null: only what the hashes find
    preferred_licences: list[str]  # of pictures alike in size and sharpness, one with the first of these stands for the group
    max_group: Count  # a larger group is cut down to those close to its representative
