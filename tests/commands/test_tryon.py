"""`python -m pipeline tryon`: the picture it writes, and one line for each mistake."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.__main__ import main
from pipeline.tryon.body import ANCHORS
from pipeline.tryon.learning import LearningPair
from pipeline.tryon.mannequins import Pose
from tests.support.drawn_people import drawn_figure, drawn_garment
from tests.support.worn_pairs import worn_pairs, worn_skirt


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a person, a garment and the person's anchors."""
    figure = drawn_figure(Pose())
    Image.fromarray(figure.picture).save(tmp_path / "person.png")
    Image.fromarray(drawn_garment("skirt")).save(tmp_path / "skirt.png")
    anchors = {name: figure.body.points[name].tolist() for name in ANCHORS}
    (tmp_path / "joints.json").write_text(json.dumps(anchors), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_skirt_is_written_onto_a_person_and_marked(files: Path) -> None:
    wish = ["tryon", "person.png", "skirt.png", "--kind", "skirt", "--anchors", "joints.json", "--out", "worn.png"]
    assert main(wish) == 0
    worn = Image.open(files / "worn.png")
    assert json.loads(worn.text["recipe"]) == {"tryon": {"fit": "regular", "kind": "skirt"}}  # type: ignore[attr-defined]
    before = np.asarray(Image.open(files / "person.png"), np.int16)
    changed = np.abs(np.asarray(worn, np.int16) - before).max(axis=-1) > 20
    assert changed[:150].sum() == 0
    assert changed[250:400].sum() > 3000


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a photograph of a person and a picture of a garment"),
        (["person.png", "skirt.png", "--models", "."], "selfie_segmentation.tflite: is missing"),
        (["gone.png", "skirt.png", "--anchors", "joints.json"], "gone.png: cannot be read"),
        (["joints.json", "skirt.png", "--anchors", "joints.json"], "joints.json: is no picture"),
        (["person.png", "skirt.png", "--anchors", "person.png"], "person.png: is no file of anchors"),
        (["--fetch-models", "--models", "networks", "--archives", "."], "is missing; make it with `npm pack"),
        (["--learn", "pairs.csv", "person.png", "skirt.png"], "garment: has no effect with --learn"),
        (["--learn", "pairs.csv", "--fit", "loose", "--warp", "gone"], "--fit: has no effect with --learn"),
        (["--fetch-models", "--learn", "pairs.csv"], "--learn: has no effect with --fetch-models"),
        (["person.png", "skirt.png", "--archives", "."], "--archives: has no effect; leave it out"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], said: str, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["tryon", *arguments]) == 1
    assert said in caplog.text
    assert "Traceback" not in caplog.text


def test_an_unknown_joint_is_named(files: Path, caplog: pytest.LogCaptureFixture) -> None:
    (files / "joints.json").write_text('{"nose": [1, 2]}', encoding="utf-8")
    assert main(["tryon", "person.png", "skirt.png", "--anchors", "joints.json"]) == 1
    assert "joints.json: nose: is no joint" in caplog.text


def listed(*rows: str) -> None:
    """A file of pairs."""
    Path("pairs.csv").write_text("\n".join(["garment,person,kind,anchors", *rows]), encoding="utf-8")


@pytest.mark.usefixtures("files")
def test_pairs_that_cannot_be_used_are_rows_with_a_reason(caplog: pytest.LogCaptureFixture) -> None:
    listed(
        "skirt.png,person.png,skirt,joints.json",
        "skirt.png,gone.png,skirt,joints.json",
        "joints.json,person.png,skirt,joints.json",
        "skirt.png,person.png,robe,joints.json",
        "skirt.png,person.png,skirt,skirt.png",
    )
    assert main(["tryon", "--learn", "pairs.csv"]) == 1
    for line, said in (
        (3, "gone.png: cannot be read"),
        (4, "joints.json: is no picture"),
        (5, "kind 'robe': is none; known are top"),
        (6, "skirt.png: is no file of anchors"),
    ):
        assert f"pairs.csv: line {line}: left out: {said}" in caplog.text
    assert "line 2" not in caplog.text
    assert "1 of 5 pairs can be used; at least 20 of a kind, of 5 garments" in caplog.text
    assert not Path("warp.safetensors").exists()


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["skirt.png,,skirt,"], "pairs.csv: line 2: person: is empty"),
        (["skirt.png,person.png,skirt,,more"], "pairs.csv: line 2: 5 fields"),
        (["skirt.png,person.png,skirt,"], "selfie_segmentation.tflite: is missing"),
    ],
)
def test_a_wrong_file_of_pairs_is_one_line(rows: list[str], said: str, caplog: pytest.LogCaptureFixture) -> None:
    listed(*rows)
    assert main(["tryon", "--learn", "pairs.csv", "--models", "."]) == 1
    assert said in caplog.text
    assert "Traceback" not in caplog.text


def learn_from(pairs: list[LearningPair], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit status of --learn with these pairs, which are known already."""
    listed(*["skirt.png,person.png,skirt,joints.json"] * len(pairs))
    known = iter(pairs)
    monkeypatch.setattr("pipeline.commands.tryon.learning_pair", lambda *_: next(known))
    return main(["tryon", "--learn", "pairs.csv"])


def test_a_warp_that_is_better_is_written_used_and_named(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert learn_from(worn_pairs(worn_skirt(), 0.2, 0.0, 20), monkeypatch) == 0
    printed = capsys.readouterr().out
    assert "skirt, 20 pairs: landmark error" in printed
    assert "warp.safetensors: corrects skirt" in printed
    assert [path.name for path in files.glob("*warp*")] == ["warp.safetensors"]
    wish = ["tryon", "person.png", "skirt.png", "--kind", "skirt", "--anchors", "joints.json"]
    assert main([*wish, "--out", "plain.png"]) == 0
    assert main([*wish, "--warp", "warp.safetensors", "--out", "lower.png"]) == 0
    worn = Image.open(files / "lower.png")
    digest = hashlib.sha256((files / "warp.safetensors").read_bytes()).hexdigest()
    assert json.loads(worn.text["recipe"])["tryon"]["warp_sha256"] == digest  # type: ignore[attr-defined]
    plain, lower = (np.asarray(Image.open(files / name), np.int16) for name in ("plain.png", "lower.png"))
    changed = np.flatnonzero((np.abs(plain - lower).max(axis=-1) > 40).any(axis=1))
    assert len(changed) > 20


def test_a_warp_that_is_not_better_is_not_written(
    files: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert learn_from(worn_pairs(worn_skirt(), 0.0, 0.0, 20), monkeypatch) == 1
    assert "no warp is written" in caplog.text
    assert "skirt, 20 pairs: landmark error" in caplog.text
    assert not list(files.glob("*warp*"))


def test_learning_that_is_stopped_leaves_nothing(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(path: Path, _: object) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.commands.tryon.write_warp", half)
    assert learn_from(worn_pairs(worn_skirt(), 0.2, 0.0, 20), monkeypatch) == 130
    assert not list(files.glob("*warp*"))
    assert not list(files.glob(".*warp*"))


@pytest.mark.usefixtures("files")
def test_a_file_that_is_no_warp_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    wish = ["tryon", "person.png", "skirt.png", "--kind", "skirt", "--anchors", "joints.json", "--warp", "joints.json"]
    assert main(wish) == 1
    assert "joints.json: is no warp of try-on" in caplog.text
