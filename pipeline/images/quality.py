"""What can be measured on a picture to tell a good one from a bad one."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from PIL import Image

MEASURING_SIDE_PX = 256
THUMBNAIL_SIDE_PX = 16
SEEN_SIDE_PX = 224
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
    background: float
    cut_off: float
    second: float


def at_measuring_size(image: Image.Image) -> Image.Image:
    """`image` with its longer side shrunk to 256 px, so that one threshold holds for pictures of any size.

    A smaller picture stays as it is: enlarging adds no detail to measure, and would make every small picture look blurred.
    """
    share = MEASURING_SIDE_PX / max(image.size)
    if share >= 1:
        return image
    size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
    return image.resize(size, Image.Resampling.BOX)


def thumbnail(grey: Image.Image) -> NDArray[np.uint8]:
    """`grey`, of mode L, as (16, 16) by area averages."""
    return np.asarray(grey.resize((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX), Image.Resampling.BOX))


def seen_at(image: Image.Image) -> NDArray[np.uint8]:
    """`image` as a network looks at it: (224, 224, 3), out of shape where it is not square."""
    side = (SEEN_SIDE_PX, SEEN_SIDE_PX)
    return np.asarray(image.convert("RGB").resize(side, Image.Resampling.BICUBIC, reducing_gap=3.0))


def laplacian_variance(luma: NDArray[np.uint8]) -> float:
    """Variance of the 4-neighbour Laplacian inside `luma` (H, W), in grey levels squared; 0 under 3×3 (Pech-Pacheco 2000)."""
    levels = luma.astype(np.int32)
    middle = levels[1:-1, 1:-1]
    if not middle.size:
        return 0.0
    around = levels[:-2, 1:-1] + levels[2:, 1:-1] + levels[1:-1, :-2] + levels[1:-1, 2:]
    return float(np.var(around - 4 * middle))


def histogram(luma: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many pixels of `luma` have each of 256 levels."""
    return np.bincount(luma.ravel(), minlength=256)


def entropy_bits(counts: NDArray[np.int64]) -> float:
    """Shannon entropy of a histogram (256,), 0 to 8."""
    shares = counts[counts > 0] / counts.sum()
    return float(abs(np.sum(shares * np.log2(shares))))


def level_at(counts: NDArray[np.int64], share: float) -> float:
    """The level, in [0, 1], that at least `share` of the pixels of a histogram (256,) are not above."""
    return float(np.searchsorted(np.cumsum(counts), share * counts.sum())) / 255


def colourfulness(rgb: NDArray[np.uint8]) -> float:
    """Hasler & Süsstrunk 2003, their M3: the spread and the offset of the two opponent colours of (H, W, 3)."""
    red, green, blue = (rgb[..., channel].astype(np.float32) for channel in range(3))
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = np.hypot(red_green.std(), yellow_blue.std())
    return float(spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()))


def border(pixels: NDArray[Pixel]) -> NDArray[Pixel]:
    """The outermost pixels of (H, W, C), as (N, C); corners twice."""
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def background_of(pixels: NDArray[np.uint8], tolerance: int) -> NDArray[np.bool_]:
    """Where (H, W, C) differs by at most `tolerance`, in its worst channel, from the border's median colour."""
    colour = np.median(border(pixels), axis=0)
    darkest, brightest = np.maximum(np.ceil(colour - tolerance), 0), np.minimum(np.floor(colour + tolerance), 255)
    near = (pixels >= darkest.astype(np.uint8)) & (pixels <= brightest.astype(np.uint8))
    return np.logical_and.reduce([near[..., channel] for channel in range(near.shape[-1])])


def cut_off_share(background: NDArray[np.bool_]) -> float:
    """Share of the outermost pixels of (H, W) that are not background: what is seen there goes on outside the picture."""
    return float(1 - border(background[..., None]).mean())


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


def quality_of(image: Image.Image, background_tolerance: int) -> Quality:
    """The measures of `image`, of mode L or RGB."""
    small = at_measuring_size(image)
    luma = np.asarray(small.convert("L"))
    pixels = np.asarray(small).reshape(small.height, small.width, -1)
    background = background_of(pixels, background_tolerance)
    counts = histogram(luma)
    return Quality(
        sharpness=laplacian_variance(luma),
        brightness=float(luma.mean()) / 255,
        shadow=level_at(counts, SHADOW_SHARE),
        highlight=level_at(counts, HIGHLIGHT_SHARE),
        contrast=float(luma.std()) / 255,
        colourfulness=colourfulness(pixels) if image.mode == "RGB" else 0.0,
        entropy_bits=entropy_bits(counts),
        background=float(background.mean()),
        cut_off=cut_off_share(background),
        second=second_piece(background),
    )
