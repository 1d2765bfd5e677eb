"""What is suspicious about a score, by what real pictures and noise score beside it."""

import pytest

from pipeline.metrics.memorisation import PerceptualHash
from pipeline.stages.evaluate.findings import Baseline, Score


@pytest.mark.parametrize(
    ("kind", "values", "floor", "ceiling", "told"),
    [
        ("precision", [0.80, 0.82], 0.9, 0.1, None),
        ("precision", [0.94, 0.95], 0.9, 0.1, "better than real pictures"),
        ("precision", [0.09, 0.11], 0.9, 0.1, "the generator has learnt nothing"),
        ("precision", [0.80, 0.82], 0.9, 1.0, "noise does as well as real pictures here: this score says nothing"),
        ("fd", [3.0, 3.1], 1.0, 100.0, None),
        ("fd", [99.0, 103.0], 1.0, 100.0, "the generator has learnt nothing"),
        ("fd", [3.0, 3.1], 1.0, 0.5, "noise does as well as real pictures here"),
    ],
)
def test_a_score_is_flagged(kind: str, values: list[float], floor: float, ceiling: float, told: str | None) -> None:
    flag = Score(kind, PerceptualHash(), values, Baseline(floor, {}), Baseline(ceiling, {})).flag
    assert flag is None if told is None else told in str(flag)
