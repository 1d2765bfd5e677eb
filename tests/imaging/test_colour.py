"""Colours: every picture in sRGB, by whatever its file says of them, held against closed forms."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pipeline.imaging import colour
from pipeline.imaging.colour import CONVERTED, IGNORED, NONE, SRGB, cicp_profile, matrix_profile
from pipeline.imaging.decoding import Picture, decode
from pipeline.imaging.inspect_schema import INSPECT
from pipeline.imaging.metadata_stripping import without_metadata
from pipeline.stages.inspect.run import measure_picture
from pipeline.storage.tables import read_tables
from studio.uploads import decoded_upload
from tests.stages.inspect.test_inspect_hostile import PARAMS
from tests.support import profiles
from tests.support.data_stages import DataStages, tiny_params

MAX_PIXELS = 1_000_000
GARMENT = (230, 60, 60)  # a red of Display P3 …
SEEN = (250, 31, 49)  # … in sRGB
P3 = profiles.display_p3_profile()
P3_CHUNK = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
SRGB_GAMMA = struct.pack(">I", 45455)


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def _colour(picture: Picture) -> tuple[int, ...]:
    value = picture.image.getpixel((4, 4))
    return value if isinstance(value, tuple) else (int(value or 0),)


def _garment(size: tuple[int, int] = (16, 16)) -> Image.Image:
    return Image.new("RGB", size, GARMENT)


def _random_levels(count: int = 400) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, 3), dtype=np.uint8)


LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
}


@pytest.mark.parametrize("kind", [*LOSSLESS, "JPEG"])
def test_display_p3_becomes_srgb_in_every_format(kind: str) -> None:
    options = LOSSLESS.get(kind, {"quality": 100, "subsampling": 0})
    picture = decode(_saved(_garment(), kind, icc_profile=P3, **options), MAX_PIXELS)
    assert picture.profile == CONVERTED
    assert _colour(picture) == pytest.approx(SEEN, abs=0 if kind in ("PNG", "WEBP", "TIFF") else 3)


def test_every_colour_of_display_p3_is_where_its_primaries_put_it() -> None:
    levels = _random_levels()
    picture = decode(_saved(Image.fromarray(levels[None]), "PNG", icc_profile=P3), MAX_PIXELS)
    assert np.abs(np.asarray(picture.image)[0] - profiles.p3_to_srgb(levels)).max() < 1.6


SRGB_PROFILES = {
    "Pillow's": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "by its primaries": cicp_profile(1, 13),
    "with the curve of video": cicp_profile(1, 1),
    "unspecified": cicp_profile(2, 2),
}


@pytest.mark.parametrize("name", SRGB_PROFILES)
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_a_profile_of_srgb_changes_no_pixel(name: str, mode: str) -> None:
    image = Image.fromarray(_random_levels()[None]).convert(mode)
    plain = decode(_saved(image, "PNG"), MAX_PIXELS)
    picture = decode(_saved(image, "PNG", icc_profile=SRGB_PROFILES[name]), MAX_PIXELS)
    assert (plain.profile, picture.profile) == (NONE, SRGB)
    assert np.array_equal(np.asarray(picture.image), np.asarray(plain.image))


def test_a_profile_of_display_p3_changes_no_grey() -> None:
    grey = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    picture = decode(_saved(grey, "PNG", icc_profile=P3), MAX_PIXELS)
    assert (picture.image.mode, picture.profile) == ("L", SRGB)


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_a_grey_profile_bends_the_levels_and_leaves_them_grey(mode: str) -> None:
    levels = np.arange(256, dtype=np.uint8)
    image = Image.fromarray(levels[None].astype(np.uint16) * 257 if mode == "I;16" else levels[None]).convert(mode)
    picture = decode(_saved(image, "PNG", icc_profile=profiles.grey_profile(1.5)), MAX_PIXELS)
    assert (picture.image.mode, picture.profile) == ("L", CONVERTED)
    expected = 255 * profiles.encoded((levels / 255.0) ** 1.5)
    assert np.abs(np.asarray(picture.image)[0] - expected).max() < 1.6


def test_ink_is_converted_by_its_profile() -> None:
    icc = profiles.press_profile(cyan_lab=(54, 80, 67))  # this press prints sRGB's red with its cyan
    image = Image.new("CMYK", (24, 8), (0, 0, 0, 0))
    image.paste((255, 0, 0, 0), (8, 0, 16, 8))
    image.paste((0, 0, 0, 255), (16, 0, 24, 8))
    for kind in ("TIFF", "JPEG"):
        picture = decode(_saved(image, kind, icc_profile=icc, **({"quality": 100} if kind == "JPEG" else {})), MAX_PIXELS)
        assert (picture.mode, picture.image.mode, picture.profile) == ("CMYK", "RGB", CONVERTED)
        white, red, black = (picture.image.getpixel((x, 4)) for x in (4, 12, 20))
        assert white == pytest.approx((255, 255, 255), abs=2)
        assert red == pytest.approx((255, 0, 0), abs=12)
        assert black == pytest.approx((0, 0, 0), abs=2)


def test_ink_without_a_profile_is_converted_as_pillow_does() -> None:
    image = Image.new("CMYK", (16, 16), (10, 200, 120, 30))
    picture = decode(_saved(image, "TIFF"), MAX_PIXELS)
    assert (picture.profile, _colour(picture)) == (NONE, image.convert("RGB").getpixel((4, 4)))


@pytest.mark.parametrize("alpha", [0, 128, 255])
def test_a_transparent_picture_is_converted_before_it_is_laid_over_white(alpha: int) -> None:
    image = Image.new("RGBA", (16, 16), (*GARMENT, alpha))
    picture = decode(_saved(image, "PNG", icc_profile=P3), MAX_PIXELS)
    expected = [level * alpha / 255 + 255 * (1 - alpha / 255) for level in SEEN]
    assert _colour(picture) == pytest.approx(expected, abs=1)


def test_a_palette_is_converted() -> None:
    image = _garment()
    image.paste((10, 20, 30), (8, 0, 16, 16))
    picture = decode(_saved(image.quantize(8), "PNG", icc_profile=P3), MAX_PIXELS)
    assert (picture.mode, picture.profile, _colour(picture)) == ("P", CONVERTED, SEEN)


def test_sixteen_bits_a_channel_are_converted() -> None:
    content = profiles.png_with(np.full((16, 16, 3), GARMENT, np.uint8), [(b"cHRM", P3_CHUNK), (b"gAMA", SRGB_GAMMA)], depth=16)
    picture = decode(content, MAX_PIXELS)
    assert (picture.profile, _colour(picture)) == (CONVERTED, SEEN)


def test_one_level_of_sixteen_bit_grey_can_be_transparent() -> None:
    pixels = np.full((16, 16), 10, np.uint8)
    pixels[:8] = 200
    content = profiles.png_with(pixels, [(b"tRNS", struct.pack(">H", 10 * 257))], depth=16)
    image = decode(content, MAX_PIXELS).image
    assert (image.getpixel((4, 4)), image.getpixel((4, 12))) == (200, 255)


BROKEN = {
    "noise": b"no profile at all",
    "cut short": P3[: len(P3) // 2],
    "empty": bytes(128),
    "of grey": profiles.grey_profile(2.2),
    "of ink": profiles.press_profile((54, 80, 67)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_profile_that_cannot_be_used_is_ignored_and_leaves_a_trace(name: str) -> None:
    content = _saved(_garment(), "PNG", icc_profile=BROKEN[name])
    picture = decode(content, MAX_PIXELS)
    assert (picture.profile.startswith(IGNORED), _colour(picture)) == (True, GARMENT)
    assert measure_picture(content, PARAMS)["profile"] == picture.profile


def test_half_the_segments_of_a_profile_are_none() -> None:
    content = _saved(_garment(), "JPEG", quality=100, icc_profile=P3 + bytes(70_000))
    second = content.index(b"ICC_PROFILE\0\x02\x02") - 4
    length = int.from_bytes(content[second + 2 : second + 4], "big")
    picture = decode(content[:second] + content[second + 2 + length :], MAX_PIXELS)
    assert picture.profile.startswith(IGNORED)


def test_a_colour_profile_of_rgb_on_ink_is_ignored() -> None:
    image = Image.new("CMYK", (16, 16), (10, 200, 120, 30))
    picture = decode(_saved(image, "TIFF", icc_profile=P3), MAX_PIXELS)
    assert (picture.profile.startswith(IGNORED), _colour(picture)) == (True, image.convert("RGB").getpixel((4, 4)))


LINEAR_GAMMA = struct.pack(">I", 100_000)


@pytest.mark.parametrize(
    ("chunks", "profile", "seen"),
    [
        ([(b"gAMA", SRGB_GAMMA)], SRGB, GARMENT),
        ([(b"gAMA", struct.pack(">I", 45000))], SRGB, GARMENT),
        ([(b"gAMA", LINEAR_GAMMA)], CONVERTED, tuple(255 * profiles.encoded(np.array(GARMENT) / 255))),
        ([(b"cHRM", P3_CHUNK), (b"gAMA", SRGB_GAMMA)], CONVERTED, SEEN),
        ([(b"cHRM", P3_CHUNK)], CONVERTED, SEEN),
        ([(b"sRGB", b"\0"), (b"gAMA", LINEAR_GAMMA), (b"cHRM", P3_CHUNK)], SRGB, GARMENT),
        ([(b"cICP", b"\x0c\x0d\0\x01"), (b"sRGB", b"\0")], CONVERTED, SEEN),
        ([(b"cICP", b"\x01\x0d\0\x01"), (b"gAMA", LINEAR_GAMMA)], SRGB, GARMENT),
        ([(b"tEXt", b"k\0\0\0\0\x04cICP\x0c\x0d\0\x01")], NONE, GARMENT),  # a text, not a chunk
        ([(b"cICP", b"\x09\x10\0\x01")], "ignored: high dynamic range (PQ)", GARMENT),
        ([(b"cICP", b"\xff\xff\0\x01")], "ignored: unknown CICP numbers 255 and 255", GARMENT),
        ([(b"gAMA", bytes(4))], "ignored: a gamma of 0", GARMENT),
        ([(b"cHRM", bytes(32))], "ignored: degenerate chromaticities", GARMENT),
    ],
)
def test_png_names_its_colours_without_a_profile(
    chunks: list[tuple[bytes, bytes]], profile: str, seen: tuple[float, ...]
) -> None:
    picture = decode(profiles.png_with(np.full((16, 16, 3), GARMENT, np.uint8), chunks), MAX_PIXELS)
    assert picture.profile == profile
    assert _colour(picture) == pytest.approx(seen, abs=1)


def test_avif_names_its_colours_by_number() -> None:
    content = _saved(_garment(), "AVIF", quality=100, subsampling="4:4:4")
    place = content.index(b"colrnclx") + 8
    picture = decode(content[:place] + struct.pack(">HH", 12, 13) + content[place + 4 :], MAX_PIXELS)
    assert picture.profile == CONVERTED
    assert _colour(picture) == pytest.approx(SEEN, abs=4)


def test_lab_is_converted() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    image = ImageCms.profileToProfile(_garment(), srgb, lab, outputMode="LAB")
    assert image is not None
    picture = decode(_saved(image, "TIFF"), MAX_PIXELS)
    assert (picture.mode, picture.profile) == ("LAB", CONVERTED)
    assert _colour(picture) == pytest.approx(GARMENT, abs=3)


@pytest.mark.parametrize("extension", ["jpg", "png", "webp"])
def test_taking_metadata_out_leaves_the_colours(extension: str) -> None:
    kind = {"jpg": "JPEG"}.get(extension, extension.upper())
    content = _saved(_garment(), kind, icc_profile=P3, exif=Image.Exif())
    before, after = decode(content, MAX_PIXELS), decode(without_metadata(content, extension), MAX_PIXELS)
    assert (after.profile, np.asarray(after.image).tolist()) == (CONVERTED, np.asarray(before.image).tolist())


def test_taking_metadata_out_leaves_what_png_says_of_its_colours() -> None:
    chunks = [(b"tEXt", b"Author\0me"), (b"cHRM", P3_CHUNK), (b"gAMA", SRGB_GAMMA)]
    content = without_metadata(profiles.png_with(np.full((16, 16, 3), GARMENT, np.uint8), chunks), "png")
    assert b"Author" not in content
    assert _colour(decode(content, MAX_PIXELS)) == SEEN


def test_an_upload_of_the_studio_is_seen_to_srgb() -> None:
    assert tuple(decoded_upload(_saved(_garment(), "PNG", icc_profile=P3))[4, 4]) == SEEN


def test_primaries_on_one_line_are_refused_without_a_warning() -> None:
    picture = decode(
        profiles.png_with(
            np.full((16, 16, 3), GARMENT, np.uint8),
            [(b"cHRM", struct.pack(">8I", 31270, 32900, 20000, 20000, 30000, 30000, 40000, 40000))],
        ),
        MAX_PIXELS,
    )
    assert picture.profile.startswith(IGNORED)


def test_a_profile_is_the_same_bytes_for_the_same_colours() -> None:
    first = matrix_profile((0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06), 2.2)
    matrix_profile.cache_clear()
    assert matrix_profile((0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06), 2.2) == first


def test_inspect_counts_what_became_of_profiles(wardrobe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (wardrobe / "hat" / "p3.png").write_bytes(_saved(_garment(), "PNG", icc_profile=P3))
    (wardrobe / "hat" / "broken.png").write_bytes(_saved(_garment(), "PNG", icc_profile=b"none"))
    caplog.set_level("INFO", logger="pipeline.stages.inspect.run")
    stages = DataStages(tiny_params(wardrobe, collect={"shards": 1}), tmp_path / "data").up_to("inspect")
    outcomes = read_tables(stages.inspect_tables, INSPECT)["profile"]
    [broken] = outcomes[outcomes.str.startswith(IGNORED)]
    counts = {record.args for record in caplog.records if record.msg.startswith("colour profile")}
    assert counts == {(CONVERTED, 1), (broken, 1)}


def test_huge_profiles_do_not_stay_in_memory() -> None:
    before = colour._cached_conversion.cache_info().currsize
    for number in range(3):
        content = _saved(_garment(), "PNG", icc_profile=P3 + bytes(2_000_000) + bytes([number]))
        assert _colour(decode(content, MAX_PIXELS)) == SEEN
    assert colour._cached_conversion.cache_info().currsize == before
