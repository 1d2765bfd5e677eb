"""The picture formats that are read, in one list: how Pillow calls them, how files call them, and how their bytes begin.

Everything that asks "is this a picture we read?" asks here: a folder's files, answers of the web, uploads, and the decoder.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

HEAD_BYTES = 64  # of a file are enough to know its format
HEIC_EXTRA = "heic"  # of pyproject.toml, with pillow-heif
TITLES = {"WEBP": "WebP", "HEIF": "HEIC"}  # where people write a name otherwise than Pillow does


@dataclass(frozen=True)
class Format:
    """One format of pictures."""

    name: str  # Pillow's
    extension: str  # of the members of a shard
    also: tuple[str, ...]  # other extensions that files of this format have
    begins: Callable[[bytes], bool]  # whether bytes begin like a picture of this format
    on_web: bool = True  # whether browsers show it
    extra: str | None = None  # the extra of pyproject.toml that reads it, where it is not always read

    @property
    def extensions(self) -> tuple[str, ...]:
        """All its extensions, without a dot, in lower case."""
        return (self.extension, *self.also)

    @property
    def title(self) -> str:
        """What people call it."""
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
    return content.startswith(b"BM") and b"\0" in content[2:18]  # "BM" also begins many a text, which has no such byte


def _is_webp(content: bytes) -> bool:
    return content[:4] == b"RIFF" and content[8:12] == b"WEBP"


def _has_brand(*brands: bytes) -> Callable[[bytes], bool]:
    """Whether an ISO media file has one of `brands`, as its major or among its first compatible ones."""

    def begins(content: bytes) -> bool:
        if content[4:8] != b"ftyp":
            return False
        end = min(len(content), HEAD_BYTES, max(16, int.from_bytes(content[:4], "big")))
        return any(content[start : start + 4] in brands for start in (8, *range(16, end, 4)))

    return begins


# AVIF before HEIC: both may be of the brand mif1, but only HEIC is found by it.
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
    """The format that `content` begins like, whether it is read here or not; None for anything else."""
    return next((known for known in FORMATS if known.begins(content)), None)


def read_formats() -> tuple[Format, ...]:
    """The formats that this installation decodes."""
    return tuple(known for known in FORMATS if known.is_read)


def format_names() -> str:
    """The formats that this installation decodes, for people."""
    *first, last = (known.title for known in read_formats())
    return f"{', '.join(first)} and {last}"


def how_to_read(known: Format) -> str:
    """What to install for a format that is not read here."""
    return f"pip install 'atelier[{known.extra}]' reads it"
