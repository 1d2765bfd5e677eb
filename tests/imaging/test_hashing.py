"""pHash: bit for bit imagehash's."""

import itertools
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image, ImageOps

from pipeline.imaging.decoding import decode
from pipeline.imaging.hashing import phash_pixels, phashes
from tests.support.garments import small_garment

MAX_PIXELS = 1_000_000


def _hash_number(value: imagehash.ImageHash) -> int:
    return int(str(value), 16)


def _odd_pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    sizes = [(1, 1), (2, 50), (9, 8), (28, 28), (32, 32), (33, 31), (400, 533)]
    noise = [Image.fromarray(rng.integers(0, 256, (*size, 3)).astype(np.uint8)) for size in sizes]
    flat = [Image.new("L", (40, 30), grey) for grey in (0, 1, 127, 255)]
    return [*noise, *flat, *(small_garment(seed, side) for seed in range(10) for side in (28, 64, 200))]


def test_phash_equals_imagehash() -> None:
    pictures = _odd_pictures()
    seen = np.stack([phash_pixels(picture.convert("L")) for picture in pictures])
    expected = [_hash_number(imagehash.phash(picture)) for picture in pictures]
    assert phashes(seen).tolist() == expected
    expected = [_hash_number(imagehash.phash(ImageOps.mirror(picture))) for picture in pictures]
    assert phashes(seen[:, :, ::-1]).tolist() == expected


def test_phash_pixels_equal_pillows_resize() -> None:
    rng = np.random.default_rng(0)
    # Around 32, where the two ways of resizing meet, around multiples of the block of 64 rows, and sizes of photographs.
    sides = [1, 2, 9, 28, 31, 32, 33, 34, 63, 64, 65, 97, 128, 400, 533, 1600]
    for width, height in itertools.product(sides, sides):
        grey = Image.fromarray(rng.integers(0, 256, (height, width), dtype=np.uint8))
        assert np.array_equal(phash_pixels(grey), np.asarray(grey.resize((32, 32), Image.Resampling.LANCZOS)))


def test_phash_pixels_of_a_mirrored_picture_are_mirrored() -> None:
    rng = np.random.default_rng(0)
    for width in [*range(1, 70), *range(70, 4000, 97)]:
        grey = Image.fromarray(rng.integers(0, 256, (8, width), dtype=np.uint8))
        assert np.array_equal(phash_pixels(ImageOps.mirror(grey)), phash_pixels(grey)[:, ::-1])


def test_phash_of_photographs_equals_imagehash(photographs: list[Path]) -> None:
    pixels = np.stack([phash_pixels(decode(file.read_bytes(), MAX_PIXELS).image.convert("L")) for file in photographs])
    assert phashes(pixels).tolist() == [_hash_number(imagehash.phash(Image.open(file))) for file in photographs]
