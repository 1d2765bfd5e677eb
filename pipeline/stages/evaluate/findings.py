"""Scores as they stand in metrics.json: value, ±, floor, flag and passport."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.extractors import Extractor
from pipeline.metrics.memorisation import PerceptualHash
from pipeline.metrics.passport import library_versions
from pipeline.metrics.scores import HIGHER_IS_BETTER, score_name
from pipeline.stages.evaluate.params import EvaluateParams

PLUS_MINUS = "standard deviation over the repeats, each drawn from its own seed"
PLUS_MINUS_BOOTSTRAP = "standard deviation over the pictures of one repeat and of the reference, both drawn again"
PLUS_MINUS_REAL = "standard error of a share of that many pictures"
# Which parameters a kind of score depends on, beside the extractor and the pictures.
SETTINGS = {
    "fd_infinity": ("fd_counts",),
    "kid": ("kid_subsets", "kid_subset_size"),
    "precision": ("neighbours",),
    "recall": ("neighbours",),
    "density": ("neighbours",),
    "coverage": ("neighbours",),
    "near_copies": ("near_copy_quantile",),
    "look_alikes": ("look_alikes",),
    "ppl": ("ppl_paths",),
}
# What noise scores says nothing of these.
WITHOUT_CEILING = ("is", "diversity")
OF_COPIES = ("near_copies", "look_alikes")


@dataclass(frozen=True)
class Baseline:
    """What other pictures score in place of the samples."""

    value: float  # NaN where there are too few pictures
    pictures: dict[str, str | int]


@dataclass(frozen=True)
class Score:
    """One score by one ruler: a value a repeat, what real pictures score, and what noise does."""

    kind: str
    extractor: Extractor | PerceptualHash
    values: list[float]
    floor: Baseline | None
    ceiling: Baseline | None = None
    bootstrap: float | None = None  # ± of the first repeat by drawing the pictures again

    @property
    def name(self) -> str:
        """How it is called in metrics.json."""
        return score_name(self.kind, self.extractor.name)

    @property
    def value(self) -> float:
        """Mean over the repeats."""
        return float(np.mean(self.values))

    @property
    def plus_minus(self) -> float:
        """Standard deviation over the repeats."""
        return float(np.std(self.values, ddof=1))

    def _beats(self, other: float) -> bool:
        """Whether it is better than `other` by more than ±."""
        more = HIGHER_IS_BETTER[self.kind]
        return self.value - self.plus_minus > other if more else self.value + self.plus_minus < other

    @property
    def _prefers_noise(self) -> bool:
        """Whether real pictures do not do better than noise either."""
        if not self.floor or not self.ceiling:
            return False
        more = HIGHER_IS_BETTER[self.kind]
        return self.floor.value <= self.ceiling.value if more else self.floor.value >= self.ceiling.value

    @property
    def flag(self) -> str | None:
        """What is suspicious about it, if anything."""
        if self.kind in OF_COPIES:
            above = self.floor is not None and self.value - self.plus_minus > self.floor.value
            return "more than among unseen real pictures: look for training pictures learnt by heart" if above else None
        if self.floor and self._beats(self.floor.value):
            return "better than real pictures: look for lost variety, or for copies of training pictures"
        if self.ceiling and self.kind not in WITHOUT_CEILING and not self._beats(self.ceiling.value):
            if self._prefers_noise:
                return "noise does as well as real pictures here: this score says nothing"
            return "no better than noise: the generator has learnt nothing that this score sees"
        return None


def passport_of(score: Score, params: EvaluateParams, reference: dict[str, str | int]) -> dict[str, Any]:
    """What `score` was measured with."""
    settings = params.model_dump()
    return {
        "extractor": score.extractor.in_passport,
        "reference": reference,
        "samples": {"pictures": params.samples, "repeats": params.repeats, "seed": params.seed, "categories": "equal shares"},
        "settings": {name: settings[name] for name in SETTINGS.get(score.kind, ())},
        "plus_minus": PLUS_MINUS,
        "libraries": library_versions(),
    }


def entry_of(score: Score, params: EvaluateParams, reference: dict[str, str | int]) -> dict[str, Any]:
    """How `score` stands in metrics.json."""
    entry: dict[str, Any] = {"value": score.value, "plus_minus": score.plus_minus}
    if score.bootstrap is not None:
        entry |= {"plus_minus_bootstrap": score.bootstrap, "bootstrap": PLUS_MINUS_BOOTSTRAP}
    if score.floor:
        entry |= {"floor": score.floor.value, "floor_pictures": score.floor.pictures}
    if score.ceiling:
        entry |= {"ceiling": score.ceiling.value, "ceiling_pictures": score.ceiling.pictures}
    if score.flag:
        entry["flag"] = score.flag
    return {**entry, "passport": passport_of(score, params, reference)}


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
        known = score.floor is None or np.isfinite(score.floor.value)
        absent = {"absent": "too few reference pictures; raise curate.test_share"}
        entries[score.name] = entry_of(score, params, reference) if known else absent
    return entries
