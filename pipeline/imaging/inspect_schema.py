"""The schema of data/inspect: what is known of each decoded picture, its measures among it."""

import pyarrow as pa

from pipeline.imaging.measures import inspected_measures
from pipeline.storage.tables import GARMENT_ATTRIBUTES, KNOWN, column

INSPECT = pa.schema(
    [
        column("key", pa.string(), "row of the manifest"),
        column("sha256", pa.string(), "bytes of the picture"),
        column("decoded", pa.bool_(), "whether the whole picture could be decoded"),
        column("reason", pa.string(), "why it could not", nullable=True),
        column("format", pa.string(), "format by content: JPEG, PNG, WEBP, GIF, …", nullable=True),
        column("mode", pa.string(), "Pillow mode before conversion: L, RGB, P, CMYK, …", nullable=True),
        column(
            "profile",
            pa.string(),
            "its colour profile: `none`, `sRGB`, `converted` to sRGB, or `ignored: ` and why",
            nullable=True,
        ),
        KNOWN.field("width"),
        KNOWN.field("height"),
        *(column(measure.name, pa.float32(), measure.meaning, nullable=True) for measure in inspected_measures()),
        column("faces", pa.string(), "JSON list of [left, top, right, bottom] as shares of the sides", nullable=True),
        column("features", pa.binary(2560), "EfficientNet-Lite0's 1,280 features, float16, little-endian", nullable=True),
        column(
            "garment", pa.binary(), "mask of the garment: PNG of one bit a pixel, 128 pixels on the longer side", nullable=True
        ),
        column(
            "garment_kind",
            pa.string(),
            "which outline was expected: `top`, `dress`, …, after the category's name",
            nullable=True,
        ),
        *GARMENT_ATTRIBUTES,
        *(KNOWN.field(name) for name in ("phash", "phash_mirrored", "thumbnail", "sketch")),
    ]
)
