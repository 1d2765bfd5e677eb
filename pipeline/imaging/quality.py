"""What can be measured on a picture to tell a good one from a bad one."""

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import scipy.ndimage
import scipy.special
from numpy.typing import NDArray
from PIL import Image

MEASURING_SIDE_PX = 256
SAMPLE_SIDE_PX = 128
EDGE_PX = 2
COLOUR_BITS = 4  # of each channel, when colours are counted
COMMON = 0.03  # of the edge's pixels, that have a colour or one next to it
SPREAD_LEVELS = 4.0  # standard deviation: how far the levels of one neighbourhood are apart
THUMBNAIL_SIDE_PX = 16
SEEN_SIDE_PX = 224
OPPONENTS = np.array([[1, -1, 0], [0.5, 0.5, -1]], dtype=np.float32)  # red-green and yellow-blue, of red, green and blue
Pixel = TypeVar("Pixel", bound=np.generic)
SHADOW_SHARE, HIGHLIGHT_SHARE = (
    0.05,
    0.99,
)  # of the pixels: what is underexposed has no highlights, what is overexposed no shadows
PIECES_SIDE_PX = 32  # of the shorter side, at least, when pieces are counted


@dataclass(frozen=True)
class Quality:
    """The measures of tables.INSPECT."""

    sharpness: float
    brightness: float
    shadow: float
    highlight: float
    contrast: float
    colourfulness: float
    entropy_bits: float
    levels: float
    background: float
    cut_off: float
    second: float


def _within(image: Image.Image, side_px: int, how: Image.Resampling) -> Image.Image:
    share = side_px / max(image.size)
    if share >= 1:
        return image
    return image.resize((max(1, round(image.width * share)), max(1, round(image.height * share))), how)


def at_measuring_size(image: Image.Image) -> Image.Image:
    """`image` with its longer side shrunk to 256 px, so that one threshold holds for pictures of any size.

    A smaller picture stays as it is: enlarging adds no detail to measure, and would make every small picture look blurred.
    """
    return _within(image, MEASURING_SIDE_PX, Image.Resampling.BOX)


def sample_of(image: Image.Image) -> Image.Image:
    """Pixels of `image` as they are, evenly far apart, at most 128 to the longer side: averages would make up levels."""
    return _within(image, SAMPLE_SIDE_PX, Image.Resampling.NEAREST)


def thumbnail(grey: Image.Image) -> NDArray[np.uint8]:
    """`grey`, of mode L, as (16, 16) by area averages."""
    side = (THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX)
    return np.asarray(grey.resize(side, Image.Resampling.BOX, reducing_gap=8.0))


def seen_at(image: Image.Image) -> NDArray[np.uint8]:
    """`image` as a network looks at it: (224, 224, 3), out of shape where it is not square."""
    side = (SEEN_SIDE_PX, SEEN_SIDE_PX)
    return np.asarray(image.convert("RGB").resize(side, Image.Resampling.BICUBIC, reducing_gap=3.0))


def laplacian_variance(luma: NDArray[np.uint8]) -> float:
    """Variance of the 4-neighbour Laplacian inside `luma` (H, W), in grey levels squared; 0 under 3×3 (Pech-Pacheco 2000)."""
    levels = luma.astype(np.int16)
    middle = levels[1:-1, 1:-1]
    if not middle.size:
        return 0.0
    around = levels[:-2, 1:-1] + levels[2:, 1:-1] + levels[1:-1, :-2] + levels[1:-1, 2:]
    laplacian = (around - 4 * middle).ravel().astype(np.float64)  # whole numbers, whose sums are exact
    return (middle.size * int(laplacian @ laplacian) - int(laplacian.sum()) ** 2) / middle.size**2


def by_channel(sample: Image.Image) -> NDArray[np.uint8]:
    """`sample`, of mode L or RGB, as (H, W, C), channel by channel in memory: numpy is several times faster along long rows."""
    pixels = np.atleast_3d(np.asarray(sample))
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(pixels, 2, 0)), 0, 2)


def histograms(image: Image.Image) -> NDArray[np.int64]:
    """(channels, 256): how many pixels of `image`, of mode L or RGB, have each level."""
    return np.array(image.histogram()).reshape(-1, 256)


def entropy_bits(counts: NDArray[np.int64]) -> float:
    """Shannon entropy of histograms (C, 256), their mean, 0 to 8."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    return float(scipy.special.entr(shares).sum()) / len(counts) / math.log(2)


_ABOUT = np.exp(-0.5 * (np.arange(-3 * SPREAD_LEVELS, 3 * SPREAD_LEVELS + 1) / SPREAD_LEVELS) ** 2)


def used_levels(counts: NDArray[np.int64]) -> float:
    """How full a histogram (256,) is between the levels that are used: 1 when no level is rarer than those about it.

    A photograph uses them all; what was reduced to few levels has gaps, which JPEG blurs but does not close.
    """
    about = np.convolve(counts, _ABOUT / _ABOUT.sum(), mode="same")
    there = about >= 1
    return float(np.minimum(counts[there] / about[there], 1).mean()) if there.any() else 0.0


def level_at(counts: NDArray[np.int64], share: float) -> float:
    """The level, in [0, 1], that at least `share` of the pixels of a histogram (256,) are not above."""
    return float(np.searchsorted(np.cumsum(counts), share * counts.sum())) / 255


def colourfulness(rgb: NDArray[np.uint8]) -> float:
    """Hasler & Süsstrunk 2003, their M3: the spread and the offset of the two opponent colours of (H, W, 3)."""
    opponents = OPPONENTS @ np.moveaxis(rgb, 2, 0).reshape(3, -1).astype(np.float32)
    return float(np.hypot(*opponents.std(axis=1)) + 0.3 * np.hypot(*opponents.mean(axis=1)))


def border(pixels: NDArray[Pixel]) -> NDArray[Pixel]:
    """The outermost pixels of (H, W, C), as (N, C); corners twice."""
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def background_of(pixels: NDArray[np.uint8], tolerance: int) -> NDArray[np.bool_]:
    """Where (H, W, C) differs by at most `tolerance`, in its worst channel, from the border's median colour."""
    colour = np.median(border(pixels), axis=0)
    darkest, brightest = np.maximum(np.ceil(colour - tolerance), 0), np.minimum(np.floor(colour + tolerance), 255)
    near = (pixels >= darkest.astype(np.uint8)) & (pixels <= brightest.astype(np.uint8))
    return np.logical_and.reduce([near[..., channel] for channel in range(near.shape[-1])])


def edge_colours(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where (H, W, C) has a colour that is common at its edge: of walls, floors and patterned grounds there are many."""
    shape = (1 << COLOUR_BITS,) * pixels.shape[2]
    colours = np.zeros(pixels.shape[:2], dtype=np.uint16)
    for channel in np.moveaxis(pixels, 2, 0):
        colours = (colours << COLOUR_BITS) | (channel >> (8 - COLOUR_BITS))
    edge = [colours[:EDGE_PX], colours[-EDGE_PX:], colours[:, :EDGE_PX].T, colours[:, -EDGE_PX:].T]
    counts = np.bincount(np.concatenate([side.ravel() for side in edge]), minlength=math.prod(shape)).reshape(shape)
    about = scipy.ndimage.uniform_filter(counts / counts.sum(), 3, mode="constant") * 3 ** len(shape)
    return about.ravel()[colours] >= COMMON


def cut_off_share(like_the_edge: NDArray[np.bool_]) -> float:
    """Share of the middle of (H, W) that is like the edge: the garment, which is in the middle, goes on outside the picture."""
    height, width = like_the_edge.shape
    return float(like_the_edge[height // 4 : height - height // 4, width // 4 : width - width // 4].mean())


def second_piece(background: NDArray[np.bool_]) -> float:
    """Area of the second largest connected piece of what is not background, of the largest's; 0 where there is one or none.

    Pieces are looked for on a coarse grid of a large picture, and specks do not count.
    """
    step = max(1, min(background.shape) // PIECES_SIDE_PX)
    seen = ~background[::step, ::step]
    labels, count = scipy.ndimage.label(seen[1:, 1:] & seen[:-1, 1:] & seen[1:, :-1] & seen[:-1, :-1])
    if count < 2:
        return 0.0
    areas = np.sort(np.bincount(labels.ravel())[1:])
    return float(areas[-2] / areas[-1])


def quality_of(image: Image.Image, grey: Image.Image, background_tolerance: int) -> Quality:
    """The measures of `image`, of mode L or RGB, which is `grey` in mode L."""
    sample = sample_of(image)
    pixels = by_channel(sample)
    background = background_of(pixels, background_tolerance)
    like_the_edge = edge_colours(pixels)
    [counts] = histograms(sample.convert("L"))
    levels = np.arange(256) / 255
    brightness = float(levels @ counts) / counts.sum()
    return Quality(
        sharpness=laplacian_variance(np.asarray(at_measuring_size(grey))),
        brightness=brightness,
        shadow=level_at(counts, SHADOW_SHARE),
        highlight=level_at(counts, HIGHLIGHT_SHARE),
        contrast=float(np.sqrt((levels - brightness) ** 2 @ counts / counts.sum())),
        colourfulness=colourfulness(pixels) if image.mode == "RGB" else 0.0,
        entropy_bits=entropy_bits(histograms(sample)),
        levels=used_levels(counts),
        background=float(background.mean()),
        cut_off=cut_off_share(like_the_edge),
        second=second_piece(like_the_edge),
    )
