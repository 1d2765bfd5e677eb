"""Decode untrusted pictures in a sandbox and return their pixels."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Resampling

from pipeline.imaging.decoding import UndecodableError, decode
from pipeline.imaging.sandbox import SandboxFailure, SandboxLimits, sandboxed_map

LIMITS = SandboxLimits(memory_bytes=1 << 30, timeout_s=20.0)  # per picture; a user waits for the result
MAX_PIXELS = 50_000_000


def _pixels(content: bytes, max_side_px: int | None, alpha: bool) -> NDArray[np.uint8] | SandboxFailure:
    try:
        picture = decode(content, MAX_PIXELS, alpha=alpha).image
    except UndecodableError as error:
        return SandboxFailure(str(error))
    if max_side_px is not None:
        picture.thumbnail((max_side_px, max_side_px), Resampling.LANCZOS)
    return np.asarray(picture).reshape(picture.height, picture.width, -1)


def sandboxed_pixels(
    contents: Iterable[bytes], max_side_px: int | None = None, *, alpha: bool = False
) -> Iterator[NDArray[np.uint8] | SandboxFailure]:
    """The pixels (H, W, 1 or 3) of each of `contents`, with the longer side at most `max_side_px`.

    With `alpha` a transparent PNG comes as (H, W, 4), straight alpha; otherwise it is composited over white.
    Yields a SandboxFailure for bytes that are no picture, have more than MAX_PIXELS, or exceed LIMITS.
    """
    work = partial(_pixels, max_side_px=max_side_px, alpha=alpha)
    with closing(sandboxed_map(work, contents, LIMITS, processes=1, batch=1)) as results:
        yield from results
