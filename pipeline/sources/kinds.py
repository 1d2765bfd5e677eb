"""What kind of picture some bytes are, by the bytes: the header of a response may say anything."""

import re

SIGNATURES = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\x00", "tif"),
    (b"MM\x00*", "tif"),
)
AVIF_BRANDS = frozenset({b"avif", b"avis"})
# As `type` in markup and feeds names what a decoder would be tried on.
DECODED_TYPES = frozenset(
    {"jpeg", "jpg", "pjpeg", "jfif", "png", "x-png", "apng", "gif", "webp", "avif", "bmp", "x-ms-bmp", "tiff", "tif"}
)
UNDECODED_NAMES = re.compile(r"\.(?:svgz?|ico|jxl|hei[cf]s?|jp2|j2k|jpx|jxr|wdp|psd|pdf|mp4|m4v|webm|mov)$", re.IGNORECASE)


def picture_extension(content: bytes) -> str | None:
    """The extension for a picture that begins like `content`, or none when no decoder would be tried on it."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    if content[4:8] == b"ftyp":
        brands = {content[8:12], *(content[start : start + 4] for start in range(16, min(len(content), 64), 4))}
        return "avif" if brands & AVIF_BRANDS else None
    return next((extension for signature, extension in SIGNATURES if content.startswith(signature)), None)


def looks_like(content: bytes) -> str:
    """What bytes that are no picture seem to be, for a reason in a table."""
    head = content[:512].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if b"<svg" in head:
        return "an SVG drawing"
    return "no picture"


def is_decoded_type(media_type: str) -> bool:
    """Whether a picture of this media type would be decoded; an empty one says nothing, and so rules nothing out."""
    kind, _, name = media_type.partition(";")[0].strip().lower().partition("/")
    return kind in ("", "image") and (not name or name in DECODED_TYPES)


def is_undecoded_name(path: str) -> bool:
    """Whether a path ends in an extension of what no decoder would be tried on."""
    return UNDECODED_NAMES.search(path) is not None
