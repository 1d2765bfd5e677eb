"""Scores as they stand in metrics.json: value, ±, floor, flag and passport."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.extractors import Extractor
from pipeline.metrics.passport import library_versions
from pipeline.metrics.scores import HIGHER_IS_BETTER, score_name
from pipeline.params import EvaluateParams

PLUS_MINUS = "standard deviation over the repeats, each drawn from its own seed"
PLUS_MINUS_REAL = "standard error of a share of that many pictures"
# Which parameters a kind of score depends on, beside the extractor and the pictures.
SETTINGS = {
    "kid": ("kid_subsets", "kid_subset_size"),
    "precision": ("neighbours",),
    "recall": ("neighbours",),
    "density": ("neighbours",),
    "coverage": ("neighbours",),
    "near_copies": ("near_copy_quantile",),
}


@dataclass(frozen=True)
class Score:
    """One score by one extractor: a value a repeat, and what real pictures score."""

    kind: str
    extractor: Extractor
    values: list[float]
    floor: float
    floor_pictures: dict[str, str | int]

    @property
    def value(self) -> float:
        """Mean over the repeats."""
        return float(np.mean(self.values))

    @property
    def plus_minus(self) -> float:
        """Standard deviation over the repeats."""
        return float(np.std(self.values, ddof=1))

    @property
    def flag(self) -> str | None:
        """What is suspicious about it, if anything."""
        above, below = self.value - self.plus_minus > self.floor, self.value + self.plus_minus < self.floor
        if self.kind == "near_copies":
            return "more than among unseen real pictures: look for training pictures learnt by heart" if above else None
        better = above if HIGHER_IS_BETTER[self.kind] else below
        return "better than real pictures: look for lost variety, or for copies of training pictures" if better else None


def passport_of(score: Score, params: EvaluateParams, reference: dict[str, str | int]) -> dict[str, Any]:
    """What `score` was measured with."""
    return {
        "extractor": score.extractor.in_passport,
        "reference": reference,
        "samples": {"pictures": params.samples, "repeats": params.repeats, "seed": params.seed, "categories": "equal shares"},
        "settings": {name: getattr(params, name) for name in SETTINGS.get(score.kind, ())},
        "plus_minus": PLUS_MINUS,
        "libraries": library_versions(),
    }


def entry_of(score: Score, params: EvaluateParams, reference: dict[str, str | int]) -> dict[str, Any]:
    """How `score` stands in metrics.json."""
    flag = {"flag": score.flag} if score.flag else {}
    passport = passport_of(score, params, reference)
    return {
        "value": score.value,
        "plus_minus": score.plus_minus,
        "floor": score.floor,
        "floor_pictures": score.floor_pictures,
        **flag,
        "passport": passport,
    }


def accuracy_on_real(right: NDArray[np.bool_], extractor: Extractor, reference: dict[str, str | int]) -> dict[str, Any]:
    """How the classifier's accuracy on the reference stands in metrics.json; `right` (N,) says which it saw rightly."""
    share = float(right.mean())
    passport = {
        "extractor": {"name": extractor.name, "weights_sha256": extractor.weights_sha256, "runtime": extractor.runtime},
        "reference": reference,
        "plus_minus": PLUS_MINUS_REAL,
        "libraries": library_versions(),
    }
    return {"value": share, "plus_minus": float(np.sqrt(share * (1 - share) / len(right))), "passport": passport}


def entries_of(found: list[Score], params: EvaluateParams, reference: dict[str, str | int]) -> dict[str, dict[str, Any]]:
    """How the scores stand in metrics.json, by name."""
    entries = {}
    for score in found:
        known = np.isfinite(score.floor)
        absent = {"absent": "too few reference pictures; raise curate.test_share"}
        entries[score_name(score.kind, score.extractor.name)] = entry_of(score, params, reference) if known else absent
    return entries
