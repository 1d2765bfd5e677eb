"""The entries of metrics.json: value, ±, floor, ceiling, flag and passport of each score."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.metrics.extractors import Extractor
from pipeline.metrics.passport import library_versions
from pipeline.metrics.score_kinds import KINDS, score_name
from pipeline.stages.evaluate.params import EvaluateParams

# These two are compared as part of the passport: another wording would make old numbers incomparable.
PLUS_MINUS = "standard deviation over the repeats, each drawn from its own seed"
PLUS_MINUS_REAL = "standard error of a share of that many pictures"
PLUS_MINUS_BOOTSTRAP = "standard deviation over bootstrap resamples of the images of one repeat and of the reference"


# The kinds of score that every feature extractor gives.
FEATURE_KINDS = ("fd", "fd_infinity", "kid", "precision", "recall", "density", "coverage", "diversity", "ppl")


@dataclass(frozen=True)
class Baseline:
    """The score of other images in place of the samples: real images (floor) or noise (ceiling)."""

    value: float  # NaN if there are too few images
    images: dict[str, str | int]  # passport entry


class Measure(Protocol):
    """What a score was measured with: an extractor, a hash, or the measure of an attribute."""

    @property
    def name(self) -> str: ...

    @property
    def passport_entry(self) -> dict[str, str]: ...


@dataclass(frozen=True)
class Score:
    """One kind of score by one extractor, with a value for each repeat."""

    kind: str
    extractor: Measure
    values: list[float]
    floor: Baseline | None
    ceiling: Baseline | None = None
    bootstrap: float | None = None  # ± of the first repeat

    @property
    def name(self) -> str:
        """The key in metrics.json."""
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
        """Whether the score is better than `other` by more than ±."""
        if KINDS[self.kind].higher_is_better:
            return self.value - self.plus_minus > other
        return self.value + self.plus_minus < other

    @property
    def _prefers_noise(self) -> bool:
        """Whether real images score no better than noise."""
        if not self.floor or not self.ceiling:
            return False
        if KINDS[self.kind].higher_is_better:
            return self.floor.value <= self.ceiling.value
        return self.floor.value >= self.ceiling.value

    @property
    def flag(self) -> str | None:
        """What is suspicious about the score, if anything."""
        if KINDS[self.kind].counts_copies:
            above = self.floor is not None and self.value - self.plus_minus > self.floor.value
            return "more than among unseen real images: look for memorised training images" if above else None
        if self.floor and self._beats(self.floor.value):
            return "better than real images: look for lost variety, or for copies of training images"
        if self.ceiling and KINDS[self.kind].noise_is_worst and not self._beats(self.ceiling.value):
            if self._prefers_noise:
                return "noise scores as well as real images here: this score says nothing"
            return "no better than noise: the generator has learnt nothing that this score measures"
        return None


def sampled_shares(labels: NDArray[np.int64]) -> str:
    """How often each category was sampled, in words; with a balanced test split as in earlier versions."""
    return "equal shares" if np.ptp(np.bincount(labels)) <= 1 else "the test split's shares"


def passport(score: Score, params: EvaluateParams, reference: dict[str, str | int], categories: str) -> dict[str, Any]:
    """What `score` was measured with; `categories` says how often each was sampled."""
    settings, kind = params.model_dump(), KINDS[score.kind]
    return {
        "extractor": score.extractor.passport_entry,
        "reference": reference,
        "samples": {"pictures": params.samples, "repeats": params.repeats, "seed": params.seed, "categories": categories},
        "settings": {name: settings[name] for name in kind.settings} | ({"method": kind.method} if kind.method else {}),
        "plus_minus": PLUS_MINUS,
        "libraries": library_versions(),
    }


def score_entry(score: Score, params: EvaluateParams, reference: dict[str, str | int], categories: str) -> dict[str, Any]:
    """The entry of `score` in metrics.json."""
    if score.floor and not np.isfinite(score.floor.value):
        return {"absent": "too few reference images; raise curate.test_share"}
    entry: dict[str, Any] = {"value": score.value, "plus_minus": score.plus_minus}
    if score.bootstrap is not None:
        entry |= {"plus_minus_bootstrap": score.bootstrap, "bootstrap": PLUS_MINUS_BOOTSTRAP}
    if score.floor:
        entry |= {"floor": score.floor.value, "floor_pictures": score.floor.images}
    if score.ceiling:
        entry |= {"ceiling": score.ceiling.value, "ceiling_pictures": score.ceiling.images}
    if score.flag:
        entry["flag"] = score.flag
    return {**entry, "passport": passport(score, params, reference, categories)}


def refused_entries(extractor: str) -> dict[str, dict[str, str]]:
    """Entries for the scores by `extractor` of a generator that was trained through its network."""
    reason = f"the generator was trained through {extractor} (train.projected), which would find it better than people do"
    return {score_name(kind, extractor): {"absent": reason} for kind in FEATURE_KINDS}


def real_accuracy_entry(correct: NDArray[np.bool_], extractor: Extractor, reference: dict[str, str | int]) -> dict[str, Any]:
    """The entry of the classifier's accuracy on the reference; `correct` (N,) are its right answers."""
    share = float(correct.mean())
    entry = {
        "extractor": {"name": extractor.name, "weights_sha256": extractor.weights_sha256, "runtime": extractor.runtime},
        "reference": reference,
        "plus_minus": PLUS_MINUS_REAL,
        "libraries": library_versions(),
    }
    return {"value": share, "plus_minus": float(np.sqrt(share * (1 - share) / len(correct))), "passport": entry}
