"""Uploaded pictures: refused by size and kind before they are decoded, decoded in a child process, kept small and few."""

import secrets
from collections import OrderedDict
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.formats import format_of
from pipeline.imaging.sandbox import SandboxFailure
from pipeline.imaging.sandboxed_decoding import sandboxed_pixels

MAX_UPLOAD_BYTES = 10 << 20
KEPT_SIDE_PX = 512
MAX_KEPT = 24
MIN_SIDE_PX = 8


class UnreadableUploadError(Exception):
    """The upload is not a picture that can be used; the text says why, to a designer."""


def kind_of(content: bytes) -> str | None:
    """The format that the first bytes of `content` announce, or None when it is none that is read here."""
    found = format_of(content)
    return found.name if found is not None and found.is_read else None


def decoded_upload(content: bytes) -> NDArray[np.uint8]:
    """The picture (H, W, 3) in `content`, its longer side at most KEPT_SIDE_PX. Raises UnreadableUploadError."""
    [picture] = sandboxed_pixels([content], KEPT_SIDE_PX)
    if isinstance(picture, SandboxFailure):
        raise UnreadableUploadError(f"this picture cannot be read ({picture.reason}); save it again as JPEG or PNG")
    if min(picture.shape[:2]) < MIN_SIDE_PX:
        raise UnreadableUploadError(f"{picture.shape[1]}×{picture.shape[0]} pixels are too few; send a larger picture")
    return picture if picture.shape[-1] == 3 else picture.repeat(3, axis=2)


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
