import errno
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from pipeline.__main__ import main
from pipeline.commands.generate import Recipe, recipe_attributes, recipe_labels, sheet_columns
from pipeline.commands.parser import parse
from pipeline.errors import InputError
from pipeline.imaging.ai_label import ai_marks
from pipeline.imaging.contact_sheets import contact_sheet, enlarged
from pipeline.inference.latents import draw_latents
from pipeline.inference.onnx_generator import (
    CARD_NAME,
    MODEL_NAME,
    ExportedCard,
    OnnxGenerator,
    as_images,
    read_card,
    write_exported,
)
from pipeline.storage import files

CATEGORIES = ["bag", "dress", "shirt"]
LATENT_DIM, HEIGHT, WIDTH, CHANNELS = 4, 16, 8, 3


def tiny_onnx() -> bytes:
    """A generator of a few numbers: tanh of a linear map of the latents plus a row for the label, as pictures."""
    size = CHANNELS * HEIGHT * WIDTH
    random = np.random.default_rng(0)
    weights = {
        "slope": random.standard_normal((LATENT_DIM, size), dtype=np.float32),
        "rows": random.standard_normal((len(CATEGORIES), size), dtype=np.float32),
        "shape": np.array([-1, CHANNELS, HEIGHT, WIDTH]),
    }
    nodes = [
        helper.make_node("Gather", ["rows", "labels"], ["row"]),
        helper.make_node("MatMul", ["latents", "slope"], ["mapped"]),
        helper.make_node("Add", ["mapped", "row"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["pictures"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info("latents", TensorProto.FLOAT, ["batch", LATENT_DIM]),
            helper.make_tensor_value_info("labels", TensorProto.INT64, ["batch"]),
        ],
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["batch", CHANNELS, HEIGHT, WIDTH])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    model = tiny_onnx()
    card = ExportedCard(
        categories=CATEGORIES,
        height=HEIGHT,
        width=WIDTH,
        channels=CHANNELS,
        latent_dim=LATENT_DIM,
        images_seen=640,
        network="tiny",
        opset=20,
        precision="fp32",
        judge_sha256=None,
        variants=[],
        onnx_sha256=hashlib.sha256(model).hexdigest(),
        max_difference=0.0,
        checked_latents=8,
        intended_use="tests",
    )
    write_exported(folder, {MODEL_NAME: model}, card)
    return folder


def generate(exported: Path, target: Path, *options: str) -> int:
    return main(["generate", "--model", str(exported), *options, str(target)])


def arrays(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    with np.load(path) as content:
        return content["images"], content["labels"]


def test_the_pictures_are_the_models_own(exported: Path, tmp_path: Path) -> None:
    assert generate(exported, tmp_path / "out.npz", "--category", "dress", "--count", "40", "--seed", "3") == 0
    images, labels = arrays(tmp_path / "out.npz")
    assert labels.tolist() == [1] * 40
    expected = OnnxGenerator(tiny_onnx()).pictures(draw_latents(3, 40, LATENT_DIM), labels)
    assert images.dtype == np.uint8
    assert (images == as_images(expected)).all()
    assert images.shape == (40, HEIGHT, WIDTH, CHANNELS)


def test_as_images_rounds_and_clips() -> None:
    pictures = np.array([-1.5, -1.0, -0.004, 0.0, 0.003, 1.0, 1.2], np.float32).reshape(1, 1, 1, 7)
    assert as_images(pictures).ravel().tolist() == [0, 0, 127, 128, 128, 255, 255]


def test_an_npz_says_what_it_holds_without_pickle(exported: Path, tmp_path: Path) -> None:
    assert generate(exported, tmp_path / "out.npz", "--count", "6", "--seed", "3") == 0
    with np.load(tmp_path / "out.npz", allow_pickle=False) as content:
        found = dict(content)
    assert [str(found["categories"][label]) for label in found["labels"]] == [name for name in CATEGORIES for _ in range(2)]
    assert found["categories"].dtype.kind == "U"
    assert found["attributes"].shape == (0,)
    assert (int(found["seed"]), float(found["truncation"]), bool(found["ai_generated"])) == (3, 1.0, True)
    assert str(found["model_sha256"]) == hashlib.sha256(tiny_onnx()).hexdigest()
    assert "AI-generated" in str(found["comment"])


def test_no_category_means_all_in_equal_shares(exported: Path, tmp_path: Path) -> None:
    assert generate(exported, tmp_path / "out.npz", "--count", "7") == 0
    assert np.bincount(arrays(tmp_path / "out.npz")[1]).tolist() == [3, 2, 2]


def test_a_seed_brings_the_same_bytes_back_and_another_does_not(exported: Path, tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        generate(exported, tmp_path / f"{name}.png", "--seed", seed)
        generate(exported, tmp_path / f"{name}.npz", "--seed", seed)
    for kind in ("png", "npz"):
        a, b, c = ((tmp_path / f"{name}.{kind}").read_bytes() for name in "abc")
        assert a == b != c


def test_fewer_pictures_are_the_first_of_more(exported: Path, tmp_path: Path) -> None:
    generate(exported, tmp_path / "few.npz", "--category", "bag", "--count", "5")
    generate(exported, tmp_path / "many.npz", "--category", "bag", "--count", "50")
    assert (arrays(tmp_path / "few.npz")[0] == arrays(tmp_path / "many.npz")[0][:5]).all()


def test_the_sheet_says_that_ai_made_it_and_how(exported: Path, tmp_path: Path) -> None:
    generate(exported, tmp_path / "out.png", "--category", "shirt", "--count", "3", "--seed", "9")
    with Image.open(tmp_path / "out.png") as sheet:
        assert sheet.size == (2 * WIDTH * 8, 2 * HEIGHT * 8)  # two by two, each pixel as 8 × 8 to be seen
        text = sheet.text  # type: ignore[attr-defined]
    assert text["ai_generated"] == "true"
    assert text["Software"] == "Atelier"
    assert "trainedAlgorithmicMedia" in text["XML:com.adobe.xmp"]
    model_sha256 = hashlib.sha256(tiny_onnx()).hexdigest()
    assert json.loads(text["recipe"]) == {"category": "shirt", "count": 3, "model_sha256": model_sha256, "seed": 9}


def test_marks_keep_the_recipe_readable() -> None:
    chunks = {chunk[1].split(b"\0")[0]: chunk[1] for chunk in ai_marks({"seed": 1}).chunks}
    assert json.loads(chunks[b"recipe"].split(b"\0")[1]) == {"seed": 1}


@pytest.mark.parametrize(
    "options",
    [
        ["--category", "trilby"],
        ["--category", ""],
        ["--category", "Dress"],
        ["--count", "0"],
        ["--count", "-1"],
        ["--count", "10001"],
        ["--count", str(10**9)],
        ["--count", str(2**64)],
        ["--seed", "-1"],
        ["--seed", str(2**32)],
        ["--seed", str(2**64)],
        ["--attribute", "colour=red"],
        ["--attribute", ""],
        ["--strength", "1.0"],
        ["--reference", "models/reference"],
        ["--ground", "black"],
    ],
    ids=" ".join,
)
def test_a_wrong_option_is_one_line_and_nothing_is_written(
    exported: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, options: list[str]
) -> None:
    for name in ("out.png", "out.npz"):
        caplog.clear()
        assert generate(exported, tmp_path / name, *options) == 1
        (line,) = [record.getMessage() for record in caplog.records]
        assert line.startswith(f"{options[0]} {options[1]}: ")
        assert "\n" not in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [["--count", "1e3"], ["--seed", "NaN"], ["--count", "9" * 5000], ["--seed", ""]])
def test_what_is_no_number_is_refused_by_its_option(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        generate(exported, tmp_path / "out.npz", *options)
    assert ended.value.code == 2
    assert options[0] in capsys.readouterr().err


def test_of_an_unknown_category_the_nearest_is_named() -> None:
    with pytest.raises(InputError, match="did you mean dress"):
        recipe_labels(Recipe("", "Dresses", 1, 0), CATEGORIES)
    with pytest.raises(InputError, match="and 80 more"):
        recipe_labels(Recipe("", "hat", 1, 0), [f"category {n}" for n in range(100)])


@pytest.mark.parametrize("name", ["out.jpg", "out", "out.PNG.txt", ".png", "", "out.npz/"])
def test_a_target_of_an_unknown_kind_is_refused(
    exported: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    (tmp_path / "out.npz").mkdir()
    assert main(["generate", "--model", str(exported), f"{tmp_path}/{name}"]) == 1
    assert len(caplog.records) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]


def test_the_ending_of_a_target_may_be_in_capitals(exported: Path, tmp_path: Path) -> None:
    assert generate(exported, tmp_path / "OUT.PNG", "--count", "1") == 0
    assert generate(exported, tmp_path / "OUT.NPZ", "--count", "1") == 0
    assert len(arrays(tmp_path / "OUT.NPZ")[0]) == 1


def test_a_target_that_cannot_be_written_is_refused_before_anything_is_drawn(
    exported: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxGenerator, "pictures", lambda *_: pytest.fail("it was drawn"))
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder.npz").mkdir()
    for name in ("file/out.png", "file/deeper/out.npz", "folder.npz", "n" * 300 + ".npz", "n" * 300 + "/out.npz"):
        caplog.clear()
        assert generate(exported, tmp_path / name) == 1
        (line,) = [record.getMessage() for record in caplog.records]
        assert line.startswith(f"{tmp_path / name}: cannot be written")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.npz"]


def test_a_target_in_a_folder_that_may_not_be_written_to_is_refused(
    exported: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.os, "access", lambda *_: False)  # root may write anywhere
    assert generate(exported, tmp_path / "out.npz") == 1
    assert f"{tmp_path / 'out.npz'}: cannot be written" in caplog.text


def test_a_disk_that_fills_up_leaves_nothing_half_written(
    exported: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(file: IO[bytes], **_: object) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", fill)
    assert generate(exported, tmp_path / "out.npz") == 1
    assert f"{tmp_path / 'out.npz'}: cannot be written" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_a_missing_damaged_or_foreign_model_is_refused(
    exported: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert generate(tmp_path / "nowhere", tmp_path / "out.png") == 1
    assert f"{tmp_path / 'nowhere' / CARD_NAME}: no exported model here" in caplog.text

    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / CARD_NAME).write_bytes((exported / CARD_NAME).read_bytes())
    content = bytearray((exported / MODEL_NAME).read_bytes())
    content[-1] ^= 1
    (damaged / MODEL_NAME).write_bytes(content)
    assert generate(damaged, tmp_path / "out.png") == 1
    assert "SHA-256 differs" in caplog.text


def test_a_sheet_too_large_for_memory_is_refused_before_drawing(
    exported: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = read_card(exported)
    write_exported(tmp_path, {MODEL_NAME: tiny_onnx()}, replace(card, height=512, width=512))
    assert generate(tmp_path, tmp_path / "out.png", "--count", "2000") == 1
    assert "too many 512×512 pictures for one sheet" in caplog.text


def test_shares_decide_the_shape_of_a_sheet() -> None:
    def columns(category: str | None, count: int) -> int:
        return sheet_columns(recipe_labels(Recipe("", category, count, 0), CATEGORIES))

    assert columns(None, 12) == 4  # a row for each of three categories
    assert columns(None, 10) == 4  # shares differ: as square as can be
    assert columns(None, 300) == 18  # a row would be too wide
    assert columns("bag", 12) == 4
    assert columns("bag", 1) == 1


def test_contact_sheet_puts_pictures_in_rows() -> None:
    images = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    assert contact_sheet(images, 2)[..., 0].tolist() == [[0, 1], [2, 255]]
    assert contact_sheet(images, 2, gap_px=1, gap_value=9)[..., 0].tolist() == [[0, 9, 1], [9, 9, 9], [2, 9, 9]]
    assert enlarged(images[1], 2)[..., 0].tolist() == [[1, 1], [1, 1]]


def test_the_command_imports_no_torch(exported: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pipeline.__main__ import main; "
        f"status = main(['generate', '--model', {str(exported)!r}, {str(tmp_path / 'out.png')!r}]); "
        "sys.exit(status or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    assert (tmp_path / "out.png").exists()


def test_colour_and_pattern_have_options_of_their_own() -> None:
    options = parse(["generate", "--colour", "red", "--pattern", "dotted", "--attribute", "season=winter", "out.png"])
    assert options.attribute == ["colour=red", "pattern=dotted", "season=winter"]


def test_attributes_are_said_by_name_and_value() -> None:
    known = {"colour": ["blue", "red"], "season": ["winter"]}
    recipe = Recipe("0" * 64, None, 2, 0, ("colour=red", "season=winter"))
    attributes = recipe_attributes(recipe, known)
    assert attributes is not None
    assert attributes.tolist() == [[0, 1, 1]] * 2
    assert recipe_attributes(Recipe("0" * 64, None, 2, 0), known) is None
    with pytest.raises(InputError, match=r"--attribute colour=green: .*colour=blue, colour=red"):
        recipe_attributes(Recipe("0" * 64, None, 2, 0, ("colour=green",)), known)
    with pytest.raises(InputError, match="categories only"):
        recipe_attributes(recipe, {})
