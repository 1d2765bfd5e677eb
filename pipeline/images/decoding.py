"""Pictures from bytes of any origin: decoded whole, upright, and as plain grey or RGB."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

# Pillow tries only these: the other sixty formats are not pictures of garments, and each decoder is one more to attack.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
WIDE_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")


class UndecodableError(Exception):
    """Bytes that are not a whole picture within the limits."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture."""

    image: Image.Image  # upright, mode L or RGB, opaque
    format: str  # by content, Pillow's name
    mode: str  # Pillow's, before conversion


@contextmanager
def _pillow_within(max_pixels: int) -> Iterator[None]:
    """Pillow refuses, also inside files that hold pictures of their own, what unfolds to more than `max_pixels`."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _eight_bit(image: Image.Image) -> Image.Image:
    levels = np.asarray(image).astype(np.float64)
    return Image.fromarray(np.clip(np.rint(levels / 257), 0, 255).astype(np.uint8))  # 65535 / 255 = 257


def _over_white(image: Image.Image) -> Image.Image:
    layered = image.convert("RGBA")
    white = Image.new("RGBA", layered.size, "white")
    return Image.alpha_composite(white, layered).convert("L" if image.mode in ("L", "LA", "La", "1") else "RGB")


def plain(image: Image.Image) -> Image.Image:
    """`image` turned upright by its EXIF orientation, over white where transparent, as L (when it has no colour) or RGB."""
    with contextlib.suppress(Exception):  # broken EXIF may cost the orientation, not the picture
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode in WIDE_MODES:
        return _eight_bit(image)
    if image.has_transparency_data:
        return _over_white(image)
    mode = "L" if image.mode in ("L", "1") else "RGB"
    return image if image.mode == mode else image.convert(mode)  # which would copy what is as it should be


def decoded(content: bytes, max_pixels: int) -> Picture:
    """The picture in `content`, its first frame where it has several, decoded to the last byte.

    Raises UndecodableError, whatever the decoder raised.
    """
    try:
        with _pillow_within(max_pixels), Image.open(io.BytesIO(content), formats=FORMATS) as image:
            kind, mode = image.format or "", image.mode
            image.load()
            return Picture(plain(image), kind, mode)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UndecodableError(f"more than {max_pixels} pixels") from None
    except Image.UnidentifiedImageError:
        raise UndecodableError("not a picture of a known format") from None
    except Exception as error:  # at least seven classes, and every decoder may bring its own
        raise UndecodableError(f"{type(error).__name__}: {error}"[:200]) from None
