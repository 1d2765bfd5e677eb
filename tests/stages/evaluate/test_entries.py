"""Which scores carry a flag, given the scores of real images and of noise."""

import pytest

from pipeline.metrics.memorisation import PerceptualHash
from pipeline.stages.evaluate.entries import Baseline, Score


@pytest.mark.parametrize(
    ("kind", "values", "floor", "ceiling", "reason"),
    [
        ("precision", [0.80, 0.82], 0.9, 0.1, None),
        ("precision", [0.94, 0.95], 0.9, 0.1, "better than real images"),
        ("precision", [0.09, 0.11], 0.9, 0.1, "no better than noise"),
        ("precision", [0.80, 0.82], 0.9, 1.0, "this score says nothing"),
        ("fd", [3.0, 3.1], 1.0, 100.0, None),
        ("fd", [99.0, 103.0], 1.0, 100.0, "no better than noise"),
        ("fd", [3.0, 3.1], 1.0, 0.5, "this score says nothing"),
        ("near_copies", [0.05, 0.06], 0.01, 0.0, "memorised"),
        ("diversity", [0.5, 0.6], 1.0, 9.0, None),
    ],
)
def test_flag(kind: str, values: list[float], floor: float, ceiling: float, reason: str | None) -> None:
    flag = Score(kind, PerceptualHash(), values, Baseline(floor, {}), Baseline(ceiling, {})).flag
    assert flag is None if reason is None else reason in str(flag)
