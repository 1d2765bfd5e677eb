"""Hostile and odd pictures through inspect: each costs at most its own row, and no process outlives its limits."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.imaging.decoding import decode
from pipeline.stages.inspect.params import InspectParams
from pipeline.stages.inspect.run import rows_of
from tests.support.web_pictures import drawn, encoded, exif_of, telling

PARAMS = InspectParams(
    max_pixels=50_000_000, max_memory_bytes=1_000_000_000, timeout_s=60.0, background_tolerance=12, detect=[], sketch=True
)
SIZE = (40, 30)


def inspected(members: dict[str, bytes], params: InspectParams = PARAMS) -> dict[str, dict[str, object]]:
    """The row of each of `members`, by name."""
    return dict(zip(members, rows_of(((f"{name}.x", content) for name, content in members.items()), params), strict=True))


def bomb() -> bytes:
    """A PNG of 21 KB that unfolds to 177 megapixels."""
    side = 13_300

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side // 8 + 2) * side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def animated() -> bytes:
    """Three frames."""
    return encoded(drawn(0), "GIF", save_all=True, append_images=[drawn(1), drawn(2)], duration=50)


def test_a_picture_cut_at_every_five_percent_is_a_row_with_a_reason() -> None:
    whole = {kind: encoded(drawn(5, (64, 48)), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF")}
    cut = {
        f"{kind}-{percent}": whole[kind][: len(whole[kind]) * percent // 100] for kind in whole for percent in range(0, 100, 5)
    }
    rows = inspected({**whole, **cut})
    assert [name for name in whole if not rows[name]["decoded"]] == []
    assert [name for name in cut if rows[name]["decoded"]] == []
    assert all(rows[name]["reason"] for name in cut)


def test_every_kind_of_picture_is_decoded_and_measured() -> None:
    image = drawn(3)
    sixteen_bit = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    members = {
        "cmyk": encoded(image.convert("CMYK"), "JPEG"),
        "sixteen bit": encoded(sixteen_bit, "PNG"),
        "palette": encoded(image.quantize(16), "PNG"),
        "alpha": encoded(image.convert("RGBA"), "PNG"),
        "animated": animated(),
        "turned": encoded(image, "JPEG", exif=exif_of(6)),
        "profile": telling("PNG", 1),
        "polyglot": encoded(image, "JPEG") + b"<script>alert(1)</script>PK\x03\x04",
        "../../etc/passwd": encoded(image, "PNG"),
    }
    rows = inspected(members)
    assert [(name, row["reason"]) for name, row in rows.items() if not row["decoded"]] == []
    sizes = {name: (row["width"], row["height"]) for name, row in rows.items()}
    assert sizes.pop("turned") == SIZE[::-1]
    assert set(sizes.values()) == {SIZE}


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 1000, b"\xff\xd8\xff", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a"]
)
def test_what_is_no_picture_is_a_row_with_a_reason(content: bytes) -> None:
    row = inspected({"odd": content})["odd"]
    assert not row["decoded"]
    assert row["reason"]


def test_a_bomb_of_177_megapixels_is_refused_by_its_pixels_and_else_by_its_memory() -> None:
    content = bomb()
    assert len(content) < 25_000
    members = {"before": encoded(drawn(0), "PNG"), "bomb": content, "after": encoded(drawn(1), "PNG")}
    assert inspected(members)["bomb"]["reason"] == "more than 50000000 pixels"
    rows = inspected(members, PARAMS.model_copy(update={"max_pixels": 10**9, "max_memory_bytes": 150_000_000}))
    assert [row["decoded"] for row in rows.values()] == [True, False, True]
    assert "emory" in str(rows["bomb"]["reason"])


def test_a_picture_that_takes_too_long_costs_one_row() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (3000, 3000, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    noise.save(buffer, "PNG", compress_level=1)
    rows = inspected({"slow": buffer.getvalue()}, PARAMS.model_copy(update={"timeout_s": 0.01}))
    assert rows["slow"]["reason"] == "took longer than 0.01 s"


def test_broken_exif_does_not_cost_the_picture() -> None:
    exif = exif_of(6).tobytes()
    broken = exif[:19] + b"\x0b" + exif[20:]  # the maker is a floating-point number
    row = inspected({"broken": encoded(drawn(0), "JPEG", exif=broken)})["broken"]
    assert (row["decoded"], row.get("reason")) == (True, None)


def test_a_png_of_sixteen_bits_a_channel_is_the_picture_it_shows() -> None:
    eight = np.asarray(drawn(3))
    levels = (eight.astype(np.uint16) * 257).astype(">u2")
    rows = b"".join(b"\0" + line.tobytes() for line in levels)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = struct.pack(">IIBBBBB", *SIZE, 16, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    picture = decode(png, PARAMS.max_pixels)
    assert (picture.format, picture.image.mode) == ("PNG", "RGB")
    assert np.array_equal(np.asarray(picture.image), eight)
    assert inspected({"deep": png})["deep"]["decoded"]
