"""The section `dedup` of params.yaml."""

from typing import Annotated

from pydantic import Field

from pipeline.section import Count, Section


class EditedParams(Section):
    """When a picture counts as an edit of another: cropped, framed, flipped, rotated, squeezed, recoloured, partly covered."""

    neighbours: Annotated[int, Field(ge=1, le=256)] = 16
    """Candidates for each view of a picture."""
    min_similarity: Annotated[float, Field(ge=-1, le=1)] = 0.75
    """Cosine similarity of the descriptors of two candidates."""
    min_agreement: Annotated[float, Field(gt=0, le=1)] = 0.7
    """Correlation of the two pictures after registration."""
    min_texture: Annotated[float, Field(ge=-1, le=1)] = 0.6
    """Correlation of their fine detail after registration, which tells plain garments apart."""


class DedupParams(Section):
    max_distance_bits: Annotated[int, Field(ge=0, le=16)] = 4
    """Largest Hamming distance between the hashes of two near-duplicates."""
    max_thumbnail_difference: Annotated[float, Field(ge=0, le=2)] = 0.1
    """Largest √(2 - 2 correlation) of the 16×16 thumbnails of two near-duplicates; 0 for equal thumbnails."""
    mirrored: bool = False
    """Treat mirror images as duplicates."""
    edited: EditedParams | None = None
    """Look for edited copies ({} for the defaults); null: only what the hashes find."""
    preferred_licences: list[str] = []
    """Licences in order of preference, for choosing among pictures of equal size and sharpness in a group."""
    max_group: Count = 50
    """Pictures in a group at most; a larger one is reduced to those close to its representative."""
