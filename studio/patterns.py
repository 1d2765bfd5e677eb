"""Fabrics drawn from formulas; all are traditional patterns in the public domain."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float64]
Palette = tuple[tuple[int, int, int], ...]
Paint = Callable[[Field, Field], NDArray[np.intp]]  # x, y in repeats of the pattern -> index into the palette

SUPERSAMPLING = 2  # samples along each side of a pixel


def _wave(values: Field) -> Field:
    """Triangle wave of period 1 in [0, 1]."""
    return np.abs((values % 1.0) - 0.5) * 2


def _bands(values: Field, edges: list[float]) -> NDArray[np.intp]:
    return np.searchsorted(np.array(edges), values % 1.0, side="right")


def _noise(shape: tuple[int, ...], seed: int, sigma: tuple[float, float]) -> Field:
    """Smooth tileable noise with standard deviation 1."""
    rough = np.random.default_rng(seed).standard_normal(shape)
    smooth = ndimage.gaussian_filter(rough, sigma, mode="wrap")
    return smooth / smooth.std()


def _breton(_x: Field, y: Field) -> NDArray[np.intp]:
    return (y % 1.0 > 0.62).astype(np.intp)


def _pinstripe(x: Field, _y: Field) -> NDArray[np.intp]:
    return (x % 1.0 > 0.9).astype(np.intp)


def _gingham(x: Field, y: Field) -> NDArray[np.intp]:
    return (x % 1.0 > 0.5).astype(np.intp) + (y % 1.0 > 0.5)


def _tartan(x: Field, y: Field) -> NDArray[np.intp]:
    sett = [0.30, 0.34, 0.40, 0.44, 0.62, 0.80, 0.82, 0.94, 0.96]
    colours = np.array([0, 2, 0, 2, 1, 0, 3, 0, 3, 0])
    over = np.floor((x + y) * 24) % 2 == 0  # twill: warp and weft alternate along the diagonal
    return np.where(over, colours[_bands(x, sett)], colours[_bands(y, sett)])


def _houndstooth(x: Field, y: Field) -> NDArray[np.intp]:
    column, row = np.floor(x * 8).astype(int) % 8, np.floor(y * 8).astype(int) % 8
    over = (column + row) % 4 < 2
    return np.where(over, column < 4, row < 4).astype(np.intp)


def _dots(x: Field, y: Field) -> NDArray[np.intp]:
    near = np.minimum(np.hypot(x % 1 - 0.5, y % 1 - 0.5), np.hypot((x + 0.5) % 1 - 0.5, (y + 0.5) % 1 - 0.5))
    return (near < 0.2).astype(np.intp)


def _herringbone(x: Field, y: Field) -> NDArray[np.intp]:
    return ((y * 2 + _wave(x) * 1.0) * 2 % 1.0 > 0.5).astype(np.intp)


def _argyle(x: Field, y: Field) -> NDArray[np.intp]:
    lozenge = (_wave(x) + _wave(y)) < 1.0
    lines = np.minimum(np.abs((x - y / 1.0) % 1 - 0.5), np.abs((x + y) % 1 - 0.5)) < 0.02
    return np.where(lines, 2, lozenge)


def _seigaiha(x: Field, y: Field) -> NDArray[np.intp]:
    found = np.zeros(x.shape, np.intp)
    # Later rows overlap earlier ones, like scales.
    for row in range(-1, 3):
        for shift in (0.0, 0.5):
            down = (y % 1.0) - (row + shift)
            across = (x + shift) % 1.0 - 0.5
            distance = np.hypot(across, down)
            inside = (distance < 0.5) & (down < 0.5)
            found = np.where(inside, (np.floor(distance * 10) % 2 == 0).astype(np.intp), found)
    return found


def _ikat(x: Field, y: Field) -> NDArray[np.intp]:
    blur = 0.10 * _noise(x.shape, 3, (0.6, 5.0)) + 0.05 * _noise(x.shape, 4, (0.3, 1.0))
    lozenge = (_wave(x) + _wave(y + blur)) % 1.0
    return _bands(lozenge + 0.02, [0.25, 0.55, 0.75])


def _camouflage(x: Field, _y: Field) -> NDArray[np.intp]:
    side = x.shape[0] / 40
    return np.digitize(_noise(x.shape, 5, (side, 1.6 * side)), [-0.7, 0.2, 0.9])


def _check(x: Field, y: Field) -> NDArray[np.intp]:
    return ((np.floor(x * 2) + np.floor(y * 2)) % 2).astype(np.intp)


def _marble(x: Field, y: Field) -> NDArray[np.intp]:
    swirl = _noise(x.shape, 6, (x.shape[0] / 24,) * 2)
    return _bands(x * 0.5 + y * 0.25 + 0.35 * swirl, [0.28, 0.36, 0.62, 0.86])


INK, CREAM, MADDER, INDIGO = (28, 30, 38), (240, 232, 216), (158, 42, 43), (38, 60, 104)
MOSS, OCHRE, SAND, ROSE, WHITE, TEAL = (
    (62, 84, 58),
    (206, 152, 54),
    (198, 180, 146),
    (222, 160, 158),
    (250, 249, 246),
    (28, 110, 114),
)

PATTERNS: dict[str, tuple[Paint, int, Palette]] = {  # function, repeats across, colours
    "breton": (_breton, 9, (WHITE, INDIGO)),
    "pinstripe": (_pinstripe, 12, (INK, CREAM)),
    "gingham": (_gingham, 10, (WHITE, ROSE, MADDER)),
    "tartan": (_tartan, 3, (MADDER, MOSS, INK, OCHRE)),
    "houndstooth": (_houndstooth, 7, (CREAM, INK)),
    "polka dots": (_dots, 6, (INDIGO, CREAM)),
    "herringbone": (_herringbone, 8, (SAND, INK)),
    "argyle": (_argyle, 5, (TEAL, SAND, CREAM)),
    "seigaiha": (_seigaiha, 5, (CREAM, INDIGO)),
    "ikat": (_ikat, 4, (CREAM, MADDER, INDIGO, OCHRE)),
    "camouflage": (_camouflage, 1, (SAND, MOSS, INK, OCHRE)),
    "check": (_check, 5, (INK, WHITE)),
    "marble": (_marble, 3, (CREAM, TEAL, ROSE, INDIGO, OCHRE)),
}


def pattern(name: str, side_px: int) -> NDArray[np.uint8]:
    """The fabric `name` of PATTERNS as (side_px, side_px, 3). Raises KeyError."""
    paint, repeats, colours = PATTERNS[name]
    fine = side_px * SUPERSAMPLING
    places = (np.arange(fine) + 0.5) / fine * repeats
    x, y = np.meshgrid(places, places)
    painted = np.array(colours, np.float32)[paint(x, y)]
    means = painted.reshape(side_px, SUPERSAMPLING, side_px, SUPERSAMPLING, 3).mean(axis=(1, 3))
    return np.rint(means).astype(np.uint8)
