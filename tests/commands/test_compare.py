"""Comparison of runs: which scores are comparable, what counts as a difference, and what changed."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.commands.compare import TEMPLATE, found_runs
from pipeline.pages import runs
from pipeline.pages.page import render_html
from pipeline.tracking import past_runs
from pipeline.tracking.past_runs import PastRun, merged
from tests.support.browser import chromium


def entry(value: float, plus_minus: float = 0.01, split: str = "a" * 64) -> dict[str, Any]:
    return {"value": value, "plus_minus": plus_minus, "passport": {"reference": {"sha256": split}}}


@pytest.mark.parametrize(
    ("name", "value", "other", "expected"),
    [
        ("fd_classifier", 0.3, 0.5, "better"),
        ("fid", 9.0, 5.0, "worse"),
        ("fid_infinity", 4.0, 5.0, "better"),
        ("class_accuracy", 0.9, 0.8, "better"),
        ("fd_classifier", 0.500, 0.515, "no difference beyond ±"),
        ("diversity_classifier", 3.0, 2.0, "higher"),
        ("a_new_number", 2.0, 3.0, "lower"),
    ],
)
def test_verdict(name: str, value: float, other: float, expected: str) -> None:
    assert runs.verdict(name, value, 0.01, other, 0.01) == expected


def test_runs_whose_params_are_not_yaml_are_left_out_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/metrics.json").write_text("{}")
    (tmp_path / "params.yaml").write_text("train: [")
    answers = {"log": "abcdef0123\t2026-01-01\tA commit", "show": "train: ["}
    monkeypatch.setattr(past_runs, "git", lambda command, *_: answers[command])
    monkeypatch.setattr("dvc.api.read", lambda *_, **__: "{}")
    assert past_runs.here(dict) == past_runs.of_revisions(1, dict) == []
    assert [record.getMessage() for record in caplog.records] == [
        "this working copy: params.yaml is not YAML",
        "commit abcdef01: its params.yaml is not YAML",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"value": "x"},
        {"value": True},
        {"value": 10**400},
        {"plus_minus": None},
        {"plus_minus": float("nan")},
        {"passport": None},
    ],
)
def test_metrics_of_wrong_types_are_left_out_with_a_warning(
    changes: dict[str, object], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = [
        PastRun([name], "2026", {"fid": metrics}, {}) for name, metrics in (("good", entry(1)), ("bad", entry(1) | changes))
    ]
    monkeypatch.setattr(past_runs, "here", lambda _: made)
    for elsewhere in ("of_revisions", "of_experiments", "of_mlflow"):
        monkeypatch.setattr(past_runs, elsewhere, lambda *_: [])
    assert [run.names for run in found_runs(1)] == [["good"]]
    assert "bad: left out" in caplog.text


def test_scores_are_grouped_by_passport() -> None:
    found = runs.compare(
        [
            ("Run 3", {"fd_classifier": entry(0.30), "fid": {"absent": "no weights"}}),
            ("Run 2", {"fd_classifier": entry(0.10, split="b" * 64)}),
            ("Run 1", {"fd_classifier": entry(0.40)}),
        ]
    )
    (number,) = found
    first, second = number.groups
    assert [(line.run, line.value, line.verdict) for line in first.lines] == [("Run 3", "0.30", ""), ("Run 1", "0.40", "worse")]
    assert [line.run for line in second.lines] == ["Run 2"]
    assert first.differences == []
    assert [line.partition(":")[0] for line in second.differences] == ["reference.sha256"]
    assert "b" * 17 not in second.differences[0]  # hashes are shortened
    assert 'aria-label="fd_classifier: Run 3 0.3 ± 0.01; Run 1 0.4 ± 0.01."' in first.plot


def test_changes_are_limited_to_common_keys_and_to_max_changes() -> None:
    assert runs.changes({"train.seed": "1", "train.new": "x"}, {"train.seed": "0", "train.old": "y"}) == [
        ("train.seed", "0 → 1")
    ]
    many = {str(number): "a" for number in range(50)}
    shown, more = runs.shown_changes(many, dict.fromkeys(many, "b"))
    assert (len(shown), more) == (runs.MAX_CHANGES, 10)
    assert runs.shown_changes(many, None) == ([], 0)


@pytest.mark.parametrize(("categories", "side_px"), [(16, 512), (45, 256), (300, 64), (3, 8)])
def test_a_row_of_many_or_large_pictures_fits_the_format_and_the_budget(categories: int, side_px: int) -> None:
    cells = np.zeros((categories, 2, side_px, side_px, 1), np.uint8)
    picture = runs.row_of_categories("Run 1", cells, 2).picture
    assert picture.width_px <= 16_383
    assert picture.height_px * picture.width_px <= 1.1 * runs.ROW_PIXELS
    assert picture.height_px <= side_px
    assert (picture.height_px == side_px) == (2 * categories * side_px**2 <= runs.ROW_PIXELS)


def test_costs_are_summed_and_peaks_are_not() -> None:
    costs = {"train": {"cost_wall_s": 100.0, "cost_peak_mb": 700.0}, "export": {"cost_wall_s": 20.4, "cost_peak_mb": 900.0}}
    table = runs.cost_table("Run 1", costs, ("collect", "train", "export"))
    assert table.columns == ["stage", "seconds", "peak MB"]
    assert table.cells == [["train", "100", "700"], ["export", "20", "900"], ["all", "120", "900"]]


def test_runs_with_equal_metrics_are_merged() -> None:
    metrics = {"fid": entry(5.0)}
    kept = PastRun(["commit"], "2026-01-02", metrics, {"train.seed": "0"}, grid=b"png")
    logged = PastRun(["MLflow"], "2026-01-02", metrics, {"train.seed": "0", "train.more": "1"}, {"train": {"cost_wall_s": 1.0}})
    other = PastRun(["older"], "2026-01-01", {"fid": entry(6.0)}, {})
    (one, second) = merged([kept, logged, other])
    assert one.names == ["commit", "MLflow"]
    assert one.params == {"train.seed": "0", "train.more": "1"}
    assert one.costs
    assert one.grid == b"png"
    assert second == other


def page() -> runs.RunsPage:
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 255, (10, 4, 32, 32, 1), dtype=np.uint8)
    names = ["Run 2", "Run 1"]
    metrics = [{"fd_classifier": entry(0.3), "class_accuracy": entry(0.9)}, {"fd_classifier": entry(0.4, split="b" * 64)}]
    return runs.RunsPage(
        title="Gowns & <frocks>",
        version="1",
        pictures=[runs.row_of_categories(name, cells, 2) for name in names],
        runs=[runs.ShownRun(name, "2026-01-01", ["MLflow"], [("train.seed", "0 → 1")], 0) for name in names],
        numbers=runs.compare(list(zip(names, metrics, strict=True))),
        costs=[runs.cost_table("Run 2", {"train": {"cost_wall_s": 3.0}}, ("train",))],
    )


def test_page_fits_a_phone_and_requests_nothing(tmp_path: Path) -> None:
    html = render_html(page(), TEMPLATE)
    assert "<h1>Gowns &amp; &lt;frocks&gt;</h1>" in html
    assert all(re.search('alt="[^"]+"', image) for image in re.findall("<img[^>]*>", html))
    (tmp_path / "runs.html").write_text(html, encoding="utf-8")
    with chromium() as browser:
        shown = browser.new_page(viewport={"width": 390, "height": 800})
        messages: list[str] = []
        shown.on("console", lambda message: messages.append(message.text))
        shown.on("request", lambda request: messages.append(request.url) if request.url.startswith("http") else None)
        shown.goto((tmp_path / "runs.html").as_uri())
        assert shown.evaluate("document.documentElement.scrollWidth") <= 390
        assert messages == []
