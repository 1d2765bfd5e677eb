"""The quality measures of a picture, each with the limits beyond which `curate` drops the picture.

To add a measure, write a function here and decorate it. The column of data/inspect, the key of params.yaml, the reason for
dropping a picture and the documentation follow. The order in this file is the order in which `curate` checks the limits.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import scipy  # its submodules are loaded on first use: the schema of params.yaml imports this module, and they take 0.4 s
from numpy.typing import NDArray
from PIL import Image

from pipeline.imaging.resizing import border_pixels, shrink
from pipeline.section import Count, Factor, NotNegative, Positive, Share
from pipeline.storage.drop_reasons import IRRELEVANT, NOT_CLOTHING

if TYPE_CHECKING:
    import pandas as pd

Detector = Literal["text", "faces", "clothing", "garment"]

MEASURING_SIDE_PX = 256
SAMPLE_SIDE_PX = 128
EDGE_PX = 2
COLOUR_BITS = 4  # per channel, when colours are counted
MIN_COLOUR_SHARE = 0.03  # of the edge's pixels, for a colour and those next to it
SPREAD_LEVELS = 4.0  # standard deviation of the Gaussian that smooths a histogram
OPPONENTS = np.array([[1, -1, 0], [0.5, 0.5, -1]], dtype=np.float32)  # red-green and yellow-blue, from red, green and blue
SHADOW_QUANTILE, HIGHLIGHT_QUANTILE = 0.05, 0.99
PIECES_SIDE_PX = 32  # smallest shorter side of the grid on which pieces are counted
LEVELS = np.arange(256) / 255
_SMOOTHING = np.exp(-0.5 * (np.arange(-3 * SPREAD_LEVELS, 3 * SPREAD_LEVELS + 1) / SPREAD_LEVELS) ** 2)


# The registry


@dataclass(frozen=True)
class Limit:
    """The smallest or the largest value that a picture may have, inclusive: one key of the section `curate`."""

    bound: Literal["min", "max"]
    reason: str  # for dropping a picture beyond the limit
    type: Any  # of the value in params.yaml
    default: float | None  # None: no limit
    meaning: str  # in docs/parameters.md


@dataclass(frozen=True)
class Measure:
    """One number per picture."""

    name: str
    meaning: str
    limits: tuple[Limit, ...]
    stage: Literal["inspect", "curate"] = "inspect"  # which computes it; `inspect` stores a column of this name
    detector: Detector | None = None  # which inspect.detect must name
    of_picture: "Callable[[MeasuredPicture], float] | None" = None
    of_table: "Callable[[pd.DataFrame], pd.Series] | None" = None

    def key(self, limit: Limit) -> str:
        """The key of `limit` in the section `curate`."""
        return f"{limit.bound}_{self.name}"


MEASURES: dict[str, Measure] = {}


def limits() -> Iterator[tuple[str, Measure, Limit]]:
    """Key, measure and limit of every limit, in the order of precedence."""
    return ((measure.key(limit), measure, limit) for measure in MEASURES.values() for limit in measure.limits)


def inspected_measures() -> list[Measure]:
    """The measures that data/inspect has a column for."""
    return [measure for measure in MEASURES.values() if measure.stage == "inspect"]


def _meaning(function: Callable[..., object]) -> str:
    return (function.__doc__ or "").partition("\n")[0].rstrip(".")


def picture_measure(*its_limits: Limit) -> "Callable[[PictureFunction], PictureFunction]":
    """Register a function of one picture. Its name becomes the column, the first line of its docstring the meaning."""

    def register(function: PictureFunction) -> PictureFunction:
        name = function.__name__
        MEASURES[name] = Measure(name, _meaning(function), its_limits, of_picture=function)
        return function

    return register


def table_measure(*its_limits: Limit) -> "Callable[[TableFunction], TableFunction]":
    """Register a function of a table with the columns width and height that returns a value for each row."""

    def register(function: TableFunction) -> TableFunction:
        name = function.__name__
        MEASURES[name] = Measure(name, _meaning(function), its_limits, stage="curate", of_table=function)
        return function

    return register


def detector_measure(
    name: str, detector: Detector, meaning: str, *its_limits: Limit, stage: Literal["inspect", "curate"] = "inspect"
) -> None:
    """Register what a stage computes only when inspect.detect names `detector`."""
    needs = f"; needs inspect.detect {detector}. null: no limit."
    optional = tuple(replace(limit, meaning=limit.meaning + needs) for limit in its_limits)
    MEASURES[name] = Measure(name, f"{meaning}, with {detector} in inspect.detect", optional, stage, detector)


# Helpers on pixels


class MeasuredPicture:
    """A decoded picture and what several measures need of it, each computed once."""

    def __init__(self, image: Image.Image, background_tolerance: int, grey: Image.Image | None = None) -> None:
        self.image = image  # mode L or RGB
        self.grey = image.convert("L") if grey is None else grey
        self.background_tolerance = background_tolerance

    @cached_property
    def sample(self) -> Image.Image:
        """Unchanged pixels of the picture at even distances, longer side at most 128 px: averages would add grey levels."""
        return shrink(self.image, SAMPLE_SIDE_PX, Image.Resampling.NEAREST)

    @cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """The sample (H, W, 1 or 3), stored channel by channel: numpy is several times faster along long rows."""
        pixels = np.atleast_3d(np.asarray(self.sample))
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(pixels, 2, 0)), 0, 2)

    @cached_property
    def luma_counts(self) -> NDArray[np.int64]:
        """Histogram (256,) of the sample's luma."""
        return np.array(self.sample.convert("L").histogram())

    @cached_property
    def is_like_edge(self) -> NDArray[np.bool_]:
        """`edge_colours` of the sample."""
        return edge_colours(self.pixels)


PictureFunction = Callable[[MeasuredPicture], float]
TableFunction = Callable[["pd.DataFrame"], "pd.Series"]


def laplacian_variance(luma: NDArray[np.uint8]) -> float:
    """Variance of the 4-neighbour Laplacian of `luma` (H, W), in grey levels squared; 0 below 3×3 (Pech-Pacheco 2000)."""
    levels = luma.astype(np.int16)
    middle = levels[1:-1, 1:-1]
    if not middle.size:
        return 0.0
    around = levels[:-2, 1:-1] + levels[2:, 1:-1] + levels[1:-1, :-2] + levels[1:-1, 2:]
    laplacian = (around - 4 * middle).ravel().astype(np.float64)  # whole numbers, whose sums are exact
    return (middle.size * int(laplacian @ laplacian) - int(laplacian.sum()) ** 2) / middle.size**2


def level_quantile(counts: NDArray[np.int64], quantile: float) -> float:
    """The level in [0, 1] that at least `quantile` of the pixels of a histogram (256,) do not exceed."""
    return float(np.searchsorted(np.cumsum(counts), quantile * counts.sum())) / 255


def background_mask(pixels: NDArray[np.uint8], tolerance: int) -> NDArray[np.bool_]:
    """Where `pixels` (H, W, C) differ in no channel by more than `tolerance` from the border's median colour."""
    colour = np.median(border_pixels(pixels), axis=0)
    darkest, brightest = np.maximum(np.ceil(colour - tolerance), 0), np.minimum(np.floor(colour + tolerance), 255)
    near = (pixels >= darkest.astype(np.uint8)) & (pixels <= brightest.astype(np.uint8))
    return np.logical_and.reduce([near[..., channel] for channel in range(near.shape[-1])])


def edge_colours(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where `pixels` (H, W, C) have a colour that is common at the edge, which may have many: walls, floors, patterns."""
    shape = (1 << COLOUR_BITS,) * pixels.shape[2]
    colours = np.zeros(pixels.shape[:2], dtype=np.uint16)
    for channel in np.moveaxis(pixels, 2, 0):
        colours = (colours << COLOUR_BITS) | (channel >> (8 - COLOUR_BITS))
    edge = [colours[:EDGE_PX], colours[-EDGE_PX:], colours[:, :EDGE_PX].T, colours[:, -EDGE_PX:].T]
    counts = np.bincount(np.concatenate([side.ravel() for side in edge]), minlength=math.prod(shape)).reshape(shape)
    nearby = scipy.ndimage.uniform_filter(counts / counts.sum(), 3, mode="constant") * 3 ** len(shape)
    return nearby.ravel()[colours] >= MIN_COLOUR_SHARE


def second_piece(background: NDArray[np.bool_]) -> float:
    """Area of the second largest connected piece of the foreground, relative to the largest; 0 with fewer than two.

    Large pictures are searched on a coarse grid, and specks do not count.
    """
    step = max(1, min(background.shape) // PIECES_SIDE_PX)
    foreground = ~background[::step, ::step]
    solid = foreground[1:, 1:] & foreground[:-1, 1:] & foreground[1:, :-1] & foreground[:-1, :-1]
    labels, count = scipy.ndimage.label(solid)
    if count < 2:
        return 0.0
    areas = np.sort(np.bincount(labels.ravel())[1:])
    return float(areas[-2] / areas[-1])


# The measures, in the order of precedence: size, exposure, content, sharpness, and what detectors find


@table_measure(Limit("min", "too small", Count, 28, "Shorter side of the picture."))
def side_px(pictures: "pd.DataFrame") -> "pd.Series":
    """Shorter side."""
    return pictures[["width", "height"]].min(axis=1)


@table_measure(Limit("max", "odd size", Factor, 1000.0, "How many times larger or smaller than the median picture."))
def size_ratio(pictures: "pd.DataFrame") -> "pd.Series":
    """How many times larger or smaller than the median picture, by the square root of the area: at least 1."""
    sizes = (pictures["width"].astype(np.float64) * pictures["height"].astype(np.float64)).pow(0.5)
    ratios = sizes / sizes.median()
    return ratios.where(ratios >= 1, 1 / ratios)


@table_measure(Limit("max", "aspect", Factor, 3.0, "Longer side divided by shorter side."))
def aspect(pictures: "pd.DataFrame") -> "pd.Series":
    """Longer side divided by shorter side."""
    return pictures[["width", "height"]].max(axis=1) / pictures[["width", "height"]].min(axis=1)


@picture_measure(
    Limit("min", "dark", Share, 0.01, "Mean luma."),
    Limit("max", "bright", Share, 0.99, "Mean luma."),
)
def brightness(picture: MeasuredPicture) -> float:
    """Mean luma in [0, 1]."""
    return float(LEVELS @ picture.luma_counts) / picture.luma_counts.sum()


@picture_measure(
    Limit("min", "underexposed", Share, 0.0, "Luma of the brightest pixels; below the limit the picture is underexposed.")
)
def highlight(picture: MeasuredPicture) -> float:
    """Luma in [0, 1] that 99 % of the pixels do not exceed."""
    return level_quantile(picture.luma_counts, HIGHLIGHT_QUANTILE)


@picture_measure(
    Limit("max", "washed out", Share, 1.0, "Luma of the darkest pixels; above the limit the picture is washed out.")
)
def shadow(picture: MeasuredPicture) -> float:
    """Luma in [0, 1] that 5 % of the pixels do not exceed."""
    return level_quantile(picture.luma_counts, SHADOW_QUANTILE)


@picture_measure(Limit("min", "flat", NotNegative, 0.02, "Contrast of the luma (docs/tables.md)."))
def contrast(picture: MeasuredPicture) -> float:
    """Standard deviation of the luma, in [0, 0.5]."""
    counts = picture.luma_counts
    return float(np.sqrt((LEVELS - brightness(picture)) ** 2 @ counts / counts.sum()))


@picture_measure(Limit("min", "low information", NotNegative, 1.0, "Entropy of the grey levels."))
def entropy_bits(picture: MeasuredPicture) -> float:
    """Mean Shannon entropy of the channels' histograms, 0 to 8."""
    counts = np.array(picture.sample.histogram()).reshape(-1, 256)
    shares = counts / counts.sum(axis=1, keepdims=True)
    return float(scipy.special.entr(shares).sum()) / len(counts) / math.log(2)


@picture_measure(
    Limit("min", "few levels", Share, 0.0, "Share of the grey levels that occur; above 0 drops posterised pictures.")
)
def levels(picture: MeasuredPicture) -> float:
    """How full the luma histogram is where it is used: 1 if no level is rarer than its neighbours.

    A photograph uses all levels. A posterised picture has gaps, which JPEG blurs but does not close.
    """
    smooth = np.convolve(picture.luma_counts, _SMOOTHING / _SMOOTHING.sum(), mode="same")
    used = smooth >= 1
    return float(np.minimum(picture.luma_counts[used] / smooth[used], 1).mean()) if used.any() else 0.0


@picture_measure(Limit("min", "grey", NotNegative, 0.0, "Colourfulness; above 0 drops grey pictures."))
def colourfulness(picture: MeasuredPicture) -> float:
    """M3 of Hasler & Süsstrunk 2003: spread and offset of the two opponent colours; 0 for grey."""
    if picture.image.mode != "RGB":
        return 0.0
    opponents = OPPONENTS @ np.moveaxis(picture.pixels, 2, 0).reshape(3, -1).astype(np.float32)
    return float(np.hypot(*opponents.std(axis=1)) + 0.3 * np.hypot(*opponents.mean(axis=1)))


@picture_measure(
    Limit(
        "max",
        "garment too small",
        Share,
        1.0,
        "Share of the picture that is background; above the limit the garment is too small.",
    )
)
def background(picture: MeasuredPicture) -> float:
    """Share of the pixels close to the border's median colour, in [0, 1]."""
    return float(background_mask(picture.pixels, picture.background_tolerance).mean())


@picture_measure(Limit("max", "cut off", Share, 1.0, "Share of the picture's middle in the colours of its edge."))
def cut_off(picture: MeasuredPicture) -> float:
    """Share of the picture's middle in the colours of its edge, in [0, 1]: high if the garment extends beyond the picture."""
    height, width = picture.is_like_edge.shape
    middle = picture.is_like_edge[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return float(middle.mean())


@picture_measure(
    Limit("max", "more than one", Share, 1.0, "Size of the second largest piece of the foreground, relative to the largest.")
)
def second(picture: MeasuredPicture) -> float:
    """Area of the second largest piece in other colours than the edge, relative to the largest."""
    return second_piece(picture.is_like_edge)


@picture_measure(Limit("min", "blurry", NotNegative, 0.0, "Sharpness (docs/tables.md); 0 keeps all."))
def sharpness(picture: MeasuredPicture) -> float:
    """Variance of the Laplacian, longer side at most 256 px, grey levels squared.

    One limit then holds for pictures of any size. Small pictures are not enlarged, which would make them look blurred.
    """
    return laplacian_variance(np.asarray(shrink(picture.grey, MEASURING_SIDE_PX, Image.Resampling.BOX)))


detector_measure(
    "text",
    "text",
    "Letters in the longest line of letters",
    Limit("max", "text over it", NotNegative, None, "Letters in the longest line of overlaid text"),
)
detector_measure(
    "face",
    "faces",
    "Height of the largest face, relative to the picture",
    Limit("max", "face", Share, None, "Height of a person's face relative to the picture, 0 drops every face"),
)
detector_measure(
    "clothing",
    "clothing",
    "Probability of clothing",
    Limit("min", NOT_CLOTHING, Share, None, "Probability that the picture shows clothing"),
)
detector_measure(
    "irrelevance",
    "clothing",
    "Distance of its features to the nearest category, 1 for a typical picture",
    Limit("max", IRRELEVANT, Positive, None, "Distance to the nearest category, 1 for a typical picture"),
    stage="curate",
)
detector_measure(
    "misplacement",
    "clothing",
    "How much more like another category than its own, -1 to 1",
    Limit("max", "wrong category", NotNegative, None, "How much closer the picture is to another category than to its own"),
    stage="curate",
)

NOT_CUT_OUT = "not cut out cleanly"
detector_measure(
    "garment_confidence",
    "garment",
    "How far to trust the garment's mask, in [0, 1]",
    Limit("min", NOT_CUT_OUT, Share, None, "Confidence in the garment's mask, about 0.7 for clean cut-outs"),
)
detector_measure(
    "garment_coverage",
    "garment",
    "Share of the picture that the garment covers",
    Limit("min", NOT_CUT_OUT, Share, None, "Share of the picture that the garment covers"),
    Limit("max", NOT_CUT_OUT, Share, None, "Share of the picture that the garment covers"),
)
detector_measure(
    "garment_border",
    "garment",
    "Share of the picture's outline that the garment touches",
    Limit(
        "max", NOT_CUT_OUT, Share, None, "Share of the picture's outline that the garment touches, beyond which it is cut off"
    ),
)
detector_measure(
    "garment_pieces",
    "garment",
    "Separate pieces of the garment's mask",
    Limit("max", NOT_CUT_OUT, Count, None, "Separate pieces of the garment's mask; a pair of shoes has two"),
)
detector_measure(
    "garment_raggedness",
    "garment",
    "Perimeter of the garment's mask, relative to a disc of the same area",
    Limit("max", NOT_CUT_OUT, Factor, None, "Perimeter of the garment's mask, relative to a disc of the same area"),
)
