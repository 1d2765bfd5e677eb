"""Attributes asked for and met, by a generator that obeys and by one that does not listen."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.gan.checkpoints import GeneratorCard
from pipeline.gan.networks.parts import Generator
from pipeline.gan.sampling import generate_images
from pipeline.inference.latents import draw_latents
from pipeline.metrics.reference_set import RealImages, Reference, Split
from pipeline.stages.evaluate.asked_attributes import (
    HOW_MEASURED,
    AttributeMeasure,
    AttributeMeter,
    asked_sheets,
    asked_values,
    drawn_like_real,
    is_met,
    unmeasured_entries,
    with_other_value,
)
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.storage.garment_attributes import SEEN_ATTRIBUTES

SIDE = 32
RGB = {"blue": (30, 60, 150), "red": (190, 20, 35), "yellow": (245, 215, 40)}
ATTRIBUTES = {"season": ["summer", "winter"], "colour": list(RGB)}
CARD = GeneratorCard(
    "drawn", {}, ["dress", "hat"], SIDE, SIDE, 4, 8, 0, attributes=ATTRIBUTES, condition="attributes"
)  # fmt: skip
PARAMS = EvaluateParams(samples=40, repeats=2, attribute_samples=20, fd_counts=[], kid_subset_size=10)


class Painter(Generator):
    """Squares of the colour asked for, on no ground; or all blue, if it does not listen."""

    def __init__(self, *, listens: bool) -> None:
        super().__init__(truncation=1.0)
        self.listens = listens
        self.placed = nn.Parameter(torch.zeros(1))

    def forward(self, _latents: Tensor, labels: Tensor, attributes: Tensor | None = None) -> Tensor:
        palette = torch.tensor(list(RGB.values())).float() / 127.5 - 1
        colour = torch.zeros(len(labels), dtype=torch.long)
        if self.listens and attributes is not None:
            colour = attributes[:, 2:].argmax(dim=1)
        pictures = torch.full((len(labels), 4, SIDE, SIDE), -1.0)
        pictures[:, :3] = 0  # premultiplied
        pictures[:, :3, 4:28, 4:28] = palette[colour][:, :, None, None]
        pictures[:, 3, 4:28, 4:28] = 1
        return pictures


def scores_of(generator: Generator, valued: int = 40) -> dict[str, Any]:
    """The scores where so many of forty real pictures have a colour."""
    labels = np.arange(40, dtype=np.int64) % 2
    flags = np.zeros((40, 5), np.uint8)
    flags[np.arange(valued), 2 + np.arange(valued) % 3] = 1
    asked = [drawn_like_real(labels, labels, flags, seed) for seed in (0, 1)]
    drawn = [generate_images(generator, draw_latents(n, 40, 8), labels, attributes=one) for n, one in enumerate(asked)]
    real_images = generate_images(Painter(listens=True), draw_latents(0, 40, 8), labels, attributes=flags.astype(np.float32))
    split = Split("reference_test", real_images, labels, "0" * 64, "white")

    def features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return images.mean(axis=(1, 2)).astype(np.float32)

    # A classifier that sees colours only: another colour is another category to it.
    known = SimpleNamespace(
        classifier_extractor=SimpleNamespace(name="classifier", features=features),
        classifier=SimpleNamespace(logits=lambda values: values),
    )
    meter = AttributeMeter(cast(Reference, known), CARD, "white", PARAMS)
    found = meter.scores(generator, labels, drawn, asked, RealImages(split, split), flags)
    return {score.name: score for score in found}


@pytest.mark.parametrize(("listens", "met", "kept"), [(True, 1.0, 0.0), (False, 1 / 3, 1.0)])
def test_scores_of_a_generator_that_obeys_and_of_one_that_does_not(listens: bool, met: float, kept: float) -> None:
    found = scores_of(Painter(listens=listens))
    assert set(found) == {"met_colour", "category_kept_classifier"}
    assert found["met_colour"].value == pytest.approx(met, abs=0.2)
    assert found["met_colour"].floor.value == 1.0
    assert found["category_kept_classifier"].value == pytest.approx(kept, abs=0.45)


def test_an_attribute_that_no_test_picture_has_gets_no_score() -> None:
    assert set(scores_of(Painter(listens=True), valued=0)) == {"category_kept_classifier"}


def test_values_are_read_from_the_columns_of_their_attribute() -> None:
    flags = np.array([[1, 0, 0, 1, 0], [0, 0, 0, 0, 0], [0, 1, 1, 1, 0]], np.float32)
    assert asked_values(flags, ATTRIBUTES, "season") == ["summer", None, "winter"]
    assert asked_values(flags, ATTRIBUTES, "colour") == ["red", None, None]


def test_what_was_not_asked_for_counts_neither_way() -> None:
    assert is_met(["red", "blue", None], ["red", None, "red"]).tolist() == [1, 0]


def test_another_value_changes_its_attribute_alone() -> None:
    flags = np.array([[1, 0, 0, 1, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]], np.float32)
    changed = with_other_value(flags, ATTRIBUTES, "colour", np.random.default_rng(0))
    np.testing.assert_array_equal(changed[:, :2], flags[:, :2])
    assert changed[:, 2:].sum(axis=1).tolist() == [1, 1, 1]
    assert (changed[:2, 2:] * flags[:2, 2:]).sum() == 0


def test_samples_ask_for_what_test_pictures_of_their_category_have() -> None:
    real = np.array([[1, 0], [0, 1]], np.uint8)
    rows = drawn_like_real(np.array([0, 1, 1, 2]), np.array([0, 1]), real, 0)
    assert rows.tolist() == [[1, 0], [0, 1], [0, 1], [0, 0]]


def test_a_sheet_has_a_row_for_each_category_and_a_column_for_each_value() -> None:
    sheet = asked_sheets(Painter(listens=True), CARD, 0)["colour"]
    assert sheet.shape[:2] == (2 * SIDE, 3 * SIDE)
    middle = sheet[SIDE // 2, SIDE // 2 :: SIDE, :3]
    assert np.abs(middle.astype(int) - list(RGB.values())).max() <= 1


def test_what_cannot_be_measured_is_absent_with_the_reason() -> None:
    through = replace(CARD, attributes={"pattern": ["plain"], "season": ["summer"]}, recipe={"projected": {"weight": 0.5}})
    entries = unmeasured_entries(through, [])
    assert "trained through efflite0" in entries["met_pattern"]["absent"]
    assert "nothing measures" in entries["met_season"]["absent"]
    coloured = replace(CARD, attributes={"colour": ["red"]})
    assert unmeasured_entries(coloured, ["met_colour"]) == {}
    assert "too few test pictures" in unmeasured_entries(coloured, ["fd_classifier"])["met_colour"]["absent"]
    assert "grey" in unmeasured_entries(replace(coloured, channels=2), [])["met_colour"]["absent"]


def test_every_attribute_says_how_it_is_measured() -> None:
    assert set(HOW_MEASURED) == set(SEEN_ATTRIBUTES)
    assert all(AttributeMeasure(name).passport_entry["name"] == name for name in SEEN_ATTRIBUTES)


def test_the_outline_of_a_picture_with_alpha_is_measured_as_its_category_says() -> None:
    card = replace(CARD, categories=["skirt", "hat"], attributes={"length": ["long", "short"], "season": ["summer"]})
    pictures = np.zeros((2, 64, 64, 4), np.uint8)
    cv2.fillConvexPoly(pictures[0], np.array([[26, 3], [38, 3], [46, 60], [18, 60]]), (90, 20, 20, 255))
    pictures[1] = pictures[0]
    meter = AttributeMeter(cast(Reference, None), card, None, PARAMS)
    assert meter.measured(pictures, np.array([0, 1])).to_dict("list") == {"length": ["long", None]}
