"""A garment dressed in a style, four ways: printed or matched at once, whitened or painted through a network."""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy import ndimage

from studio.fabric import laid_over, printed, with_statistics
from studio.jobs import Progress
from studio.measures import garment_masks
from studio.projection import photograph_mask
from studio.subprocesses import results_of_child

SIDE_PX = 256
SOFT_EDGE_PX = 1.2
CHILD_TIMEOUT_S = 300.0  # for one step, on a machine that does other things
CHILD_MEMORY_BYTES = 16 << 30  # of addresses, which torch reserves freely

Mode = Literal["print", "statistics", "whiten", "paint"]


@dataclass(frozen=True)
class Painting:
    """How to paint: Gatys et al. 2016, equation 7, each term relative to the size of its target."""

    network: str
    content_weight: float  # alpha
    style_weight: float  # beta
    layers: tuple[str, ...]  # of style; empty: all
    steps: int
    seed: int


@dataclass(frozen=True)
class Order:
    """What to dress in what, and how."""

    content: NDArray[np.uint8]  # (H, W, C)
    style: NDArray[np.uint8]  # (H, W, 3)
    drawn: bool  # whether the content is the generator's, on its plain backdrop
    garment_only: bool
    mode: Mode
    strength: float
    painting: Painting


def _fitted(content: NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(content if content.shape[-1] == 3 else content.repeat(3, axis=-1))
    scale = SIDE_PX / max(image.size)
    return image.resize((max(round(image.width * scale), 32), max(round(image.height * scale), 32)), Image.Resampling.LANCZOS)


def _as_floats(image: Image.Image) -> NDArray[np.float32]:
    return np.asarray(image, np.float32) / 255  # type: ignore[return-value]


def soft_mask(picture: NDArray[np.uint8], *, drawn: bool) -> NDArray[np.float32]:
    """How much of each pixel (H, W) in [0, 1] is garment."""
    mask = garment_masks(picture[None])[0] if drawn else photograph_mask(picture)
    return np.asarray(ndimage.gaussian_filter(mask.astype(np.float32), SOFT_EDGE_PX), np.float32)


def _painted(*arguments: Any) -> Iterator[tuple[float, NDArray[np.float32]]]:
    from studio.style_transfer import on_one_thread, optimised  # torch, wanted in the child alone

    on_one_thread()
    yield from optimised(*arguments)


def _transformed(*arguments: Any) -> Iterator[tuple[float, NDArray[np.float32]]]:
    from studio.style_transfer import on_one_thread, transformed

    on_one_thread()
    yield from transformed(*arguments)


def _results(
    order: Order, content: NDArray[np.float32], style: NDArray[np.float32], mask: NDArray[np.float32], weights: Path | None
) -> Generator[tuple[float, NDArray[np.float32]], None, None]:
    in_child = partial(results_of_child, timeout_s=CHILD_TIMEOUT_S, memory_bytes=CHILD_MEMORY_BYTES)
    match order.mode:
        case "print":
            yield 1.0, content + order.strength * (printed(content, style, mask) - content)
        case "statistics":
            yield 1.0, content + order.strength * (with_statistics(content, style, mask) - content)
        case "whiten":
            yield from in_child(_transformed, content, style, order.strength, weights)
        case "paint":
            yield from in_child(_painted, content, style, order.painting, weights)


def dressed(order: Order, weights: Path | None) -> Generator[Progress, None, None]:
    """The dressed picture, RGB with its longer side at SIDE_PX, as it comes to be. Raises ChildError."""
    fitted = _fitted(order.content)
    content = _as_floats(fitted)
    style = _as_floats(ImageOps.fit(Image.fromarray(order.style), fitted.size, Image.Resampling.LANCZOS))
    mask = np.ones(content.shape[:2], np.float32)
    if order.garment_only:
        mask = soft_mask(np.asarray(fitted), drawn=order.drawn)
    with closing(_results(order, content, style, mask, weights)) as results:
        for share, result in results:
            whole = laid_over(result, content, mask)
            yield Progress(share, np.rint(np.clip(whole, 0, 1) * 255).astype(np.uint8))
