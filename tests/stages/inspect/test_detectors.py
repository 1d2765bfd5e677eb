"""Detectors: letters on a garment, faces, clothing, and the distance to the categories."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from pipeline.imaging.faces import face_share, faces_of, with_faces_blurred
from pipeline.imaging.resizing import network_input
from pipeline.stages.curate.relevance import relevance_of
from pipeline.stages.curate.run import with_relevance
from pipeline.stages.inspect.clothing import CLOTHING_CLASSES, ClothingClassifier
from pipeline.stages.inspect.text_letters import count_text_letters
from tests.support.garments import draw_garment
from tests.support.off_topic import KINDS, draw_off_topic


def _written_over(image: Image.Image, words: str) -> Image.Image:
    marked = image.copy()
    font = ImageFont.load_default(size=image.width // 12)
    place = (image.width / 2, image.height / 2)
    ImageDraw.Draw(marked).text(place, words, font=font, anchor="mm", fill="white", stroke_width=1, stroke_fill="black")
    return marked


def test_letters_are_counted_on_a_watermark_and_not_on_a_garment() -> None:
    for seed in range(4):
        garment = draw_garment(seed, np.random.default_rng(seed), 384)
        plain, marked = (
            count_text_letters(image.convert("L")) for image in (garment, _written_over(garment, "WWW.SAMPLE.COM"))
        )
        assert plain < 8 < marked
    assert count_text_letters(Image.new("L", (2, 2))) == count_text_letters(Image.new("L", (400, 300), 90)) == 0


def _with_a_face(side_px: int) -> Image.Image:
    """A drawn face in the middle of plain paper."""
    face = Image.new("L", (400, 400), 70)
    draw = ImageDraw.Draw(face)
    draw.ellipse((60, 10, 340, 400), fill=190)
    draw.chord((60, 0, 340, 200), 180, 360, fill=50)
    for x in (130, 270):
        draw.ellipse((x - 45, 140, x + 45, 200), fill=120)
        draw.rectangle((x - 45, 128, x + 45, 144), fill=60)
        draw.ellipse((x - 32, 158, x + 32, 186), fill=215)
        draw.ellipse((x - 15, 157, x + 15, 187), fill=30)
    draw.polygon([(200, 170), (170, 265), (230, 265)], fill=215)
    draw.ellipse((172, 255, 228, 275), fill=130)
    draw.ellipse((145, 300, 255, 340), fill=95)
    paper = Image.new("RGB", (300, 400), (225, 225, 225))
    soft = face.filter(ImageFilter.GaussianBlur(6)).resize((side_px, side_px), Image.Resampling.BOX)
    paper.paste(soft.convert("RGB"), (100, 40))
    return paper


@pytest.mark.parametrize("side_px", [60, 150])
def test_face_is_detected_and_no_longer_after_blurring(side_px: int) -> None:
    portrait = _with_a_face(side_px)
    boxes = faces_of(portrait.convert("L"))
    assert len(boxes) == 1
    assert face_share(boxes) == pytest.approx(side_px / 400, abs=0.03)
    blurred = with_faces_blurred(portrait, boxes)
    assert faces_of(blurred.convert("L")) == []
    assert blurred.crop((0, 300, 300, 400)).tobytes() == portrait.crop((0, 300, 300, 400)).tobytes()
    assert (faces_of(Image.new("L", (300, 200), 128)), face_share([])) == ([], 0.0)


def test_clothing_classes_are_imagenets() -> None:
    from torchvision.models import EfficientNet_B0_Weights  # takes seconds

    names = EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"]
    assert {number: names[number] for number in CLOTHING_CLASSES} == CLOTHING_CLASSES


def test_photographs_of_garments_score_above_charts(photographs: list[Path]) -> None:
    classify = ClothingClassifier()
    garments = [classify(network_input(Image.open(file)))[0] for file in photographs[::5]]
    off_topic = [classify(network_input(image))[0] for kind in KINDS for image in draw_off_topic(kind, 1, 0)]
    assert np.median(garments) > 5 * np.median(off_topic)


def _clouds(rng: np.random.Generator) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """Three categories of forty pictures."""
    labels = np.repeat(np.arange(3), 40)
    centres = 5 * np.eye(3, 20)
    return (centres[labels] + rng.normal(0, 0.5, (120, 20)) + 1).astype(np.float16), labels


def test_outlier_is_irrelevant_and_mislabelled_picture_misplaced() -> None:
    features, labels = _clouds(np.random.default_rng(0))
    labels[0] = 2  # a picture of the first category among those of the third
    stranger = np.zeros((1, 20), np.float16)
    stranger[0, 10] = 6
    found = relevance_of(np.concatenate([features, stranger]), np.append(labels, -1))
    assert np.median(found.irrelevance[:-1]) == pytest.approx(1, abs=0.01)
    assert found.irrelevance[-1] > 1.5 * found.irrelevance[:-1].max()
    assert found.misplacement[0] > 0.3
    assert (found.misplacement[1:-1] < 0).all()
    assert np.isnan(found.misplacement[-1])


def _without_each(unit: NDArray[np.float64], labels: NDArray[np.int64], ridge: float) -> NDArray[np.float64]:
    """The scores (N, 3) of each of `unit` by a weighted ridge regression on all others, each fitted anew."""
    weights = 1 / (3 * np.bincount(labels)[labels])
    scores = []
    for left_out in range(len(unit)):
        others = np.delete(np.arange(len(unit)), left_out)
        own, shown, wanted = weights[others, None], unit[others], np.eye(3)[labels[others]]
        centre, mean = (own * shown).sum(0) / own.sum(), (own * wanted).sum(0) / own.sum()
        rows = shown - centre
        fitted = np.linalg.solve(rows.T @ (own * rows) + ridge * np.eye(unit.shape[1]), rows.T @ (own * (wanted - mean)))
        scores.append((unit[left_out] - centre) @ fitted + mean)
    return np.array(scores)


def test_misplacement_is_that_of_a_regression_on_all_other_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = _clouds(np.random.default_rng(0))
    features, labels = features[::8], labels[::8]
    monkeypatch.setattr("pipeline.stages.curate.relevance.MIN_PICTURES", 5)
    monkeypatch.setattr("pipeline.stages.curate.relevance.RIDGES", np.array([0.01]))
    found = relevance_of(features, labels).misplacement
    unit = features.astype(np.float64) / np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    weights = 1 / (3 * np.bincount(labels)[labels])
    ridge = 0.01 * float((weights[:, None] * (unit - weights @ unit) ** 2).sum(0).mean())
    scores = _without_each(unit, labels, ridge)
    mine = scores[np.arange(len(unit)), labels]
    scores[np.arange(len(unit)), labels] = -np.inf
    assert found == pytest.approx(scores.max(axis=1) - mine, abs=1e-4)


def test_mislabelled_outliers_stay_irrelevant() -> None:
    rng = np.random.default_rng(0)
    features, labels = _clouds(rng)
    kind = np.zeros((10, 20))
    kind[:, 10] = 6
    strangers = (kind + rng.normal(0, 0.1, kind.shape)).astype(np.float16)
    found = relevance_of(np.concatenate([features, strangers]), np.append(labels, np.arange(10) % 3))
    assert found.irrelevance[-10:].min() > 1.2 * found.irrelevance[:-10].max()


def test_pictures_without_features_have_no_relevance() -> None:
    features, labels = _clouds(np.random.default_rng(0))
    pictures = pd.DataFrame({"features": [row.tobytes() for row in features], "category": labels.astype(str)}).astype(object)
    pictures.loc[7, "features"] = None
    pictures.loc[8, "category"] = None
    rows = with_relevance(pictures)
    assert "features" not in rows
    assert np.flatnonzero(rows["irrelevance"].isna()).tolist() == [7]
    assert np.flatnonzero(rows["misplacement"].isna()).tolist() == [7, 8]


def test_relevance_is_nan_without_categories() -> None:
    features, labels = _clouds(np.random.default_rng(0))
    assert np.isnan(relevance_of(features, np.full_like(labels, -1)).irrelevance).all()
    one = relevance_of(features[:40], labels[:40])
    assert np.isfinite(one.irrelevance).all()
    assert np.isnan(one.misplacement).all()
