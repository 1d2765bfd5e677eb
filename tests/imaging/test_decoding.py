"""Decoding: each format, damaged and hostile files, orientation, transparency and bit depth."""

import random
import struct
import zlib
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from pipeline.imaging.decoding import FORMATS, UndecodableError, decode
from tests.support.garments import saved_as, small_garment

MAX_PIXELS = 1_000_000


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _png_bomb(side: int) -> bytes:
    """A small PNG of side × side black pixels, one bit each."""
    rows = zlib.compress(bytes((side // 8 + 1) * side), 9)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_is_decoded_and_named(kind: str) -> None:
    picture = decode(saved_as(small_garment(), kind), MAX_PIXELS)
    assert (picture.format, picture.image.size) == (kind, (64, 64))
    assert np.abs(np.asarray(picture.image.convert("RGB")).astype(int) - np.asarray(small_garment())).mean() < 12


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_truncated_file_is_undecodable(kind: str, share: float) -> None:
    content = saved_as(small_garment(), kind)
    with pytest.raises(UndecodableError):
        decode(content[: int(share * len(content))], MAX_PIXELS)


@pytest.mark.parametrize(
    "content", [b"", b"This is no picture.", b"\xff\xd8\xff\xe0" + bytes(100), b"GIF89a" + bytes(3), b"<svg/>"]
)
def test_bytes_without_a_picture_are_undecodable(content: bytes) -> None:
    with pytest.raises(UndecodableError):
        decode(content, MAX_PIXELS)


def test_eps_is_not_a_known_format() -> None:
    with pytest.raises(UndecodableError):
        decode(saved_as(small_garment(), "EPS"), MAX_PIXELS)


def test_flipped_bit_gives_a_picture_or_undecodable_and_nothing_else() -> None:
    rng = random.Random(0)
    outcomes: Counter[str] = Counter()
    for kind in FORMATS:
        content = bytearray(saved_as(small_garment(), kind))
        for _ in range(40):
            broken = content.copy()
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
            try:
                outcomes[decode(bytes(broken), MAX_PIXELS).image.mode] += 1
            except UndecodableError:
                outcomes["undecodable"] += 1
    assert outcomes.keys() <= {"L", "RGB", "undecodable"}
    assert min(outcomes["RGB"], outcomes["undecodable"]) > 20


def test_decompression_bomb_is_refused_by_its_header() -> None:
    bomb = _png_bomb(20_000)
    assert len(bomb) < 60_000
    for max_pixels in (100_000_000, 300_000_000):  # over and under the half of it, where Pillow only warns
        with pytest.raises(UndecodableError, match=f"more than {max_pixels} pixels"):
            decode(bomb, max_pixels)
    assert decode(_png_bomb(1000), 1_000_000).image.size == (1000, 1000)


def test_pillows_pixel_limit_is_restored() -> None:
    before = Image.MAX_IMAGE_PIXELS
    decode(saved_as(small_garment(), "PNG"), MAX_PIXELS)
    with pytest.raises(UndecodableError):
        decode(b"", MAX_PIXELS)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = Image.new("L", (32, 16), 0)
    upright.paste(255, (0, 0, 8, 8))  # bright at the top left
    stored = {1: [], 2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}[orientation]  # the inverse of each EXIF turn
    turned = upright
    for turn in stored:
        turned = turned.transpose(Image.Transpose(turn))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode(saved_as(turned, "PNG", exif=exif), MAX_PIXELS).image
    assert image.size == (32, 16)
    assert np.array_equal(np.asarray(image), np.asarray(upright))


def test_transparent_pixels_are_composited_over_white() -> None:
    red = Image.new("RGBA", (8, 8), (255, 0, 0, 255))
    red.putpixel((0, 0), (0, 0, 0, 0))
    red.putpixel((1, 0), (0, 0, 0, 128))
    palette = red.convert("P", palette=Image.Palette.ADAPTIVE)
    palette.info["transparency"] = palette.getpixel((0, 0))
    grey = Image.new("LA", (8, 8), (0, 255))
    grey.putpixel((0, 0), (0, 0))
    for image in (decode(saved_as(each, "PNG"), MAX_PIXELS).image for each in (red, palette)):
        assert image.mode == "RGB"
        assert image.getpixel((0, 0)) == (255, 255, 255)
        assert image.getpixel((7, 7)) == (255, 0, 0)
    assert decode(saved_as(red, "PNG"), MAX_PIXELS).image.getpixel((1, 0)) == (127, 127, 127)
    flat = decode(saved_as(grey, "PNG"), MAX_PIXELS).image
    assert (flat.mode, flat.getpixel((0, 0)), flat.getpixel((7, 7))) == ("L", 255, 0)


def test_sixteen_bit_grey_is_scaled_to_eight() -> None:
    levels = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    picture = decode(saved_as(Image.fromarray(levels), "PNG"), MAX_PIXELS)
    assert picture.mode == "I;16"
    assert np.array_equal(np.asarray(picture.image), np.arange(256).reshape(16, 16))


def test_cmyk_is_converted_to_printed_colours() -> None:
    for ink, colour in {(0, 255, 255, 0): (255, 0, 0), (0, 0, 0, 0): (255, 255, 255), (0, 0, 0, 255): (0, 0, 0)}.items():
        picture = decode(saved_as(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95), MAX_PIXELS)
        assert (picture.mode, picture.image.mode) == ("CMYK", "RGB")
        assert picture.image.getpixel((8, 8)) == pytest.approx(colour, abs=4)


def test_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP"):
        content = saved_as(frames[0], kind, save_all=True, append_images=frames[1:])
        assert decode(content, MAX_PIXELS).image.getpixel((8, 8)) == pytest.approx((255, 0, 0), abs=4)


def test_one_bit_picture_becomes_grey() -> None:
    image = decode(saved_as(Image.new("1", (9, 9), 1), "PNG"), MAX_PIXELS).image
    assert (image.mode, image.getpixel((4, 4))) == ("L", 255)
