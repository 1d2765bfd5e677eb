"""Projects with hardly any pictures go from the folder to the export."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from pipeline.params import STAGES
from tests.support.garments import draw_wardrobe
from tests.support.small_project import run_stage, write_project

DRAWN = ["shirt", "trousers", "dress", "hat"]
COUNTS = {
    "one category": {"train/shirt": 3, "test/shirt": 2},
    "one training picture a category": {"train/shirt": 1, "train/hat": 1, "test/shirt": 1, "test/hat": 1},
    "a category in one split": {"train/shirt": 8, "train/trousers": 1, "train/dress": 3, "test/shirt": 3, "test/hat": 4},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTS)
def test_a_project_with_hardly_any_pictures_ends_in_an_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    draw_wardrobe(tmp_path / "drawn", DRAWN, 16, seed=5, side_px=32)
    for folder, count in COUNTS[name].items():
        target = tmp_path / "data" / "pictures" / folder
        target.mkdir(parents=True)
        for picture in sorted((tmp_path / "drawn" / target.name).iterdir())[:count]:
            shutil.move(picture, target)
    write_project(curate={"min_per_category": 1, "split": "source"})
    for stage in STAGES:
        assert run_stage(stage) == 0, stage
    reasons = pd.read_parquet("data/curated.parquet")["reason"].dropna()
    assert set(reasons) <= {"category not in training"}
    assert Path("models/export/generator.onnx").exists()
