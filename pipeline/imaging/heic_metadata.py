"""Remove metadata from HEIC files by overwriting it with zeros, so that no offset changes.

A HEIC file is a tree of boxes (ISO 14496-12, 23008-12). Its items, images as well as metadata, are in `mdat` or `idat` at
the offsets in `iloc`. Only the bytes of image items are kept there; boxes with free text become boxes of type `free`.
The orientation (`irot`, `imir`) and colour profiles are properties of the image and are kept.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

METADATA_ITEMS = frozenset((b"Exif", b"mime", b"uri "))
TOP_KEPT = frozenset((b"ftyp", b"meta", b"mdat", b"free", b"skip"))
META_KEPT = frozenset((b"hdlr", b"pitm", b"iinf", b"iref", b"iprp", b"iloc", b"idat", b"dinf", b"ipro", b"grpl", b"free"))
REMOVED_PROPERTIES = frozenset((b"udes", b"uuid", b"altt"))  # descriptions and tags
IN_FILE, IN_IDAT = 0, 1  # construction methods of iloc
MAX_BOXES = 100_000


class HeicError(ValueError):
    """The file's metadata cannot be separated from its images."""


@dataclass(frozen=True)
class Box:
    """A box of a HEIC file: byte offsets."""

    kind: bytes
    start: int
    body: int  # start of its content
    end: int


@dataclass(frozen=True)
class Extent:
    """A byte range of an item."""

    item: int
    method: int
    offset: int
    length: int  # 0: to the end of the file


class _Reader:
    """Reads big-endian integers of any size in sequence. Raises HeicError at the end."""

    def __init__(self, content: bytes | bytearray, start: int, end: int) -> None:
        self._content, self._at, self._end = content, start, end

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def take(self, size: int) -> bytes:
        if self._at + size > self._end:
            raise HeicError("damaged structure")
        self._at += size
        return bytes(self._content[self._at - size : self._at])


def _boxes(content: bytes | bytearray, start: int, end: int) -> Iterator[Box]:
    count = 0
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", content, start)
        body = start + 8
        if size == 1 and start + 16 <= end:
            (size,) = struct.unpack_from(">Q", content, body)
            body += 8
        stop = end if size == 0 else start + size
        count += 1
        if stop < body or stop > end or count > MAX_BOXES:
            raise HeicError("damaged structure")
        yield Box(kind, start, body, stop)
        start = stop


def _top_boxes(content: bytes | bytearray) -> list[Box]:
    """The top-level boxes of a file, without a vendor's trailer, which is no box."""
    found: list[Box] = []
    try:
        found.extend(_boxes(content, 0, len(content)))
    except HeicError:
        if not {b"meta", b"mdat"} <= {box.kind for box in found}:
            raise
    return found


def _child(boxes: list[Box], kind: bytes) -> Box:
    found = next((box for box in boxes if box.kind == kind), None)
    if found is None:
        raise HeicError(f"no {kind.decode()}")
    return found


def _image_items(content: bytearray, iinf: Box) -> set[int]:
    reader = _Reader(content, iinf.body, iinf.end)
    count_size = 2 if reader.number(1) == 0 else 4
    items = set()
    for box in _boxes(content, iinf.body + 4 + count_size, iinf.end):
        entry = _Reader(content, box.body, box.end)
        version = entry.number(1)
        if box.kind != b"infe" or version < 2:
            raise HeicError("items without a type")
        entry.take(3)
        item = entry.number(2 if version == 2 else 4)
        entry.take(2)
        if entry.take(4) not in METADATA_ITEMS:
            items.add(item)
    return items


def _extents(content: bytearray, iloc: Box) -> Iterator[Extent]:
    reader = _Reader(content, iloc.body, iloc.end)
    version = reader.number(1)
    reader.take(3)
    sizes = reader.number(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    for _ in range(reader.number(2 if version < 2 else 4)):
        item = reader.number(2 if version < 2 else 4)
        method = reader.number(2) & 15 if version in (1, 2) else IN_FILE
        if reader.number(2) or method not in (IN_FILE, IN_IDAT):
            raise HeicError("items in other files")
        base = reader.number(base_size)
        for _ in range(reader.number(2)):
            reader.take(index_size if version in (1, 2) else 0)
            yield Extent(item, method, base + reader.number(offset_size), reader.number(length_size))


def _zero(content: bytearray, start: int, end: int) -> None:
    content[start:end] = bytes(end - start)


def _free(content: bytearray, box: Box) -> None:
    """Turn `box` into a box of the same length that readers skip."""
    content[box.start + 4 : box.start + 8] = b"free"
    _zero(content, box.body, box.end)


def _keep_only(content: bytearray, box: Box, pieces: list[tuple[int, int]]) -> None:
    """Overwrite `box` except for `pieces`, the byte ranges of images in the file."""
    position = box.body
    for start, end in sorted(pieces):
        if end > position and start < box.end:
            _zero(content, position, max(position, min(start, box.end)))
            position = max(position, min(end, box.end))
    _zero(content, position, box.end)


def without_heic_metadata(original: bytes) -> bytes:
    """`original`, a HEIC file, with its metadata overwritten by zeros.

    Raises HeicError if the structure is damaged or its metadata cannot be located.
    """
    content = bytearray(original)
    top = _top_boxes(content)
    if any(box.kind == b"moov" for box in top):
        raise HeicError("a sequence of pictures")
    meta = _child(top, b"meta")
    inside = list(_boxes(content, meta.body + 4, meta.end))
    images = _image_items(content, _child(inside, b"iinf"))
    idat = next((box for box in inside if box.kind == b"idat"), None)
    pieces = []
    for extent in _extents(content, _child(inside, b"iloc")):
        start = extent.offset + (idat.body if extent.method == IN_IDAT and idat is not None else 0)
        if extent.item in images:
            pieces.append((start, start + extent.length if extent.length else len(content)))
    for box in [*top, *inside]:
        if box.kind in (b"mdat", b"idat"):
            _keep_only(content, box, pieces)
        elif box.kind not in (TOP_KEPT if box in top else META_KEPT) or box.kind in (b"free", b"skip"):
            _free(content, box)
    _free_properties(content, _child(inside, b"iprp"))
    return bytes(content[: top[-1].end])


def _free_properties(content: bytearray, iprp: Box) -> None:
    for box in _boxes(content, iprp.body, iprp.end):
        if box.kind == b"ipco":
            for entry in _boxes(content, box.body, box.end):
                if entry.kind in REMOVED_PROPERTIES:
                    _free(content, entry)
