"""Fifteen edits that images undergo before they are published again, each a function of an RGB image."""

import io
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

Edit = Callable[[Image.Image], Image.Image]

SAVED_QUALITY = 90  # JPEG quality of the edited file, unless the edit sets one


def jpeg(image: Image.Image, quality: int) -> bytes:
    """`image` as the bytes of a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _compressed(quality: int) -> Edit:
    return lambda image: Image.open(io.BytesIO(jpeg(image, quality))).convert("RGB")


def _cropped(share: float) -> Edit:
    """Crop `share` of width and height, more on the left and top than on the right and bottom."""

    def crop(image: Image.Image) -> Image.Image:
        left, top = round(0.7 * share * image.width), round(0.6 * share * image.height)
        return image.crop((left, top, left + round((1 - share) * image.width), top + round((1 - share) * image.height)))

    return crop


def _watermarked(image: Image.Image) -> Image.Image:
    layer = Image.new("RGBA", image.size)
    font = ImageFont.load_default(size=max(8, image.width // 6))
    for height in (0.35, 0.7):
        place = (image.width / 2, height * image.height)
        ImageDraw.Draw(layer).text(place, "SAMPLE.COM", font=font, fill=(255, 255, 255, 130), anchor="mm", stroke_width=2)
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def _bordered(image: Image.Image) -> Image.Image:
    return ImageOps.expand(image, round(0.08 * max(image.size)), "white")


EDITS: dict[str, Edit] = {
    "half size": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX),
    "JPEG 30": _compressed(30),
    "JPEG 10": _compressed(10),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "saturated": lambda image: ImageEnhance.Color(image).enhance(1.6),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(0.006 * max(image.size))),
    "watermarked": _watermarked,
    "crop 5 %": _cropped(0.05),
    "crop 12 %": _cropped(0.12),
    "bordered": _bordered,
    "mirrored": ImageOps.mirror,
    "rotated 3°": lambda image: image.rotate(3, Image.Resampling.BICUBIC),
    "turned 90°": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "squeezed": lambda image: image.resize((round(0.8 * image.width), image.height), Image.Resampling.LANCZOS),
}
