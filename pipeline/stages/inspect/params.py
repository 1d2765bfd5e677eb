"""The section `inspect` of params.yaml."""

from pipeline.imaging.measures import Detector
from pipeline.section import Count, GreyLevel, Positive, Section


class InspectParams(Section):
    max_pixels: Count = 50_000_000
    """Pixels of the largest picture that is decoded."""
    max_memory_bytes: Count = 2_000_000_000
    """Memory for decoding and measuring one picture; a picture that needs more becomes a row with a reason."""
    timeout_s: Positive = 30.0
    """Time for decoding and measuring one picture; a picture that takes longer becomes a row with a reason."""
    background_tolerance: GreyLevel = 12
    """Largest difference from the colour of the border at which a pixel counts as background."""
    detect: list[Detector] = []
    """Detectors to run, tens of milliseconds each per picture: overlaid text, faces, clothing or not, the garment's mask."""
    sketch: bool = False
    """Keep a 64×64 sketch of each picture, which dedup.edited needs."""
