"""The attributes of a garment that `inspect` sees in its picture: their names and values, from which columns follow.

What measures them is in pipeline/imaging/garment_attributes.py, an entry of MEASURES each.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class SeenAttribute:
    """An attribute with one value of a few, or none where it is not measurable."""

    values: tuple[str, ...]
    meaning: str  # of its column
    confidence: str  # meaning of the column of its confidence, in [0, 1]
    network: str | None = None  # the feature extractor whose network measures it


CLEARNESS = "how far its ratio is from the nearest limit, in [0, 1]"

SEEN_ATTRIBUTES = {
    "colour": SeenAttribute(
        ("black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown"),
        "what most of the garment has, of eleven basic colour terms",
        "how clearly it leads, in [0, 1]",
    ),
    "pattern": SeenAttribute(
        ("plain", "striped", "checked", "dotted", "printed"),
        "`plain`, `striped`, `checked`, `dotted` or `printed`",
        "its probability, in [0, 1]",
        network="efflite0",
    ),
    "length": SeenAttribute(
        ("short", "medium", "long"),
        "of a dress, a skirt, trousers or shorts: `short` (above the knee), `medium` (to the calf) or `long`",
        CLEARNESS,
    ),
    "sleeve": SeenAttribute(
        ("none", "short", "long"),
        "of a top, a dress or outerwear: `none`, `short` or `long`",
        "how far its probability leads, in [0, 1]",
    ),
    "fit": SeenAttribute(
        ("narrow", "regular", "wide"),
        "`narrow`, `regular` or `wide`: the hem of a dress or skirt, the legs of trousers or shorts",
        CLEARNESS,
    ),
}
