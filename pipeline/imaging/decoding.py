"""Decode pictures completely: upright, in sRGB, opaque, grey or RGB.

Decoders and colour profiles can be attacked through the bytes they read, so untrusted bytes are decoded in a sandbox
(imaging/sandbox.py): first by `inspect`, then, by later stages, only what `inspect` could decode, within `limits_of_inspected`.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import AvifImagePlugin, Image, ImageOps, PngImagePlugin

from pipeline.imaging.colour import to_srgb
from pipeline.imaging.formats import format_of, how_to_read, read_formats
from pipeline.imaging.sandbox import SandboxLimits

# A sandbox uses one core, and each decoder thread would reserve part of its limited address space.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
PngImagePlugin.MAX_TEXT_CHUNK = 8 << 20  # bytes, also of a colour profile; Pillow's default of 1 MB rejects real pictures
# The formats that Pillow may try: its other sixty are no pictures of garments, and each decoder can be attacked.
FORMATS = tuple(known.name for known in read_formats() if known.extra is None)
WIDE_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
# Limits for decoding again: more than any decoder needs for a picture of known size.
BASE_BYTES, BYTES_PER_PIXEL, REDECODING_TIMEOUT_S = 1_000_000_000, 64, 300.0
UNKNOWN_PIXELS = 1 << 28  # assumed for a picture whose size no table records


class UndecodableError(Exception):
    """The bytes are not a complete picture within the limits."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture."""

    image: Image.Image  # upright, in sRGB; mode L or RGB, opaque, or RGBA where alpha was asked for
    format: str  # by content, Pillow's name
    mode: str  # Pillow's, before conversion
    profile: str  # how the file's colour space was handled: see colour.SrgbImage


def limits_of_inspected(max_pixels: int) -> SandboxLimits:
    """Sandbox limits for pictures that `inspect` decoded to at most `max_pixels`."""
    return SandboxLimits(BASE_BYTES + BYTES_PER_PIXEL * max_pixels, REDECODING_TIMEOUT_S)


@contextmanager
def pillow_within(max_pixels: int | None) -> Iterator[None]:
    """Make Pillow refuse pictures, embedded ones included, of more than `max_pixels`; None is for files of our own."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


@cache
def _register_heif() -> None:
    import pillow_heif  # imported only for a HEIC picture: it loads two more codecs

    pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)


def _formats_of(content: bytes) -> tuple[str, ...]:
    known = format_of(content)
    if known is None or known.extra is None:
        return FORMATS
    if not known.is_read:
        raise UndecodableError(f"{known.title} is not read here; {how_to_read(known)}")
    _register_heif()
    return (known.name,)


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit grey `image` as L, or as LA if one level is transparent; keeps `info` and `format`."""
    levels = np.asarray(image)
    grey = Image.fromarray(np.clip(np.rint(levels / np.float32(257)), 0, 255).astype(np.uint8))  # 65535 / 255 = 257
    grey.info, grey.format = image.info, image.format
    if (transparent := image.info.get("transparency")) is not None:
        grey.putalpha(Image.fromarray(np.where(levels == transparent, np.uint8(0), np.uint8(255))))
    return grey


def _over_white(image: Image.Image) -> Image.Image:
    layered = image.convert("RGBA")
    white = Image.new("RGBA", layered.size, "white")
    return Image.alpha_composite(white, layered).convert("L" if image.mode in ("L", "LA", "La", "1") else "RGB")


def _upright(image: Image.Image) -> None:
    with contextlib.suppress(Exception):  # with broken EXIF the orientation is lost, but not the picture
        ImageOps.exif_transpose(image, in_place=True)


def _plain(image: Image.Image, alpha: bool) -> Image.Image:
    """`image` as L or RGB, with transparent pixels composited over white; with `alpha` as RGBA if it is transparent."""
    if image.has_transparency_data:
        return image.convert("RGBA") if alpha else _over_white(image)
    mode = "L" if image.mode in ("L", "1") else "RGB"
    return image if image.mode == mode else image.convert(mode)  # convert() would copy


def decode(content: bytes, max_pixels: int, *, alpha: bool = False) -> Picture:
    """The picture in `content`, or its first frame, decoded completely; with `alpha` a transparent PNG keeps its own.

    Raises UndecodableError whatever the decoder raised, and MemoryError in a sandbox.
    """
    try:
        with pillow_within(max_pixels), Image.open(io.BytesIO(content), formats=_formats_of(content)) as image:
            kind, mode = image.format or "", image.mode
            image.load()
            if image.width * image.height > max_pixels:
                raise UndecodableError(f"more than {max_pixels} pixels, although its header says fewer")
            _upright(image)
            coloured = to_srgb(_eight_bit(image) if image.mode in WIDE_MODES else image, content)
            return Picture(_plain(coloured.image, alpha and kind == "PNG"), kind, mode, coloured.profile)
    except (UndecodableError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UndecodableError(f"more than {max_pixels} pixels") from None
    except Image.UnidentifiedImageError:
        raise UndecodableError("not a picture of a known format") from None
    except Exception as error:  # decoders raise at least seven classes
        raise UndecodableError(f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]) from None
