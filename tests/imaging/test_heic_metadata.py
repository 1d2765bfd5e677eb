"""HEIC: metadata is overwritten where it lies, images are not touched; needs no decoder."""

import base64
import io
import random

import numpy as np
import pytest
from PIL import Image

from pipeline.imaging.metadata_stripping import MetadataError, without_metadata
from tests.support.web_pictures import SECRET

# 16×16, made by pillow-heif from tests.support.web_pictures.drawn: EXIF with a maker, a place and the orientation 6, and XMP.
TELLING = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAhFtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAAEZpbG9jAAAAAERAAAMAAQAAAAAC"
    "NQABAAAAAAAAAD0AAgAAAAACcgABAAAAAAAAAH4AAwAAAAAC8AABAAAAAAAAABIAAABiaWluZgAAAAAAAwAAABVpbmZlAgAAAAABAABodmMxAAAAABVpbmZlAgAAAQAC"
    "AABFeGlmAAAAACppbmZlAgAAAQADAABtaW1lAGFwcGxpY2F0aW9uL3JkZit4bWwAAAAAAA5waXRtAAAAAAABAAABBmlwcnAAAADlaXBjbwAAAHVodmNDAQNwAAAAkAAA"
    "AAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQB"
    "wXPBiQAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAEAAAAAEAAAAQAAAAAf///9AAAAAC////0AAAAAIAAAAQcGl4aQAAAAAD"
    "CAgIAAAACWlyb3QDAAAAGWlwbWEAAAAAAAAAAQABBoECAwWEhgAAAChpcmVmAAAAAAAAAA5jZHNjAAIAAQABAAAADmNkc2MAAwABAAEAAADVbWRhdAAAADkoAa8EEhcO"
    "JPjpkTrf0zx04uydFRlHZAMygFs6QWRiNUDcNHqH2VFHKh9z5tE6+9S9ACvZELfO/vcAAAAGRXhpZgAATU0AKgAAAAgAAwEPAAIAAAAMAAAAMgESAAMAAAABAAYAAIgl"
    "AAQAAAABAAAAPgAAAABTRUNSRVRNQUtFUgAAAgABAAIAAAACTgAAAAACAAUAAAADAAAAXAAAAAAAAAAwAAAAAQAAAAwAAAABAAAAHgAAAAE8eD5TRUNSRVRNQUtFUjwv"
    "eD4="
)
IMAGE = slice(0x235, 0x235 + 0x3D)  # where iloc says that the image is


def test_metadata_becomes_zeros_and_the_image_stays_where_it_is() -> None:
    clean = without_metadata(TELLING, "heic")
    assert TELLING.count(SECRET) == 2
    assert SECRET not in clean
    assert (len(clean), clean[IMAGE], clean[: IMAGE.start]) == (len(TELLING), TELLING[IMAGE], TELLING[: IMAGE.start])
    assert not any(clean[IMAGE.stop :])
    assert without_metadata(clean, "heic") == clean


@pytest.mark.parametrize("kind", [b"uuid", b"free", b"udta"])
def test_boxes_of_others_lose_their_content(kind: bytes) -> None:
    box = (8 + len(SECRET)).to_bytes(4, "big") + kind + SECRET
    clean = without_metadata(TELLING + box, "heic")
    assert SECRET not in clean
    assert clean[: len(TELLING)] == without_metadata(TELLING, "heic")


def test_a_trailer_that_is_no_box_is_cut_off() -> None:
    assert without_metadata(TELLING + SECRET * 9, "heic") == without_metadata(TELLING, "heic")


@pytest.mark.parametrize("length", [0, 20, 30, 200, 500, len(TELLING) - 1])
def test_a_truncated_file_is_refused(length: int) -> None:
    with pytest.raises(MetadataError):
        without_metadata(TELLING[:length], "heic")


def test_a_sequence_of_pictures_is_refused() -> None:
    with pytest.raises(MetadataError):
        without_metadata(TELLING + b"\0\0\0\x08moov", "heic")


def test_damage_is_refused_or_cleaned_and_never_an_error() -> None:
    generator = random.Random(0)
    for _ in range(500):
        damaged = bytearray(TELLING)
        for _ in range(generator.randrange(1, 4)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        try:
            assert len(without_metadata(bytes(damaged), "heic")) <= len(damaged)
        except MetadataError:
            continue


def test_the_cleaned_picture_is_decoded_to_the_same_pixels() -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    with Image.open(io.BytesIO(TELLING)) as before, Image.open(io.BytesIO(without_metadata(TELLING, "heic"))) as after:
        assert np.array_equal(np.asarray(before), np.asarray(after))
