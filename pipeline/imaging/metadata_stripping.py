"""Remove metadata from picture files without decoding or re-encoding the pixels.

Kept: what decoding needs, colour profiles, gamma, density, animation, and the orientation if not upright, in a new EXIF block
of its own. Removed: EXIF with GPS and thumbnail, XMP, IPTC, comments, dates, vendor trailers, anything after the picture's end.
"""

import re
import struct
import zlib
from collections.abc import Iterator

from pipeline.imaging.heic_metadata import HeicError, without_heic_metadata

ORIENTATION_TAG = 0x0112
EXIF_HEAD = b"Exif\x00\x00"
JFIF_HEAD, JFIF_BYTES = b"JFIF\x00", 14  # the last two are the size of the thumbnail that may follow
BMP_OLD_HEADER_BYTES, BMP_COMPRESSED = 12, (1, 2, 4, 5)  # run lengths, JPEG, PNG

JPEG_END, JPEG_SCAN = 0xD9, 0xDA
JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length
JPEG_DECODING = frozenset({*range(0xC0, 0xD0), *range(0xDB, 0xE0)})  # frames, tables, restart intervals
JPEG_MARKER = re.compile(rb"\xff[^\xff]")  # any number of fill bytes may precede it
AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_KEPT = frozenset(b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP cICP mDCV cLLI sBIT bKGD pHYs acTL fcTL fdAT".split())
WEBP_KEPT = frozenset((b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"))
WEBP_EXIF_FLAG, WEBP_XMP_FLAG = 0x08, 0x04
GIF_CONTROL, GIF_APPLICATION = 0xF9, 0xFF
GIF_KEPT_APPLICATIONS = frozenset((b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012"))


MAX_BLOCKS = 100_000  # segments or chunks of one picture; more are an attack


class MetadataError(ValueError):
    """The metadata cannot be located in the picture's structure."""


def without_metadata(content: bytes, extension: str) -> bytes:
    """`content`, a picture in the format of `extension`, without metadata and with unchanged pixel data.

    A truncated picture stays truncated. Raises MetadataError for a damaged structure or a format without a lossless method.
    """
    try:
        match extension:
            case "jpg":
                return b"".join(_limited(_jpeg_segments(content)))
            case "png":
                return b"".join(_limited(_png_chunks(content)))
            case "webp":
                return _webp(content)
            case "gif":
                return b"".join(_limited(_gif_blocks(content)))
            case "bmp":
                return _bmp(content)
            case "heic":
                return without_heic_metadata(content)
            case "avif" if b"Exif" not in content and b"application/rdf+xml" not in content:
                return content
    except (IndexError, struct.error) as error:
        raise MetadataError("damaged structure") from error
    except HeicError as error:
        raise MetadataError(str(error)) from error
    raise MetadataError(f"no lossless method for .{extension}")


def _limited(blocks: Iterator[bytes]) -> Iterator[bytes]:
    for number, block in enumerate(blocks):
        if number >= MAX_BLOCKS:
            raise MetadataError(f"more than {MAX_BLOCKS} blocks")
        yield block


def orientation(exif: bytes) -> int:
    """The EXIF orientation, 1 to 8, in a TIFF block; 1 if missing or unreadable."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}4xI", exif)
        (entries,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(entries):
            tag, kind, count, value = struct.unpack_from(f"{order}HHIH", exif, start + 2 + 12 * entry)
            if tag == ORIENTATION_TAG and kind == 3 and count == 1 and 1 <= value <= 8:
                return int(value)
    except struct.error:
        pass
    return 1


def _exif_of(value: int) -> bytes:
    """A TIFF block whose only entry is the orientation."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, ORIENTATION_TAG, 3, 1, value, 0, 0)


def _jpeg_segments(content: bytes) -> Iterator[bytes]:
    yield content[:2]
    position = 2
    upright = True
    while (match := JPEG_MARKER.search(content, position)) is not None:
        position, marker = match.start(), match[0][1]
        if marker == JPEG_END:
            yield b"\xff\xd9"
            return
        if marker in JPEG_ALONE:
            yield content[position : position + 2]
            position += 2
            continue
        if position + 4 > len(content):
            return
        end = position + 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        segment = content[position:end]
        if marker == JPEG_SCAN:
            following = AFTER_SCAN.search(content, end)
            end = following.start() if following else len(content)
            yield content[position:end]
        elif marker == 0xE0 and segment[4:9] == JFIF_HEAD and len(segment) >= 4 + JFIF_BYTES:
            yield b"\xff\xe0" + struct.pack(">H", JFIF_BYTES + 2) + segment[4 : 4 + JFIF_BYTES - 2] + bytes(2)  # no thumbnail
        elif marker == 0xE1 and segment[4:10] == EXIF_HEAD and upright:
            value = orientation(segment[10:])
            if value != 1:
                block = EXIF_HEAD + _exif_of(value)
                yield b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
                upright = False
            else:
                yield b""
        else:
            yield segment if _jpeg_keeps(marker, segment) else b""
        position = end


def _jpeg_keeps(marker: int, segment: bytes) -> bool:
    body = segment[4:]
    return (
        marker in JPEG_DECODING
        or (marker == 0xE2 and body.startswith(b"ICC_PROFILE\x00"))
        or (marker == 0xEE and body.startswith(b"Adobe"))
    )


def _bmp(content: bytes) -> bytes:
    """`content` up to its declared size, or up to the end of its pixels if that is later. Raises MetadataError."""
    declared, start, header = struct.unpack_from("<I4xII", content, 2)
    if header == BMP_OLD_HEADER_BYTES:
        width, height, bits = struct.unpack_from("<HH2xH", content, 18)
        end = start + (width * bits + 31) // 32 * 4 * height
    else:
        width, height, bits, compression, size = struct.unpack_from("<ii2xHII", content, 18)
        end = start + (size if compression in BMP_COMPRESSED else (width * bits + 31) // 32 * 4 * abs(height))
    if max(declared, end) <= start:
        raise MetadataError("damaged structure")
    return content[: max(declared, end)]


def _png_chunks(content: bytes) -> Iterator[bytes]:
    yield PNG_SIGNATURE
    position = len(PNG_SIGNATURE)
    while position + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        if kind == b"eXIf" and (value := orientation(content[position + 8 : end - 4])) != 1:
            block = b"eXIf" + _exif_of(value)
            yield struct.pack(">I", len(block) - 4) + block + struct.pack(">I", zlib.crc32(block))
        else:
            yield content[position:end] if kind in PNG_KEPT else b""
        if kind == b"IEND":
            return
        position = end


def _webp(content: bytes) -> bytes:
    chunks: list[bytes] = []
    turned = 1
    position, end = 12, min(len(content), 8 + int.from_bytes(content[4:8], "little"))
    while position + 8 <= end:
        if len(chunks) > MAX_BLOCKS:
            raise MetadataError(f"more than {MAX_BLOCKS} blocks")
        kind, length = struct.unpack_from("<4sI", content, position)
        body = content[position + 8 : min(end, position + 8 + length)]
        if kind == b"EXIF":
            turned = orientation(body.removeprefix(EXIF_HEAD))
        elif kind in WEBP_KEPT:
            chunks.append(content[position : min(end, position + 8 + length + length % 2)])
        position += 8 + length + length % 2
    if chunks and chunks[0].startswith(b"VP8X") and len(chunks[0]) > 8:
        flags = chunks[0][8] & ~(WEBP_EXIF_FLAG | WEBP_XMP_FLAG) | (WEBP_EXIF_FLAG if turned != 1 else 0)
        chunks[0] = chunks[0][:8] + bytes([flags]) + chunks[0][9:]
        if turned != 1:
            block = _exif_of(turned)
            chunks.append(struct.pack("<4sI", b"EXIF", len(block)) + block)
    body = b"WEBP" + b"".join(chunks)
    # A truncated picture keeps its claimed length, so that it still counts as truncated.
    missing = max(0, 8 + int.from_bytes(content[4:8], "little") - len(content))
    return struct.pack("<4sI", b"RIFF", len(body) + missing) + body


def _gif_blocks(content: bytes) -> Iterator[bytes]:
    position = 13 + _gif_colours(content, 10)
    yield content[:position]
    while position < len(content):
        start = position
        match content[position]:
            case 0x21:
                position = _after_sub_blocks(content, position + 2)
                yield content[start:position] if _gif_keeps(content, start) else b""
            case 0x2C:
                position = _after_sub_blocks(content, position + 11 + _gif_colours(content, position + 9))
                yield content[start:position]
            case 0x3B:
                yield b";"
                return
            case _:
                raise MetadataError("damaged GIF: unknown block type")


def _gif_colours(content: bytes, flags_at: int) -> int:
    """Length in bytes of the colour table that the flags declare."""
    flags = content[flags_at] if flags_at < len(content) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _gif_keeps(content: bytes, start: int) -> bool:
    label = content[start + 1] if start + 1 < len(content) else 0
    if label == GIF_APPLICATION:
        return content[start + 3 : start + 14] in GIF_KEPT_APPLICATIONS
    return label == GIF_CONTROL


def _after_sub_blocks(content: bytes, position: int) -> int:
    while position < len(content) and content[position] != 0:
        position += 1 + content[position]
    return min(len(content), position + 1)
