"""Small pictures in every format, with metadata that must not leave them."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

SECRET = b"SECRETMAKER"


def exif_of(orientation: int) -> Image.Exif:
    """EXIF with a maker, a place on earth, and an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = SECRET.decode()
    place = exif.get_ifd(0x8825)
    place[1], place[2] = "N", (48.0, 12.0, 30.0)
    return exif


def drawn(seed: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """A smooth random picture."""
    corners = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(corners).resize(size, Image.Resampling.BICUBIC)


def jpeg(seed: int = 0, **options: Any) -> bytes:
    """A JPEG."""
    return encoded(drawn(seed), "JPEG", **options)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """`image` in the format `kind`."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def telling(kind: str, orientation: int) -> bytes:
    """A picture of the format `kind` that says who made it where, in every way the format has."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = exif_of(orientation)
    image = drawn(1)
    match kind:
        case "JPEG":
            content = encoded(image, kind, exif=exif, icc_profile=profile, comment=SECRET, xmp=b"<x>" + SECRET + b"</x>")
            iptc = b"Photoshop 3.0\x008BIM" + SECRET
            return content[:2] + b"\xff\xed" + (len(iptc) + 2).to_bytes(2, "big") + iptc + content[2:] + SECRET
        case "PNG":
            text = PngImagePlugin.PngInfo()
            text.add_text("Author", SECRET.decode())
            text.add_itxt("XML:com.adobe.xmp", SECRET.decode(), zip=False)
            return encoded(image, kind, exif=exif, icc_profile=profile, pnginfo=text) + SECRET
        case "WEBP":
            return encoded(image, kind, exif=exif, icc_profile=profile, xmp=b"<x>" + SECRET + b"</x>") + SECRET
        case _:
            return encoded(image, kind, comment=SECRET) + SECRET
