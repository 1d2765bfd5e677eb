"""What kind of picture some bytes are, by the bytes: the header of a response may say anything."""

from pipeline.images.formats import format_of, how_to_read


def picture_extension(content: bytes) -> str | None:
    """The extension for a picture that begins like `content`, or None when no decoder here would be tried on it."""
    found = format_of(content)
    return found.extension if found is not None and found.is_read else None


def looks_like(content: bytes) -> str:
    """What bytes that are no picture seem to be, for a reason in a table."""
    found = format_of(content)
    if found is not None and not found.is_read:
        return f"a picture in {found.title} ({how_to_read(found)})"
    head = content[:512].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if b"<svg" in head:
        return "an SVG drawing"
    return "no picture"
