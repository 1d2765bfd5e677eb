"""A tiny project on captions, from pictures to what `generate --text` writes."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.__main__ import main
from pipeline.inference.onnx_generator import read_card
from pipeline.params import STAGES
from pipeline.storage.captions import read_captions
from pipeline.words.encoder import ENCODER_NAME
from tests.support.garments import draw_wardrobe
from tests.support.small_project import run_stage, write_project


@pytest.mark.graph
@pytest.mark.timeout(900)
def test_captions_reach_every_stage_and_words_draw_garments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw_wardrobe(Path("data/pictures"), ["shirt", "trousers", "dress"], 12, seed=0, side_px=48)
    augment = {"captions": 3, "channels": 3, "height": 32, "width": 32}
    write_project(inspect={"detect": ["garment"]}, augment=augment, train={"condition": "text"})
    for stage in STAGES:
        assert run_stage(stage) == 0, stage

    captions = read_captions(Path("data/train"))
    assert any("Kleid" in text for text in captions.texts)
    card = read_card(Path("models/export"))
    assert (card.text_encoder, card.text_dim) == (ENCODER_NAME, captions.embeddings.shape[1])
    entry = json.loads(Path("reports/metrics.json").read_text(encoding="utf-8"))["caption_recall_efflite0"]
    assert {"value", "floor", "passport"} <= set(entry)
    assert "Captions recalled" in Path("reports/index.html").read_text(encoding="utf-8")

    drawn = {}
    for name, text in {"red": "ein rotes Kleid", "blue": "蓝色连衣裙"}.items():
        assert main(["generate", "--count", "4", "--text", text, f"{name}.npz"]) == 0
        with np.load(f"{name}.npz", allow_pickle=False) as arrays:
            drawn[name] = arrays["images"]
            assert {str(arrays["categories"][label]) for label in arrays["labels"]} == {"dress"}
    assert not np.array_equal(drawn["red"], drawn["blue"])
    assert main(["generate", "--text", "a car", "car.png"]) == 1
    assert not Path("car.png").exists()
