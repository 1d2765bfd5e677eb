"""The picture formats that are read: names, extensions, file signatures and media types.

The one list for folders, web responses, uploads and the decoder. Its bytes decide the format of a picture: extensions and
headers may be wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

HEAD_BYTES = 64  # enough of a file to recognise its format
HEIC_EXTRA = "heic"  # of pyproject.toml, with pillow-heif
TITLES = {"WEBP": "WebP", "HEIF": "HEIC"}  # where the usual spelling differs from Pillow's name

# Subtypes of image/ that markup and feeds use besides the extensions of the formats.
OTHER_SUBTYPES = frozenset({"x-png", "x-ms-bmp"})
NEVER_DECODED = frozenset(
    ["svg", "svgz", "ico", "jxl", "jp2", "j2k", "jpx", "jxr", "wdp", "psd", "pdf", "mp4", "m4v", "webm", "mov"]
)


@dataclass(frozen=True)
class Format:
    """A picture format."""

    name: str  # Pillow's
    extension: str  # of members of a shard
    also: tuple[str, ...]  # other extensions
    begins: Callable[[bytes], bool]  # whether bytes have the signature of this format
    on_web: bool = True  # whether browsers show it
    extra: str | None = None  # of pyproject.toml, if an optional package reads the format

    @property
    def extensions(self) -> tuple[str, ...]:
        """All extensions, without a dot, in lower case."""
        return (self.extension, *self.also)

    @property
    def title(self) -> str:
        """The usual spelling of the name."""
        return TITLES.get(self.name, self.name)

    @property
    def is_read(self) -> bool:
        """Whether this installation can decode it."""
        return self.extra is None or _has_pillow_heif()


@cache
def _has_pillow_heif() -> bool:
    return find_spec("pillow_heif") is not None


def _begins_with(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda content: content.startswith(signatures)


def _is_bmp(content: bytes) -> bool:
    return content.startswith(b"BM") and b"\0" in content[2:18]  # a text may also start with BM, but has no zero byte


def _is_webp(content: bytes) -> bool:
    return content[:4] == b"RIFF" and content[8:12] == b"WEBP"


def _has_brand(*brands: bytes) -> Callable[[bytes], bool]:
    """A test whether an ISO media file has one of `brands` as its major brand or among its first compatible brands."""

    def begins(content: bytes) -> bool:
        if content[4:8] != b"ftyp":
            return False
        end = min(len(content), HEAD_BYTES, max(16, int.from_bytes(content[:4], "big")))
        return any(content[start : start + 4] in brands for start in (8, *range(16, end, 4)))

    return begins


# AVIF before HEIC: both may have the brand mif1, which only HEIC is recognised by.
FORMATS = (
    Format("JPEG", "jpg", ("jpeg", "jpe", "jfif", "jif", "pjpeg", "pjp"), _begins_with(b"\xff\xd8\xff")),
    Format("PNG", "png", ("apng",), _begins_with(b"\x89PNG\r\n\x1a\n")),
    Format("WEBP", "webp", (), _is_webp),
    Format("GIF", "gif", (), _begins_with(b"GIF87a", b"GIF89a")),
    Format("BMP", "bmp", ("dib",), _is_bmp),
    Format("TIFF", "tif", ("tiff",), _begins_with(b"II*\x00", b"MM\x00*"), on_web=False),
    Format("AVIF", "avif", ("avifs",), _has_brand(b"avif", b"avis")),
    Format(
        "HEIF",
        "heic",
        ("heif", "hif", "heics", "heifs"),
        _has_brand(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"),
        on_web=False,
        extra=HEIC_EXTRA,
    ),
)
BY_EXTENSION = {extension: known for known in FORMATS for extension in known.extensions}


def format_of(content: bytes) -> Format | None:
    """The format whose signature `content` has, whether this installation reads it or not; None for anything else."""
    return next((known for known in FORMATS if known.begins(content)), None)


def read_formats() -> tuple[Format, ...]:
    """The formats that this installation decodes."""
    return tuple(known for known in FORMATS if known.is_read)


def format_names() -> str:
    """The formats that this installation decodes, as in "JPEG, PNG and WebP"."""
    *first, last = (known.title for known in read_formats())
    return f"{', '.join(first)} and {last}"


def how_to_read(known: Format) -> str:
    """What to install to read `known`."""
    return f"pip install '.[{known.extra}]' reads it"


def picture_extension(content: bytes) -> str | None:
    """The extension for the picture in `content`, or None if this installation would not decode it."""
    found = format_of(content)
    return found.extension if found is not None and found.is_read else None


def looks_like(content: bytes) -> str:
    """What `content`, which is not a readable picture, seems to be; for the column reason."""
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
    """Whether pictures of this media type are decoded; True for an empty one."""
    kind, _, name = media_type.partition(";")[0].strip().lower().partition("/")
    return kind in ("", "image") and (not name or name in OTHER_SUBTYPES or _is_read(name))


def is_undecoded_name(path: str) -> bool:
    """Whether the extension of `path` is one that is never decoded."""
    extension = path.rpartition(".")[2].lower()
    return extension in NEVER_DECODED or (extension in BY_EXTENSION and not _is_read(extension))


def _is_read(extension: str) -> bool:
    found = BY_EXTENSION.get(extension)
    return found is not None and found.is_read
