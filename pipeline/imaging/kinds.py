"""What kind of picture some bytes are, by the bytes: the header of a response may say anything."""

from pipeline.imaging.formats import BY_EXTENSION, format_of, how_to_read

# Subtypes of image/… that markup and feeds use beside the extensions of the formats.
OTHER_SUBTYPES = frozenset({"x-png", "x-ms-bmp"})
NEVER_DECODED = frozenset(
    ["svg", "svgz", "ico", "jxl", "jp2", "j2k", "jpx", "jxr", "wdp", "psd", "pdf", "mp4", "m4v", "webm", "mov"]
)


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


def is_decoded_type(media_type: str) -> bool:
    """Whether a picture of this media type would be decoded; an empty one says nothing, and so rules nothing out."""
    kind, _, name = media_type.partition(";")[0].strip().lower().partition("/")
    return kind in ("", "image") and (not name or name in OTHER_SUBTYPES or _is_read(name))


def is_undecoded_name(path: str) -> bool:
    """Whether a path ends in an extension of what no decoder would be tried on."""
    extension = path.rpartition(".")[2].lower()
    return extension in NEVER_DECODED or (extension in BY_EXTENSION and not _is_read(extension))


def _is_read(extension: str) -> bool:
    found = BY_EXTENSION.get(extension)
    return found is not None and found.is_read
