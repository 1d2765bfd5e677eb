"""Uploaded pictures: decoded in the sandbox, reduced, and the last few kept in memory."""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.imaging.formats import format_of
from pipeline.imaging.sandbox import SandboxFailure
from pipeline.imaging.sandboxed_decoding import sandboxed_pixels

MAX_UPLOAD_BYTES = 10 << 20
KEPT_SIDE_PX = 512
MAX_KEPT = 24
MAX_REMOVED = 1024  # names that are remembered as removed
LIFETIME_S = 900.0  # without a sign of the page that uses it, which sends one every minute
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
    """The last MAX_KEPT things that pages use, by unguessable names, until LIFETIME_S after their last use. Thread-safe."""

    def __init__(self, on_gone: Callable[[T], None] = lambda _: None) -> None:
        """`on_gone` gets each thing that is forgotten."""
        self._on_gone = on_gone
        self._kept: OrderedDict[str, tuple[T, float]] = OrderedDict()  # with the time of the last use, oldest first
        self._removed: OrderedDict[str, None] = OrderedDict()
        self._lock = Lock()

    def add(self, thing: T, name: str | None = None) -> str:
        """Store `thing`, as `name` where the page chose one, and return its name.

        Raises InputError if the name is in use, or was removed already: a page that closes removes what is still on its way.
        """
        name = name or secrets.token_urlsafe(9)
        with self._lock:
            if name in self._kept or name in self._removed:
                raise InputError("this name was used already; choose another")
            self._kept[name] = (thing, monotonic())
            gone = [self._kept.popitem(last=False)[1][0]] if len(self._kept) > MAX_KEPT else []
        self._let_go(gone)
        return name

    def get(self, name: str) -> T | None:
        """The thing called `name`, which counts as a use; None if it is unknown or no longer kept."""
        self.forget_unused()
        with self._lock:
            if name not in self._kept:
                return None
            thing, _ = self._kept[name]
            self._kept[name] = (thing, monotonic())
            self._kept.move_to_end(name)
            return thing

    def remove(self, name: str) -> None:
        """Forget the thing called `name`, also if it is yet to be added."""
        with self._lock:
            gone = [self._kept.pop(name)[0]] if name in self._kept else []
            self._removed[name] = None
            if len(self._removed) > MAX_REMOVED:
                self._removed.popitem(last=False)
        self._let_go(gone)

    def forget_unused(self) -> None:
        """Forget what was not used for LIFETIME_S."""
        gone = []
        with self._lock:
            while self._kept and next(iter(self._kept.values()))[1] < monotonic() - LIFETIME_S:
                gone.append(self._kept.popitem(last=False)[1][0])
        self._let_go(gone)

    def _let_go(self, gone: list[T]) -> None:
        for thing in gone:  # without the lock, because it may take others
            self._on_gone(thing)
