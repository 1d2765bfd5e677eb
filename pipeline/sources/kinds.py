"""What kind of picture some bytes are, by the bytes: the header of a response may say anything."""

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
