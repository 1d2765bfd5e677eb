import io
import struct
import time

import numpy as np
import pytest
from PIL import Image

from pipeline.imaging.metadata_stripping import MetadataError, orientation, without_metadata
from tests.support.web_pictures import SECRET, drawn, encoded, exif_of, jpeg, telling

KINDS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif"}


@pytest.mark.parametrize("upright", [1, 3, 6, 8])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_metadata_goes_and_pixels_profile_and_orientation_stay(kind: str, upright: int) -> None:
    content = telling(kind, upright)
    clean = without_metadata(content, KINDS[kind])
    assert SECRET in content
    assert SECRET not in clean
    with Image.open(io.BytesIO(content)) as before, Image.open(io.BytesIO(clean)) as after:
        assert np.array_equal(np.asarray(before), np.asarray(after))
        assert after.info["icc_profile"] == before.info["icc_profile"]
        assert dict(after.getexif()) == ({0x0112: upright} if upright != 1 else {})
        assert not after.getexif().get_ifd(0x8825)


def test_gif_comments_go_and_its_frames_stay() -> None:
    frames = [drawn(seed) for seed in range(3)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=70, loop=0, comment=SECRET)
    clean = without_metadata(content, "gif")
    assert SECRET in content
    assert SECRET not in clean
    with Image.open(io.BytesIO(clean)) as after, Image.open(io.BytesIO(content)) as before:
        assert (after.n_frames, after.info["duration"], after.info["loop"]) == (3, 70, 0)  # type: ignore[attr-defined]
        for frame in range(3):
            before.seek(frame)
            after.seek(frame)
            assert np.array_equal(np.asarray(before.convert("RGB")), np.asarray(after.convert("RGB")))


@pytest.mark.parametrize(
    "options", [{"progressive": True}, {"quality": 100, "subsampling": 0}, {"optimize": True}, {"restart_marker_rows": 1}]
)
def test_every_way_to_write_a_jpeg(options: dict[str, int]) -> None:
    content = jpeg(2, exif=exif_of(1), **options)
    clean = without_metadata(content, "jpg")
    with Image.open(io.BytesIO(content)) as before, Image.open(io.BytesIO(clean)) as after:
        assert np.array_equal(np.asarray(before), np.asarray(after))


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_is_clean_stays_as_it_is(kind: str) -> None:
    clean = without_metadata(telling(kind, 6), KINDS[kind])
    assert without_metadata(clean, KINDS[kind]) == clean


def test_an_animated_picture_with_transparency_keeps_both() -> None:
    frames = [drawn(seed) for seed in range(2)]
    for frame in frames:
        frame.putalpha(128)
    for kind in ("PNG", "WEBP"):
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, exif=exif_of(1))
        with Image.open(io.BytesIO(without_metadata(content, KINDS[kind]))) as after:
            assert after.n_frames == 2  # type: ignore[attr-defined]
            assert after.mode == "RGBA"


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_truncated_picture_stays_truncated_and_clean(kind: str) -> None:
    content = telling(kind, 6)
    for length in range(len(content) // 20, len(content) - len(SECRET) - 2, len(content) // 20):
        try:
            clean = without_metadata(content[:length], KINDS[kind])
        except MetadataError:
            continue  # refused, which also keeps it in
        assert SECRET not in clean
        with pytest.raises(Exception), Image.open(io.BytesIO(clean)) as after:  # noqa: B017, PT011 (Pillow has many)
            after.load()


def test_formats_without_a_lossless_way_are_refused() -> None:
    with pytest.raises(MetadataError):
        without_metadata(encoded(drawn(0), "TIFF"), "tif")
    with pytest.raises(MetadataError):
        without_metadata(encoded(drawn(0), "AVIF", exif=exif_of(6)), "avif")


@pytest.mark.parametrize("declared", [None, 0])  # some programs leave the size out
@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA"])
def test_what_follows_the_pixels_of_a_bmp_goes(mode: str, declared: int | None) -> None:
    content = encoded(drawn(0).convert(mode), "BMP")
    content = content if declared is None else content[:2] + struct.pack("<I", declared) + content[6:]
    assert without_metadata(content + SECRET, "bmp") == content


def test_the_thumbnail_of_a_jfif_header_goes() -> None:
    content = jpeg(2)
    assert content[2:4] + content[6:11] == b"\xff\xe0JFIF\x00"
    thumbnail = (SECRET * 3)[:27]
    with_one = content[:4] + struct.pack(">H", 16 + 27) + content[6:18] + b"\x03\x03" + thumbnail + content[20:]
    assert without_metadata(with_one, "jpg") == without_metadata(content, "jpg") == content


def test_formats_that_hold_none_pass() -> None:
    for kind, extension in (("BMP", "bmp"), ("AVIF", "avif")):
        content = encoded(drawn(0), kind)
        assert without_metadata(content, extension) == content


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00", 6),
        (b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x08\x00\x00\x00", 8),
        (b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x63\x00\x00", 1),  # 99 is no orientation
        (b"MM\x00*\xff\xff\xff\xff", 1),
        (b"MM", 1),
        (b"", 1),
        (b"rubbish that is no TIFF", 1),
    ],
)
def test_orientation_in_either_byte_order(block: bytes, expected: int) -> None:
    assert orientation(block) == expected


@pytest.mark.parametrize(
    ("beginning", "block", "extension"),
    [
        (b"\xff\xd8", b"\xff\xe0\x00\x02", "jpg"),
        (b"\xff\xd8", b"\xff\xd0", "jpg"),
        (b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IDAT\0\0\0\0", "png"),
        (b"RIFF\x00\x2d\x31\x01WEBP", b"ALPH\0\0\0\0", "webp"),
        (b"GIF89a\1\0\1\0\0\0\0", b"\x21\xf9\0", "gif"),
    ],
)
def test_a_picture_of_a_million_blocks_takes_no_time(beginning: bytes, block: bytes, extension: str) -> None:
    started = time.process_time()
    with pytest.raises(MetadataError, match="more than 100000 blocks"):
        without_metadata(beginning + block * 1_000_000, extension)
    assert without_metadata(b"\xff\xd8" + b"\xff" * 20_000_000, "jpg") == b"\xff\xd8"
    assert time.process_time() - started < 3


def test_blocks_that_no_decoder_needs_go() -> None:
    marked = jpeg(0)[:2] + b"\xff\xf0" + struct.pack(">H", 2 + len(SECRET)) + SECRET + jpeg(0)[2:]
    assert without_metadata(marked, "jpg") == jpeg(0)
    drawing = encoded(drawn(0), "GIF")
    spoken = drawing[:-1] + b"\x21\x01" + bytes([len(SECRET)]) + SECRET + b"\0;"  # a plain text extension
    assert SECRET not in without_metadata(spoken, "gif")
