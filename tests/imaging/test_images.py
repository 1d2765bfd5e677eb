"""Pictures: odd files decoded, hashes as imagehash makes them, measures and moves in closed form, look-alikes by all pairs."""

import contextlib
import io
import itertools
import math
import random
import struct
import zlib
from pathlib import Path

import imagehash
import numpy as np
import pytest
import scipy.ndimage
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipeline.imaging.decoding import FORMATS, UndecodableError, decode
from pipeline.imaging.hashing import phash_pixels, phashes
from pipeline.imaging.neighbours import LookAlikeLimits, Thumbnails, _masks, look_alikes, pairs_within
from pipeline.imaging.quality import (
    at_measuring_size,
    background_of,
    colourfulness,
    cut_off_share,
    edge_colours,
    entropy_bits,
    histograms,
    laplacian_variance,
    level_at,
    quality_of,
    second_piece,
    thumbnail,
    used_levels,
)
from pipeline.imaging.sketches import ORIENTATIONS, content_box, descriptors, sketch, views
from pipeline.stages.augment.changes import apply_changes
from pipeline.stages.augment.transforms import Change, Frame, fill_colour, fit_to_frame, pixels_of, random_change
from pipeline.stages.augment.transforms import ChangeLimits as ChangeLimits
from pipeline.stages.dedup.registration import Sketches, composed, fits, inverse
from tests.support.garments import draw_garment

MAX_PIXELS = 1_000_000
STILL = {"degrees": 0.0, "scale": 1.0, "shift_x": 0.0, "shift_y": 0.0, "mirrored": False, "brightness": 1.0, "saturation": 1.0}
STILL |= {"contrast": 1.0, "hue": 0.0}
NO_LIMITS = {"rotate_degrees": 0.0, "min_scale": 1.0, "max_scale": 1.0, "translate": 0.0, "crop": 0.0, "brightness": 0.0}
NO_LIMITS |= {"saturation": 0.0, "contrast": 0.0, "hue": 0.0}


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def _garment(seed: int = 0, side_px: int = 64) -> Image.Image:
    return draw_garment(seed, np.random.default_rng(seed), side_px)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _png_bomb(side: int) -> bytes:
    """A small PNG of side × side black pixels, one bit each."""
    rows = zlib.compress(bytes((side // 8 + 1) * side), 9)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _hash_number(value: imagehash.ImageHash) -> int:
    return int(str(value), 16)


# Decoding


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_is_decoded_and_named(kind: str) -> None:
    picture = decode(_saved(_garment(), kind), MAX_PIXELS)
    assert (picture.format, picture.image.size) == (kind, (64, 64))
    assert np.abs(np.asarray(picture.image.convert("RGB")).astype(int) - np.asarray(_garment())).mean() < 12


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_a_truncated_file_is_not_a_picture(kind: str, share: float) -> None:
    content = _saved(_garment(), kind)
    with pytest.raises(UndecodableError):
        decode(content[: int(share * len(content))], MAX_PIXELS)


@pytest.mark.parametrize(
    "content", [b"", b"This is no picture.", b"\xff\xd8\xff\xe0" + bytes(100), b"GIF89a" + bytes(3), b"<svg/>"]
)
def test_other_bytes_are_not_a_picture(content: bytes) -> None:
    with pytest.raises(UndecodableError, match=r"^.+$"):
        decode(content, MAX_PIXELS)


def test_only_pictures_formats_are_tried() -> None:
    with pytest.raises(UndecodableError, match="not a picture of a known format"):
        decode(_saved(_garment(), "EPS"), MAX_PIXELS)


def test_a_flipped_byte_never_stops_a_run() -> None:
    generator = random.Random(0)
    for kind in FORMATS:
        content = bytearray(_saved(_garment(), kind))
        for _ in range(40):
            broken = content.copy()
            broken[generator.randrange(len(broken))] ^= 1 << generator.randrange(8)
            with contextlib.suppress(UndecodableError):
                assert decode(bytes(broken), MAX_PIXELS).image.mode in ("L", "RGB")


def test_a_decompression_bomb_is_refused_before_it_unfolds() -> None:
    bomb = _png_bomb(20_000)
    assert len(bomb) < 60_000
    for max_pixels in (100_000_000, 300_000_000):  # over and under the half of it, where Pillow only warns
        with pytest.raises(UndecodableError, match=f"more than {max_pixels} pixels"):
            decode(bomb, max_pixels)
    assert decode(_png_bomb(1000), 1_000_000).image.size == (1000, 1000)


def test_the_limit_of_pillow_is_put_back() -> None:
    before = Image.MAX_IMAGE_PIXELS
    decode(_saved(_garment(), "PNG"), MAX_PIXELS)
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
    image = decode(_saved(turned, "PNG", exif=exif), MAX_PIXELS).image
    assert image.size == (32, 16)
    assert np.array_equal(np.asarray(image), np.asarray(upright))


def test_transparency_is_laid_over_white() -> None:
    red = Image.new("RGBA", (8, 8), (255, 0, 0, 255))
    red.putpixel((0, 0), (0, 0, 0, 0))
    red.putpixel((1, 0), (0, 0, 0, 128))
    palette = red.convert("P", palette=Image.Palette.ADAPTIVE)
    palette.info["transparency"] = palette.getpixel((0, 0))
    grey = Image.new("LA", (8, 8), (0, 255))
    grey.putpixel((0, 0), (0, 0))
    for image in (decode(_saved(each, "PNG"), MAX_PIXELS).image for each in (red, palette)):
        assert image.mode == "RGB"
        assert image.getpixel((0, 0)) == (255, 255, 255)
        assert image.getpixel((7, 7)) == (255, 0, 0)
    assert decode(_saved(red, "PNG"), MAX_PIXELS).image.getpixel((1, 0)) == (127, 127, 127)
    flat = decode(_saved(grey, "PNG"), MAX_PIXELS).image
    assert (flat.mode, flat.getpixel((0, 0)), flat.getpixel((7, 7))) == ("L", 255, 0)


def test_sixteen_bits_keep_their_greys() -> None:
    levels = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    picture = decode(_saved(Image.fromarray(levels), "PNG"), MAX_PIXELS)
    assert picture.mode == "I;16"
    assert np.array_equal(np.asarray(picture.image), np.arange(256).reshape(16, 16))


def test_cmyk_becomes_the_colour_it_prints() -> None:
    for ink, colour in {(0, 255, 255, 0): (255, 0, 0), (0, 0, 0, 0): (255, 255, 255), (0, 0, 0, 255): (0, 0, 0)}.items():
        picture = decode(_saved(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95), MAX_PIXELS)
        assert (picture.mode, picture.image.mode) == ("CMYK", "RGB")
        assert picture.image.getpixel((8, 8)) == pytest.approx(colour, abs=4)


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP"):
        content = _saved(frames[0], kind, save_all=True, append_images=frames[1:])
        assert decode(content, MAX_PIXELS).image.getpixel((8, 8)) == pytest.approx((255, 0, 0), abs=4)


def test_black_and_white_becomes_grey() -> None:
    image = decode(_saved(Image.new("1", (9, 9), 1), "PNG"), MAX_PIXELS).image
    assert (image.mode, image.getpixel((4, 4))) == ("L", 255)


# Hashes


def _odd_pictures() -> list[Image.Image]:
    generator = np.random.default_rng(0)
    sizes = [(1, 1), (2, 50), (9, 8), (28, 28), (32, 32), (33, 31), (400, 533)]
    noise = [Image.fromarray(generator.integers(0, 256, (*size, 3)).astype(np.uint8)) for size in sizes]
    flat = [Image.new("L", (40, 30), grey) for grey in (0, 1, 127, 255)]
    return [*noise, *flat, *(_garment(seed, side) for seed in range(10) for side in (28, 64, 200))]


def test_hashes_are_imagehashs_bit_for_bit() -> None:
    pictures = _odd_pictures()
    seen = np.stack([phash_pixels(picture.convert("L")) for picture in pictures])
    expected = [_hash_number(imagehash.phash(picture)) for picture in pictures]
    assert phashes(seen).tolist() == expected
    expected = [_hash_number(imagehash.phash(ImageOps.mirror(picture))) for picture in pictures]
    assert phashes(seen[:, :, ::-1]).tolist() == expected


def test_what_phash_sees_is_pillows_bit_for_bit_whatever_the_size() -> None:
    generator = np.random.default_rng(0)
    sides = [*range(1, 100, 3), 256, 400, 533, 711, 1600]
    for width, height in itertools.product(sides, sides):
        grey = Image.fromarray(generator.integers(0, 256, (height, width), dtype=np.uint8))
        assert np.array_equal(phash_pixels(grey), np.asarray(grey.resize((32, 32), Image.Resampling.LANCZOS)))


def test_what_phash_sees_of_a_mirrored_picture_is_mirrored_whatever_the_width() -> None:
    generator = np.random.default_rng(0)
    for width in [*range(1, 300), *range(300, 4000, 31)]:
        grey = Image.fromarray(generator.integers(0, 256, (8, width), dtype=np.uint8))
        assert np.array_equal(phash_pixels(ImageOps.mirror(grey)), phash_pixels(grey)[:, ::-1])


def test_hashes_of_photographs_are_imagehashs(photographs: list[Path]) -> None:
    pixels = np.stack([phash_pixels(decode(file.read_bytes(), MAX_PIXELS).image.convert("L")) for file in photographs])
    assert phashes(pixels).tolist() == [_hash_number(imagehash.phash(Image.open(file))) for file in photographs]


# Measures


def test_laplacian_variance_of_a_chessboard_and_of_a_slope() -> None:
    board = (np.indices((16, 16)).sum(axis=0) % 2 * 10).astype(np.uint8)  # the Laplacian is ±40
    slope = np.tile(np.arange(16, dtype=np.uint8) * 3, (16, 1))
    assert laplacian_variance(board) == 1600
    assert laplacian_variance(slope) == 0
    assert laplacian_variance(board[:2]) == 0


def test_entropy_counts_the_bits_of_a_grey_level() -> None:
    assert entropy_bits(np.eye(256, dtype=np.int64)[[3]]) == 0
    assert entropy_bits(np.ones((2, 256), np.int64)) == pytest.approx(8)
    assert entropy_bits(np.array([[3, 1, 0]])) == pytest.approx(0.25 * 2 + 0.75 * math.log2(4 / 3))


def test_few_levels_leave_gaps_and_a_plain_ground_does_not() -> None:
    slope = Image.radial_gradient("L").resize((700, 500))
    few = Image.open(io.BytesIO(_saved(Image.eval(slope, lambda level: level // 17 * 17), "JPEG", quality=92)))
    framed_slope = ImageOps.expand(slope, 300, fill=200)
    told = [quality_of(picture, picture, 12).levels for picture in (slope, framed_slope, few)]
    assert told[0] > 0.9
    assert told[1] > 0.75
    assert told[2] < 0.5
    assert used_levels(np.zeros(256, np.int64)) == 0


@pytest.mark.parametrize(("share", "level"), [(0.05, 0), (0.5, 0), (0.75, 51), (0.76, 255), (0.99, 255)])
def test_a_level_is_that_of_the_sorted_pixels(share: float, level: int) -> None:
    [counts] = histograms(Image.fromarray(np.array([[0, 0, 51, 255]], np.uint8)))
    assert level_at(counts, share) == level / 255


def test_colourfulness_is_nought_for_grey_and_known_for_one_colour() -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    assert colourfulness(grey) == 0
    assert colourfulness(red) == pytest.approx(0.3 * math.hypot(200, 100))


def test_background_is_what_is_close_to_the_borders_median() -> None:
    pixels = np.full((10, 10, 3), 240, np.uint8)
    pixels[2:7, 2:6] = 10
    pixels[8, 8] = 228  # just within
    pixels[8, 7] = 227
    assert background_of(pixels, tolerance=12).mean() == pytest.approx((100 - 20 - 1) / 100)


def test_measures_are_in_their_ranges_and_on_a_common_scale() -> None:
    half = Image.new("L", (100, 100), 0)
    half.paste(255, (0, 0, 50, 100))
    quality = quality_of(half, half, background_tolerance=12)
    assert (quality.brightness, quality.contrast) == pytest.approx((0.5, 0.5))
    assert (quality.entropy_bits, quality.colourfulness) == pytest.approx((1, 0))
    large = _garment(side_px=1024)
    pictures = large, large.resize((512, 512), Image.Resampling.BOX), large.resize((64, 64)).resize((1024, 1024))
    sharp, shrunk, blurred = (quality_of(picture, picture.convert("L"), 12).sharpness for picture in pictures)
    assert sharp == pytest.approx(shrunk, rel=0.05)
    assert blurred < sharp / 10


def test_a_small_picture_is_measured_as_it_is() -> None:
    assert at_measuring_size(_garment(side_px=28)).size == (28, 28)
    assert at_measuring_size(Image.new("L", (1000, 1))).size == (256, 1)
    assert at_measuring_size(Image.new("RGB", (300, 600))).size == (128, 256)


def test_a_thumbnail_holds_area_averages() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32)).astype(np.uint8)
    averages = pixels.reshape(16, 2, 16, 2).mean(axis=(1, 3))
    assert np.abs(thumbnail(Image.fromarray(pixels)) - averages).max() <= 1


# Look-alikes


def _clustered_hashes(count: int) -> NDArray[np.uint64]:
    """Hashes of which many are within a few bits of another."""
    generator = np.random.default_rng(0)
    centres = generator.integers(0, 2**64, count // 10, dtype=np.uint64)
    flips = (np.uint64(1) << generator.integers(0, 64, (count, 6), dtype=np.uint64)).astype(np.uint64)
    keep = generator.random((count, 6)) < 0.5
    return np.bitwise_xor.reduce(np.where(keep, flips, np.uint64(0)), axis=1) ^ generator.choice(centres, count)


@pytest.mark.parametrize("radius", [0, 1, 3, 4, 8, 16])
@pytest.mark.parametrize("count", [0, 1, 40, 3000])
def test_every_pair_within_the_radius_is_found_and_no_other(count: int, radius: int) -> None:
    hashes = _clustered_hashes(count) if count > 1 else np.arange(count, dtype=np.uint64)
    found = {
        (first, second, bits)
        for batch in pairs_within(hashes, radius)
        for first, second, bits in zip(*(column.tolist() for column in batch), strict=True)
    }
    distances = np.bitwise_count(hashes[:, None] ^ hashes[None])
    first, second = np.nonzero(np.triu(distances <= radius, k=1))
    assert found == set(zip(first.tolist(), second.tolist(), distances[first, second].tolist(), strict=True))


@pytest.mark.parametrize("radius", [0, 1, 4, 9])
@pytest.mark.parametrize("agreeing", [1, 2, 3])
def test_hashes_within_the_radius_share_the_bits_of_a_mask(radius: int, agreeing: int) -> None:
    masks = np.array(_masks(radius, agreeing))
    flipped = np.random.default_rng(0).permuted(np.tile(np.arange(64), (500, 1)), axis=1)[:, :radius]
    differing = np.bitwise_or.reduce(np.uint64(1) << flipped.astype(np.uint64), axis=1)
    assert ((differing[:, None] & masks) == 0).any(axis=1).all()
    assert np.bitwise_or.reduce(masks) == 2**64 - 1


def test_both_ways_of_searching_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = _clustered_hashes(500)
    for cost in (1e-9, 1e9):
        monkeypatch.setattr("pipeline.imaging.neighbours.COST_OF_BANDS", cost)
        assert {int(pair) for first, second, _ in pairs_within(hashes, 4) for pair in first * 500 + second} == {
            i * 500 + j for i in range(500) for j in range(i + 1, 500) if int(hashes[i] ^ hashes[j]).bit_count() <= 4
        }


def test_thumbnails_differ_by_their_correlation_alone() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.integers(0, 200, (2, 16, 16))
    thumbnails = Thumbnails(np.stack([one, other, one // 2 + 60, np.full((16, 16), 9), np.full((16, 16), 9)]).astype(np.uint8))
    correlation = np.corrcoef(one.ravel(), other.ravel())[0, 1]
    different, brighter, flat = thumbnails.differences(np.array([0, 0, 3]), np.array([1, 2, 4]))
    assert different == pytest.approx(math.sqrt(2 - 2 * correlation), abs=1e-5)
    assert brighter < 0.02  # only rounding is left
    assert flat == 0


def test_a_shared_hash_alone_makes_no_look_alike() -> None:
    thumbnails = np.random.default_rng(0).integers(0, 256, (3, 16, 16)).astype(np.uint8)
    thumbnails[2] = thumbnails[0]
    pairs = look_alikes(np.array([7, 7, 5], dtype=np.uint64), None, thumbnails, LookAlikeLimits(2, 0.1))
    assert pairs.to_dict("records") == [{"first": 0, "second": 2, "distance_bits": 1, "difference": 0, "mirrored": False}]


def test_a_mirrored_picture_is_a_look_alike_where_asked() -> None:
    garments = [_garment(seed).convert("L") for seed in (0, 1)]
    greys = [garments[0], garments[1], ImageOps.mirror(garments[0])]
    hashes = phashes(np.stack([phash_pixels(grey) for grey in greys]))
    mirrored = phashes(np.stack([phash_pixels(ImageOps.mirror(grey)) for grey in greys]))
    thumbnails = np.stack([thumbnail(grey) for grey in greys])
    assert look_alikes(hashes, None, thumbnails, LookAlikeLimits(4, 0.1)).empty
    pairs = look_alikes(hashes, mirrored, thumbnails, LookAlikeLimits(4, 0.1))
    assert pairs[["first", "second", "mirrored"]].to_numpy().tolist() == [[0, 2, True]]


# Into the frame


def _frame(**changes: object) -> Frame:
    plain = {"width": 32, "height": 32, "fit": "pad", "resize_filter": "lanczos", "upscale": False, "pad_value": 0}
    return Frame(**(plain | changes))  # type: ignore[arg-type]


def test_a_small_picture_is_padded_and_otherwise_untouched() -> None:
    image = _garment(side_px=28).convert("L")
    pixels = np.asarray(fit_to_frame(image, _frame()))
    assert np.array_equal(pixels[2:30, 2:30], np.asarray(image))
    assert pixels[:2].max() == pixels[30:].max() == pixels[:, :2].max() == pixels[:, 30:].max() == 0


@pytest.mark.parametrize(
    ("size", "fit", "upscale", "covered"),
    [
        ((64, 32), "pad", False, (32, 16)),
        ((64, 32), "crop", False, (32, 32)),
        ((64, 32), "stretch", False, (32, 32)),
        ((16, 8), "pad", False, (16, 8)),
        ((16, 8), "pad", True, (32, 16)),
        ((16, 8), "crop", True, (32, 32)),
        ((16, 8), "crop", False, (16, 8)),
        ((16, 64), "stretch", False, (16, 32)),
        ((1000, 1), "pad", False, (32, 1)),
    ],
)
def test_each_fit_covers_its_part_of_the_frame(
    size: tuple[int, int], fit: str, upscale: bool, covered: tuple[int, int]
) -> None:
    white = fit_to_frame(Image.new("L", size, 255), _frame(fit=fit, upscale=upscale))
    box = white.getbbox()
    assert white.size == (32, 32)
    assert box is not None
    assert (box[2] - box[0], box[3] - box[1]) == covered
    assert abs(box[0] - (32 - box[2])) <= 1  # in the middle
    assert abs(box[1] - (32 - box[3])) <= 1


def test_shrinking_is_antialiased() -> None:
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (256, 128)))
    for name in ("box", "bilinear", "bicubic", "lanczos"):
        inside = np.asarray(fit_to_frame(stripes, _frame(resize_filter=name)))[2:-2, 2:-2]
        assert np.abs(inside.astype(int) - 127).max() <= 2


def test_margins_take_the_borders_median() -> None:
    image = Image.new("RGB", (20, 40), (200, 180, 160))
    image.paste((0, 0, 0), (5, 5, 15, 40))  # reaches the lower border
    assert fill_colour(image, "edge") == (200, 180, 160)
    assert fit_to_frame(image, _frame(pad_value="edge")).getpixel((0, 16)) == (200, 180, 160)
    assert fit_to_frame(image, _frame(pad_value=9)).getpixel((0, 16)) == (9, 9, 9)
    assert fill_colour(Image.new("L", (4, 4), 77), "edge") == 77


def test_pixels_have_the_channels_asked_for() -> None:
    assert pixels_of(_garment(), 1).shape == (64, 64, 1)
    assert pixels_of(_garment().convert("L"), 3).shape == (64, 64, 3)


def _dot(x: int, y: int) -> Image.Image:
    image = Image.new("L", (32, 32), 0)
    image.paste(255, (x - 1, y - 1, x + 2, y + 2))
    return image


def _centre(image: Image.Image) -> tuple[float, float]:
    weights = np.asarray(image).astype(float)
    rows, columns = np.indices(weights.shape) + 0.5
    return float((columns * weights).sum() / weights.sum()), float((rows * weights).sum() / weights.sum())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, (24.5, 16.5)),
        ({"mirrored": True}, (7.5, 16.5)),
        ({"degrees": 90.0}, (16.5, 7.5)),  # counter-clockwise: from the right to the top
        ({"degrees": -90.0}, (15.5, 24.5)),
        ({"shift_x": -0.25}, (16.5, 16.5)),
        ({"shift_y": 0.25}, (24.5, 24.5)),
        ({"scale": 0.5}, (16 + 8.5 / 2, 16 + 0.5 / 2)),
        ({"mirrored": True, "shift_x": 0.25, "scale": 0.5}, (16 - 8.5 / 2 + 8, 16 + 0.5 / 2)),
    ],
)
def test_a_dot_goes_where_the_change_says(change: dict[str, object], expected: tuple[float, float]) -> None:
    [moved] = apply_changes(_dot(24, 16), _frame(), [Change(**(STILL | change))])  # type: ignore[arg-type]
    assert moved.size == (32, 32)
    assert _centre(moved) == pytest.approx(expected, abs=0.2)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(("width", "height"), [(28, 28), (64, 64), (96, 64), (28, 512), (512, 384)])
def test_frames_of_any_size_are_filled(width: int, height: int, mode: str) -> None:
    everything = STILL | {"degrees": 9.0, "scale": 1.1, "shift_x": 0.05, "mirrored": True, "contrast": 1.1, "hue": 0.05}
    frame = _frame(width=width, height=height, fit="crop", upscale=True, pad_value="edge")
    still, moved = apply_changes(
        Image.new(mode, (40, 30), "white"),
        frame,
        [Change(**STILL), Change(**everything)],  # type: ignore[arg-type]
    )
    for image in (still, moved):
        assert (image.size, image.mode) == ((width, height), mode)
        assert np.asarray(image).min() > 250


def test_turning_costs_little_sharpness() -> None:
    image = _garment(side_px=64)
    [turned] = apply_changes(image, _frame(), [Change(**(STILL | {"degrees": 360.0}))])  # type: ignore[arg-type]
    assert np.abs(pixels_of(turned, 3).astype(int) - pixels_of(fit_to_frame(image, _frame()), 3)).mean() < 3


def test_colours_change_and_margins_do_not() -> None:
    image = Image.new("RGB", (16, 32), (100, 50, 50))
    changes = [Change(**(STILL | {name: 0.5})) for name in ("brightness", "saturation")]  # type: ignore[arg-type]
    darker, paler = apply_changes(image, _frame(pad_value=200), changes)
    assert darker.getpixel((16, 16)) == (50, 25, 25)
    assert paler.getpixel((16, 16)) == pytest.approx(((100 + 65) / 2, (50 + 65) / 2, (50 + 65) / 2), abs=1)
    assert darker.getpixel((0, 0)) == paler.getpixel((0, 0)) == (200, 200, 200)
    [grey] = apply_changes(image.convert("L"), _frame(), changes[1:])
    assert grey.getpixel((16, 16)) == 65
    halves = Image.new("RGB", (32, 32), (200, 0, 0))
    halves.paste((0, 0, 0), (0, 0, 32, 16))
    changes = [Change(**(STILL | change)) for change in ({"contrast": 0.0}, {"hue": 1 / 3})]  # type: ignore[arg-type]
    flat, green = apply_changes(halves, _frame(), changes)
    assert flat.getpixel((16, 8)) == flat.getpixel((16, 24)) == (30, 30, 30)  # the mean of the luma
    assert green.getpixel((16, 24)) == pytest.approx((0, 200, 0), abs=8)


def test_random_changes_stay_within_their_limits_and_reach_them() -> None:
    limits = ChangeLimits(
        rotate_degrees=10,
        min_scale=0.8,
        max_scale=1.25,
        translate=0.1,
        crop=0.0,
        brightness=0.2,
        saturation=0.3,
        contrast=0.4,
        hue=0.1,
    )
    generator = np.random.default_rng(0)
    drawn = [random_change(limits, True, generator) for _ in range(2000)]
    for name, low, high in [
        ("degrees", -10, 10),
        ("scale", 0.8, 1.25),
        ("shift_x", -0.1, 0.1),
        ("shift_y", -0.1, 0.1),
        ("brightness", 0.8, 1.2),
        ("saturation", 0.7, 1.3),
        ("contrast", 0.6, 1.4),
        ("hue", -0.1, 0.1),
    ]:
        values = [getattr(change, name) for change in drawn]
        assert low <= min(values) < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < max(values) <= high
    assert 0.45 < np.mean([change.mirrored for change in drawn]) < 0.55
    assert np.median([change.scale for change in drawn]) == pytest.approx(1, abs=0.02)  # as often smaller as larger


def test_a_crop_never_shows_what_lies_outside() -> None:
    limits = ChangeLimits(**(NO_LIMITS | {"crop": 0.4}))
    generator = np.random.default_rng(0)
    changes = [random_change(limits, False, generator) for _ in range(50)]
    assert max(change.scale for change in changes) == pytest.approx(1 / 0.6, rel=0.03)
    for image in apply_changes(Image.new("L", (32, 32), 255), _frame(), changes):
        assert np.asarray(image).min() > 250


def test_without_limits_nothing_changes() -> None:
    none = ChangeLimits(**NO_LIMITS)
    assert not none.any
    assert random_change(none, False, np.random.default_rng(0)) == Change(**STILL)  # type: ignore[arg-type]


def test_a_garment_that_goes_on_beyond_the_frame_is_cut_off() -> None:
    generator = np.random.default_rng(0)
    floor = generator.integers(90, 170, (80, 80, 3)).astype(np.uint8) // 32 * 32  # of many colours
    whole = floor.copy()
    whole[20:60, 20:60] = 240
    assert cut_off_share(edge_colours(whole)) == 0
    whole[:, 20:60] = 240
    assert cut_off_share(edge_colours(whole)) == 1
    assert edge_colours(whole[..., :1]).all()
    assert cut_off_share(edge_colours(np.zeros((1, 1, 1), np.uint8))) == 1


def test_the_second_piece_is_measured_by_the_first() -> None:
    background = np.ones((40, 40), dtype=bool)
    background[4:24, 4:14] = False
    assert second_piece(background) == 0
    background[4:14, 24:34] = False
    assert second_piece(background) == pytest.approx((9 * 9) / (19 * 9))
    background[38, 38] = False  # a speck
    assert second_piece(background) == pytest.approx((9 * 9) / (19 * 9))


def test_a_frame_is_taken_off_and_a_plain_margin_is_not() -> None:
    photograph = np.random.default_rng(0).integers(0, 255, (60, 80), dtype=np.uint8)
    framed_photograph = np.pad(photograph, ((5, 7), (4, 0)), constant_values=255)
    assert content_box(framed_photograph) == (0, 5, 84, 65)
    assert content_box(photograph) == (0, 0, 80, 60)
    assert content_box(np.full((20, 20), 9, dtype=np.uint8)) == (0, 0, 20, 20)


def test_views_are_the_descriptors_of_flipped_and_turned_pictures() -> None:
    pixels = np.asarray(_garment().convert("L"))[None]
    at = (np.arange(64) + 0.5) / 32 - 1
    points = np.stack(np.meshgrid(at, at)).reshape(2, -1)
    for orientation, share, seen in views(pixels, mirrored=True):
        if share == 1:
            column, row = np.rint((ORIENTATIONS[orientation] @ points + 1) * 32 - 0.5).astype(int)
            assert descriptors(pixels[:, row, column].reshape(1, 64, 64)) == pytest.approx(seen, abs=1e-4)


def test_a_moved_picture_is_laid_over_the_other() -> None:
    large = np.random.default_rng(1).normal(size=(160, 160))
    large = scipy.ndimage.gaussian_filter(large, 3)
    large = (255 * (large - large.min()) / np.ptp(large)).astype(np.uint8)
    moved = [large[40:104, 40:104], large[37:101, 43:107], large[90:154, 90:154]]  # 3 px up and right; another place
    guess = np.eye(2, 3, dtype=np.float32)[None, None].repeat(2, axis=0)
    fit = fits(Sketches(np.stack(moved)), np.array([0, 0]), np.array([1, 2]), guess)
    assert fit.maps[0] == pytest.approx(np.array([[1, 0, -6 / 64], [0, 1, 6 / 64]]), abs=0.01)
    assert fit.agreement[0] > 0.95
    assert fit.agreement[1] < 0.7
    there_and_back = composed(inverse(fit.maps), fit.maps)
    assert there_and_back == pytest.approx(np.eye(2, 3)[None].repeat(2, axis=0), abs=1e-4)


def test_pairs_that_all_look_hopeless_are_given_up() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 64, 64), dtype=np.uint8)
    fit = fits(Sketches(noise), np.array([0]), np.array([1]), np.eye(2, 3, dtype=np.float32)[None, None])
    assert (fit.agreement[0], fit.texture[0]) == (-1, -1)


def _plain_garment(seed: int) -> Image.Image:
    """Always the same outline; the folds are those of `seed`."""
    folds = scipy.ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(256, 256)), 4)
    y, x = np.mgrid[:256, :256] / 256
    shirt = ((abs(x - 0.5) < 0.22) & (y > 0.2) & (y < 0.85)) | ((abs(x - 0.5) < 0.4) & (y > 0.2) & (y < 0.4))
    return Image.fromarray(np.where(shirt, 90 + 5 * folds / folds.std(), 225).astype(np.uint8))


def test_texture_tells_plain_garments_of_one_outline_apart() -> None:
    one, stranger = _plain_garment(0), _plain_garment(1)
    edited = Image.open(io.BytesIO(_saved(one.crop((5, 5, 251, 251)), "JPEG", quality=30)))
    sketches = Sketches(np.stack([sketch(picture) for picture in (one, stranger, edited)]))
    fit = fits(sketches, np.array([0, 0]), np.array([1, 2]), np.eye(2, 3, dtype=np.float32)[None, None].repeat(2, axis=0))
    assert fit.agreement.min() > 0.8, "the outlines agree"
    assert fit.texture[0] < 0.55
    assert fit.texture[1] > 0.75
