"""A learned warp: for each kind of garment a linear map from proportions of body and garment to a correction of the fit.

As a file: safetensors, three arrays for each kind, and the format's name in the metadata.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from pipeline.errors import InputError
from pipeline.imaging.garment_anchors import GarmentAnchors
from pipeline.imaging.garment_kinds import KINDS, Kind
from pipeline.imaging.outlines import Line, Part
from pipeline.storage.files import sha256_of_file
from pipeline.tryon.body import Body
from pipeline.tryon.corrections import COUNT, Numbers, corrected
from pipeline.tryon.fitting import Fit, PlacedPart, placed_parts

WARP = "warp.safetensors"  # beside the networks that find people the studio takes it
FORMAT = "atelier try-on warp 1"
PROPORTIONS = 6  # of body and garment
MOST_DEVIATIONS = 2.0  # from the mean of the training pairs; what lies beyond counts as lying there

Proportions = NDArray[np.float64]  # (PROPORTIONS,)


def proportions(garment: GarmentAnchors, body: Body) -> Proportions:
    """Half-widths of chest, waist and hips by the shoulders' distance; length, hem and limbs of the garment by its width."""
    span = body.shoulders_px
    widths = np.array([body.widths.chest, body.widths.waist, body.widths.hip]) / max(span, 1.0)
    rungs = np.linalg.norm(garment.trunk.second - garment.trunk.first, axis=1)
    wide = max(float(rungs.mean()), 1.0)
    limbs = [_length(limb) for limb in garment.limbs.values()]
    return np.array([*widths, _length(garment.trunk) / wide, rungs[-1] / wide, float(np.mean(limbs or [0.0])) / wide])


def _length(part: Part) -> float:
    middles: Line = (part.first + part.second) / 2
    return float(np.linalg.norm(np.diff(middles, axis=0), axis=1).sum())


@dataclass(frozen=True)
class KindOfWarp:
    """The map for one kind of garment."""

    mean: Proportions  # of the training pairs
    deviation: Proportions
    weights: NDArray[np.float64]  # (1 + PROPORTIONS, COUNT), the first row for pairs of mean proportions

    def numbers(self, found: Proportions) -> Numbers:
        """The correction for these proportions."""
        return np.asarray(self.row(found) @ self.weights)

    def row(self, found: Proportions) -> NDArray[np.float64]:
        """(1 + PROPORTIONS,) 1 and the standardised proportions."""
        standard = (found - self.mean) / self.deviation
        return np.concatenate([[1.0], np.clip(standard, -MOST_DEVIATIONS, MOST_DEVIATIONS)])


@dataclass(frozen=True)
class LearnedWarp:
    """The kinds of garments that are corrected, and the SHA-256 of the file."""

    kinds: Mapping[Kind, KindOfWarp]
    sha256: str = ""

    def placed_parts(self, garment: GarmentAnchors, body: Body, fit: Fit = "regular") -> list[PlacedPart]:
        """As fitting.placed_parts, corrected if the garment's kind was learned."""
        parts = placed_parts(garment, body, fit)
        known = self.kinds.get(garment.kind)
        return parts if known is None else corrected(parts, body, known.numbers(proportions(garment, body)))


def write_warp(path: Path, kinds: Mapping[Kind, KindOfWarp]) -> None:
    """Write the file."""
    arrays = {f"{kind}.{name}": np.ascontiguousarray(array) for kind, one in kinds.items() for name, array in vars(one).items()}
    path.write_bytes(save(arrays, {"format": FORMAT}))


def read_warp(path: Path) -> LearnedWarp:
    """The warp in a file. Raises InputError if it cannot be read or holds something else."""
    shapes = {"mean": (PROPORTIONS,), "deviation": (PROPORTIONS,), "weights": (1 + PROPORTIONS, COUNT)}
    try:
        with safe_open(path, "numpy") as file:
            if (file.metadata() or {}).get("format") != FORMAT:
                raise ValueError("another format")
            arrays = {name: file.get_tensor(name).astype(np.float64) for name in file.keys()}  # noqa: SIM118
        digest = sha256_of_file(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); name a file that --learn wrote") from None
    except (SafetensorError, ValueError, TypeError):
        raise InputError(f"{path}: is no warp of try-on; name a file that --learn wrote") from None
    kinds: dict[Kind, KindOfWarp] = {kind: _kind(path, arrays, kind, shapes) for kind in KINDS if f"{kind}.mean" in arrays}
    if not kinds or len(arrays) != len(shapes) * len(kinds):
        raise InputError(f"{path}: is no warp of try-on; name a file that --learn wrote")
    return LearnedWarp(kinds, digest)


def _kind(
    path: Path, arrays: Mapping[str, NDArray[np.float64]], kind: Kind, shapes: Mapping[str, tuple[int, ...]]
) -> KindOfWarp:
    found = {name: arrays.get(f"{kind}.{name}", np.zeros(0)) for name in shapes}
    wrong = any(found[name].shape != shape or not np.isfinite(found[name]).all() for name, shape in shapes.items())
    if wrong or (found["deviation"] <= 0).any():
        raise InputError(f"{path}: is damaged at {kind}; learn the warp again with --learn")
    return KindOfWarp(**found)
