"""Uploaded pictures: decoded in the sandbox, reduced, and the last few kept in memory."""

import secrets
from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.formats import format_of
from pipeline.imaging.sandbox import SandboxFailure
from pipeline.imaging.sandboxed_decoding import sandboxed_pixels

MAX_UPLOAD_BYTES = 10 << 20
KEPT_SIDE_PX = 512
MAX_KEPT = 24
MIN_SIDE_PX = 8

T = TypeVar("T")


class UnreadableUploadError(Exception):
    """The upload cannot be used as a picture; the message is for designers."""


def kind_of(content: bytes) -> str | None:
    """The image format of `content` by its first bytes; None if the studio does not read it."""
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


class Recent(Generic[T]):
    """The last `limit` things, by unguessable names. Thread-safe."""

    def __init__(self, limit: int = MAX_KEPT) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, T] = OrderedDict()
        self._lock = Lock()

    def add(self, thing: T) -> str:
        """Store `thing` and return its name."""
        name = secrets.token_urlsafe(9)
        with self._lock:
            self._kept[name] = thing
            if len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        return name

    def get(self, name: str) -> T | None:
        """The thing called `name`; None if it is unknown or no longer kept."""
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
            return self._kept.get(name)

    def remove(self, name: str) -> None:
        """Forget the thing called `name`."""
        with self._lock:
            self._kept.pop(name, None)
