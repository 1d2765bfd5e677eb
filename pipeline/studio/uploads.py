"""Uploaded pictures: refused by size and kind before they are decoded, decoded in a child process, kept small and few."""

import secrets
from collections import OrderedDict
from contextlib import closing
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.images.decoding import UndecodableError, decoded
from pipeline.images.guarded import Limits, Lost, guarded

MAX_UPLOAD_BYTES = 10 << 20
MAX_PIXELS = 50_000_000
KEPT_SIDE_PX = 512
MAX_KEPT = 24
MIN_SIDE_PX = 8
LIMITS = Limits(memory_bytes=1 << 30, timeout_s=20.0)

KINDS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF"}


class UnreadableUploadError(Exception):
    """The upload is not a picture that can be used; the text says why, to a designer."""


def kind_of(content: bytes) -> str | None:
    """The format that the first bytes of `content` announce, or None when it is none that is taken."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    if content[4:8] == b"ftyp" and content[8:12] in (b"avif", b"avis", b"mif1"):
        return "AVIF"
    return next((kind for start, kind in KINDS.items() if content.startswith(start)), None)


def _decode(content: bytes) -> NDArray[np.uint8] | Lost:
    try:
        picture = decoded(content, MAX_PIXELS).image.convert("RGB")
    except UndecodableError as error:
        return Lost(str(error))
    picture.thumbnail((KEPT_SIDE_PX, KEPT_SIDE_PX), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def decoded_upload(content: bytes) -> NDArray[np.uint8]:
    """The picture (H, W, 3) in `content`, its longer side at most KEPT_SIDE_PX. Raises UnreadableUploadError."""
    with closing(guarded(_decode, [content], LIMITS, processes=1)) as results:
        picture = next(results)
    if isinstance(picture, Lost):
        raise UnreadableUploadError(f"this picture cannot be read ({picture.reason}); save it again as JPEG or PNG")
    if min(picture.shape[:2]) < MIN_SIDE_PX:
        raise UnreadableUploadError(f"{picture.shape[1]}×{picture.shape[0]} pixels are too few; send a larger picture")
    return picture


class RecentPictures:
    """The last few pictures by a name that cannot be guessed; older ones are forgotten."""

    def __init__(self, limit: int = MAX_KEPT) -> None:
        self._limit = limit
        self._pictures: OrderedDict[str, NDArray[np.uint8]] = OrderedDict()
        self._lock = Lock()

    def add(self, picture: NDArray[np.uint8]) -> str:
        """The new name of `picture`."""
        name = secrets.token_urlsafe(9)
        with self._lock:
            self._pictures[name] = picture
            if len(self._pictures) > self._limit:
                self._pictures.popitem(last=False)
        return name

    def get(self, name: str) -> NDArray[np.uint8] | None:
        """The picture called `name`, or None when it is unknown or forgotten."""
        with self._lock:
            if name in self._pictures:
                self._pictures.move_to_end(name)
            return self._pictures.get(name)
