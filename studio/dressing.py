"""A garment dressed in a style: `print` and `statistics` are instant, `whiten` and `paint` use a feature network."""

import itertools
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy import ndimage

from pipeline.errors import InputError
from pipeline.imaging.sandbox import SandboxFailure, SandboxLimits, sandboxed_map
from pipeline.inference.transparency import with_bled_colour
from studio.fabric import laid_over, printed, with_statistics
from studio.jobs import Progress
from studio.measures import garment_masks
from studio.projection import photograph_mask
from studio.style_networks import PaintingOptions

SIDE_PX = 256
SOFT_EDGE_PX = 1.2
STEP_LIMITS = SandboxLimits(memory_bytes=16 << 30, timeout_s=300.0)  # address space, which torch reserves freely; per preview
NICENESS = 5

Mode = Literal["print", "statistics", "whiten", "paint"]
Pictures = Iterator[tuple[float, NDArray[np.float32]]]  # share of the work done, (H, W, 3) in [0, 1]


@dataclass(frozen=True)
class DressingOrder:
    """What to dress in what, and how."""

    content: NDArray[np.uint8]  # (H, W, C), with alpha straight
    style: NDArray[np.uint8]  # (H, W, 3)
    generated: bool  # whether the generator drew the content, on its plain backdrop or with alpha
    garment_only: bool
    mode: Mode
    strength: float
    painting: PaintingOptions


class _SandboxedIterator:
    """Work for `sandboxed_map`: each call returns the iterator's next item, None at its end.

    The iterator is created in the sandbox, at the first call.
    """

    def __init__(self, pictures: Callable[[], Pictures]) -> None:
        self._pictures = pictures
        self._iterator: Pictures | None = None

    def __call__(self, _: int) -> tuple[float, NDArray[np.float32]] | None:
        if self._iterator is None:
            os.nice(NICENESS)
            self._iterator = self._pictures()
        return next(self._iterator, None)


def _painted(
    content: NDArray[np.float32], style: NDArray[np.float32], options: PaintingOptions, weights: Path | None
) -> Pictures:
    from studio.style_transfer import painted  # imports torch, which only the sandbox needs

    return painted(content, style, options, weights)


def _whitened(content: NDArray[np.float32], style: NDArray[np.float32], strength: float, weights: Path) -> Pictures:
    from studio.style_transfer import whitened

    return whitened(content, style, strength, weights)


def _in_sandbox(pictures: Callable[[], Pictures]) -> Generator[tuple[float, NDArray[np.float32]], None, None]:
    with closing(sandboxed_map(_SandboxedIterator(pictures), itertools.count(), STEP_LIMITS, processes=1, batch=1)) as results:
        for result in results:
            if result is None:
                return
            if isinstance(result, SandboxFailure):
                raise InputError(f"this style could not be applied: {result.reason}")
            yield result


def _fitted(content: NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(content if content.shape[-1] != 1 else content.repeat(3, axis=-1))
    image = image.convert("RGBA") if image.mode == "LA" else image
    scale = SIDE_PX / max(image.size)
    return image.resize((max(round(image.width * scale), 32), max(round(image.height * scale), 32)), Image.Resampling.LANCZOS)


def _as_floats(image: Image.Image) -> NDArray[np.float32]:
    return np.asarray(image, np.float32) / 255  # type: ignore[return-value]


def soft_mask(picture: NDArray[np.uint8], *, generated: bool) -> NDArray[np.float32]:
    """The garment's share of each pixel, (H, W) in [0, 1]."""
    mask = garment_masks(picture[None])[0] if generated else photograph_mask(picture)
    return np.asarray(ndimage.gaussian_filter(mask.astype(np.float32), SOFT_EDGE_PX), np.float32)


def _results(
    order: DressingOrder,
    content: NDArray[np.float32],
    style: NDArray[np.float32],
    mask: NDArray[np.float32],
    weights: Path | None,
) -> Generator[tuple[float, NDArray[np.float32]], None, None]:
    match order.mode:
        case "print":
            yield 1.0, content + order.strength * (printed(content, style, mask) - content)
        case "statistics":
            yield 1.0, content + order.strength * (with_statistics(content, style, mask) - content)
        case "whiten":
            assert weights is not None
            yield from _in_sandbox(partial(_whitened, content, style, order.strength, weights))
        case "paint":
            for share, painted in _in_sandbox(partial(_painted, content, style, order.painting, weights)):
                yield share, content + order.strength * (painted - content)


def dressed(order: DressingOrder, weights: Path | None) -> Generator[Progress, None, None]:
    """Previews of the dressed picture with its longer side at SIDE_PX; the last one is the result. Raises InputError.

    They are RGB, or RGBA if the content has alpha, which then is the garment's mask and stays as it is.
    """
    fitted, alpha = _fitted(order.content), None
    if fitted.mode == "RGBA":
        pixels = with_bled_colour(np.asarray(fitted)[None])[0]
        fitted, alpha = Image.fromarray(pixels[..., :3]), pixels[..., 3:]
    content = _as_floats(fitted)
    style = _as_floats(ImageOps.fit(Image.fromarray(order.style), fitted.size, Image.Resampling.LANCZOS))
    mask = np.ones(content.shape[:2], np.float32)
    if alpha is not None:
        mask = alpha[..., 0].astype(np.float32) / 255
    elif order.garment_only:
        mask = soft_mask(np.asarray(fitted), generated=order.generated)
    with closing(_results(order, content, style, mask, weights)) as results:
        for share, result in results:
            whole = result if alpha is not None else laid_over(result, content, mask)
            picture = np.rint(np.clip(whole, 0, 1) * 255).astype(np.uint8)
            yield Progress(share, picture if alpha is None else np.dstack([picture, alpha]))
