"""A tiny project of garments with alpha, from photographs to what `generate` writes."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.__main__ import main
from pipeline.inference.onnx_generator import read_card
from pipeline.params import STAGES
from pipeline.storage.arrays import read_card as read_dataset_card
from pipeline.storage.arrays import read_split
from tests.support.garments import draw_wardrobe
from tests.support.small_project import run_stage, write_project


def read_picture(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        picture.load()
        return picture


@pytest.mark.graph
@pytest.mark.timeout(900)
def test_garments_keep_their_alpha_from_augment_to_generate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw_wardrobe(Path("data/pictures"), ["shirt", "trousers", "dress"], 12, seed=0, side_px=48)
    cut_out = {"ground": "transparent", "frame": "garment", "channels": 3, "height": 32, "width": 32}
    write_project(inspect={"detect": ["garment"]}, augment=cut_out, reference={"ground": "black"})
    for stage in STAGES:
        assert run_stage(stage) == 0, stage

    packed, card = read_split(Path("data/train"), "train")[0], read_dataset_card(Path("data/train"))
    assert (card.channels, packed.shape[-1]) == (4, 4)
    assert 0.1 < (packed[..., 3] > 128).mean() < 0.9
    assert np.asarray(read_picture(Path("data/train/preview.png"))).shape[-1] == 4
    sheets = sorted(Path("models/gan/samples").glob("*.png"))
    assert {read_picture(sheet).mode for sheet in sheets} == {"RGBA"}
    metrics = json.loads(Path("reports/metrics.json").read_text(encoding="utf-8"))
    assert metrics["fd_classifier"]["passport"]["reference"]["ground"] == "black"
    page = Path("reports/index.html").read_text(encoding="utf-8")
    assert "colour with alpha" in page
    assert re.search(r"data:image/(png|webp)", page)
    assert read_card(Path("models/export")).alpha

    assert main(["generate", "--count", "1", "--category", "dress", "one.png"]) == 0
    assert main(["generate", "--count", "6", "sheet.png"]) == 0
    assert main(["generate", "--count", "6", "--ground", "transparent", "cut-outs.png"]) == 0
    assert main(["generate", "--count", "6", "garments.npz"]) == 0
    one, sheet, cut_outs = (read_picture(Path(name)) for name in ("one.png", "sheet.png", "cut-outs.png"))
    assert (one.mode, sheet.mode, cut_outs.mode) == ("RGBA", "RGB", "RGBA")
    assert {picture.info["ai_generated"] for picture in (one, sheet, cut_outs)} == {"true"}
    over_white = Image.alpha_composite(Image.new("RGBA", cut_outs.size, "white"), cut_outs).convert("RGB")
    assert np.abs(np.asarray(over_white).astype(int) - np.asarray(sheet)).max() <= 1
    with np.load("garments.npz", allow_pickle=False) as arrays:
        assert arrays["images"].shape == (6, 32, 32, 4)
