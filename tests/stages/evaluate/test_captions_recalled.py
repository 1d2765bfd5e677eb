"""A generator on captions in reference and evaluate: its samples are drawn with captions, and judged by them."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.gan.checkpoints import GeneratorCard
from pipeline.metrics.contrast import WEIGHTS, ContrastiveHead
from pipeline.stages.evaluate.asked_attributes import captions_like_real
from pipeline.stages.evaluate.captions_recalled import recalled, refused_recall
from pipeline.storage.captions import Captions, write_captions
from tests.stages.evaluate.test_evaluate import content, make_reference, params_with, run, write_data, write_generator
from tests.support.captions import DIM, unit_rows

CARD: dict[str, Any] = {"condition": "text", "text_encoder": "drawn", "text_dim": DIM}


def test_samples_are_asked_for_with_captions_of_test_pictures_of_their_category() -> None:
    captions = Captions("drawn", list("abcd"), unit_rows(4), np.array([[0, 1], [2, -1], [3, 3]], np.int32))
    labels = np.repeat([0, 1, 2], 50)
    asked = captions_like_real(labels, np.array([0, 1, 1]), captions, seed=0)
    embeddings = captions.embeddings
    assert {tuple(row) for row in asked[:50]} <= {tuple(embeddings[0]), tuple(embeddings[1])}
    assert {tuple(row) for row in asked[50:100]} <= {tuple(embeddings[2]), tuple(embeddings[3]), (0.0,) * DIM}
    assert not asked[100:].any()  # no test picture has the category


def test_recalled_counts_captioned_pictures_only() -> None:
    head = ContrastiveHead(np.zeros(DIM, np.float32), np.ones(DIM, np.float32), *[np.eye(DIM, dtype=np.float32)] * 2)
    features = unit_rows(40)
    asked = features.copy()
    asked[::2] = 0
    assert recalled(head, features, asked, 15, np.random.default_rng(0)).tolist() == [1] * 15


def test_a_generator_trained_through_the_heads_network_is_refused() -> None:
    card = GeneratorCard("resnet", {}, ["a"], 16, 16, 1, 8, 0, text_dim=DIM, text_encoder="drawn")
    assert refused_recall(card) == {}
    through = GeneratorCard("resnet", {}, ["a"], 16, 16, 1, 8, 0, {"projected": {"weight": 1}}, text_dim=DIM)
    assert "trained through efflite0" in refused_recall(through)["caption_recall_efflite0"]["absent"]
    assert refused_recall(GeneratorCard("resnet", {}, ["a"], 16, 16, 1, 8, 0, {"projected": {"weight": 1}})) == {}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measured")
    write_data(folder / "train")
    rows = {
        split: np.arange(2 * count, dtype=np.int32).reshape(-1, 2)
        for split, count in (("reference_train", 60), ("reference_test", 24))
    }
    write_captions(folder / "train", "drawn", [str(place) for place in range(120)], unit_rows(120), rows)
    make_reference(folder)
    write_generator(folder / "gan", **CARD)
    return folder


def test_the_recall_stands_beside_that_of_real_pictures_and_the_same_bytes_come_again(measured: Path, tmp_path: Path) -> None:
    entries = run(measured, tmp_path / "first", params_with())
    for network in ("efflite0", "classifier"):
        entry = entries[f"caption_recall_{network}"]
        assert entry["floor_pictures"]["pictures"] == 24
        assert entry["passport"]["extractor"]["name"] == network
    run(measured, tmp_path / "second", params_with())
    assert content(tmp_path / "first") == content(tmp_path / "second")


def test_a_model_trained_through_the_heads_network_is_measured_by_the_head_on_the_classifier(
    measured: Path, tmp_path: Path
) -> None:
    write_generator(tmp_path / "gan", **CARD, recipe={"projected": {"weight": 1}})
    for name in ("train", "reference"):
        (tmp_path / name).symlink_to(measured / name)
    entries = run(tmp_path, tmp_path / "out", params_with())
    assert "absent" in entries["caption_recall_efflite0"]
    assert 0 < entries["caption_recall_classifier"]["floor"] <= 1


def test_data_without_captions_are_refused(measured: Path, tmp_path: Path) -> None:
    folder = tmp_path / "without"
    write_data(folder / "train")
    shutil.copytree(measured / "gan", folder / "gan")
    make_reference(folder)
    assert not (folder / "reference" / WEIGHTS).exists()
    with pytest.raises(InputError, match=r"trained on captions, which the data lack; set augment\.captions"):
        run(folder, tmp_path / "out", params_with())
