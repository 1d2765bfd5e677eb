"""Try-on on drawn people: what is in front, what is painted over, and the known failures of CP-VTON."""

import numpy as np
import pytest

from pipeline.tryon.compose import try_on
from pipeline.tryon.mannequins import PART, Pose
from pipeline.tryon.person import Person, person_of_figure, person_of_photograph
from pipeline.tryon.photographs import person_by_hand
from tests.support.drawn_people import BLUE, HAIR, SKIN, drawn_figure, drawn_garment, drawn_person, with_long_hair

RED = np.array((190, 40, 50))
CROSSED = Pose({"left": (18.0, -72.0), "right": (20.0, -66.0)})


def redness(picture: np.ndarray) -> np.ndarray:
    """(H, W) where the garment's colour is, in any light."""
    colour = picture.astype(float) / np.maximum(picture.sum(axis=-1, keepdims=True), 1)
    return np.abs(colour - RED / RED.sum()).sum(axis=-1) < 0.12


def blueness(picture: np.ndarray) -> np.ndarray:
    """(H, W) where the old clothes' colour is."""
    colour = picture.astype(float) / np.maximum(picture.sum(axis=-1, keepdims=True), 1)
    return np.abs(colour - np.array(BLUE) / sum(BLUE)).sum(axis=-1) < 0.15


@pytest.fixture(scope="module")
def standing() -> Person:
    return drawn_person(Pose())


@pytest.mark.parametrize("kind", ["top", "dress", "skirt", "trousers", "shorts", "outerwear"])
def test_every_kind_is_worn_where_it_belongs(standing: Person, kind: str) -> None:
    result = try_on(standing, drawn_garment(kind), kind)  # type: ignore[arg-type]
    red = redness(result.picture)
    rows = np.flatnonzero(red.any(axis=1))
    shoulder, hip, ankle = (standing.body.points[f"left_{joint}"][1] for joint in ("shoulder", "hip", "ankle"))
    if kind in ("top", "dress", "outerwear"):
        assert rows[0] == pytest.approx(shoulder, abs=30)
    else:
        assert shoulder + 60 < rows[0] < hip
    assert rows[-1] < ankle + 25
    assert red.sum() > 4000


def test_a_loose_fit_is_wider_than_a_tight_one(standing: Person) -> None:
    tight, loose = (try_on(standing, drawn_garment("top"), "top", fit=fit).cover.sum() for fit in ("tight", "loose"))
    assert loose > 1.05 * tight


def test_crossed_arms_are_in_front_of_a_garment_with_short_sleeves() -> None:
    figure = drawn_figure(CROSSED)
    result = try_on(person_of_figure(figure), drawn_garment("top"), "top")
    hands = (figure.parts == PART["left_hand"]) | (figure.parts == PART["right_hand"])
    assert redness(result.picture)[hands].mean() < 0.1
    assert (result.cover[hands] > 0.5).mean() > 0.3  # the garment is there, behind them


def test_an_arm_behind_the_trunk_stays_behind_the_garment() -> None:
    pose = Pose({"left": (14.0, -30.0), "right": (14.0, 8.0)}, arms_behind=frozenset({"left"}))
    figure = drawn_figure(pose)
    result = try_on(person_of_figure(figure, pose.arms_behind), drawn_garment("top"), "top")
    in_front = drawn_figure(Pose(pose.arms))
    covered = (in_front.parts == PART["left_arm"]) & (figure.parts == PART["torso"]) & (result.cover > 0.9)
    assert redness(result.picture)[covered].mean() > 0.8


def test_long_sleeves_of_the_photograph_give_way_to_skin() -> None:
    person = drawn_person(Pose(), "long sleeves")
    result = try_on(person, drawn_garment("top"), "top")
    below = person.body.points["left_elbow"] + [0, 12]
    column, row = below.round().astype(int)
    assert np.abs(result.picture[row, column].astype(int) - person.picture[row, column]).max() > 40
    assert blueness(result.picture).sum() < 0.2 * blueness(person.picture).sum()


def test_trousers_of_the_photograph_give_way_to_skin_below_a_skirt() -> None:
    person = drawn_person(Pose(), "trousers")
    result = try_on(person, drawn_garment("skirt"), "skirt")
    assert blueness(result.picture).sum() < 0.15 * blueness(person.picture).sum()


def test_hair_over_the_shoulder_is_in_front() -> None:
    figure = drawn_figure(Pose())
    picture = with_long_hair(figure)
    hair = np.abs(picture.astype(int) - HAIR).max(axis=-1) < 4
    person = person_of_photograph(picture, figure.body, ((figure.parts > 0) | hair).astype(np.float32))
    result = try_on(person, drawn_garment("top"), "top")
    lock = hair & (result.cover > 0.9)
    assert lock.sum() > 100
    assert redness(result.picture)[lock].mean() < 0.2


@pytest.mark.parametrize("yaw", [20.0, 40.0])
def test_a_three_quarter_view_gives_a_narrower_garment(standing: Person, yaw: float) -> None:
    turned = try_on(drawn_person(Pose(yaw=yaw)), drawn_garment("top"), "top")
    straight = try_on(standing, drawn_garment("top"), "top")
    assert turned.cover.sum() < straight.cover.sum()
    assert all(layer.warp.least_jacobian > 0 for layer in turned.layers)


def test_cut_off_legs_are_dressed_as_far_as_the_picture_goes() -> None:
    figure = drawn_figure(Pose())
    picture = figure.picture[:360]
    person = person_of_photograph(picture, figure.body, (figure.parts[:360] > 0).astype(np.float32))
    result = try_on(person, drawn_garment("trousers"), "trousers")
    assert redness(result.picture)[340:].any()


def test_anchors_by_hand_give_nearly_the_same_as_known_ones() -> None:
    figure = drawn_figure(Pose(), "long sleeves")
    anchors = {
        name: figure.body.points[name]
        for name in figure.body.points
        if name.split("_")[-1] in ("shoulder", "wrist", "hip", "ankle")
    }
    by_hand = try_on(person_by_hand(figure.picture, anchors), drawn_garment("top"), "top").cover > 0.5
    known = try_on(person_of_figure(figure), drawn_garment("top"), "top").cover > 0.5
    assert (by_hand & known).sum() / (by_hand | known).sum() > 0.75


def test_the_same_input_gives_the_same_bytes(standing: Person) -> None:
    first, second = (try_on(standing, drawn_garment("dress"), "dress").picture for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_the_neck_shows_in_the_opening(standing: Person) -> None:
    result = try_on(standing, drawn_garment("top"), "top")
    column, row = standing.body.points["neck"].round().astype(int)
    shown = result.picture[row - 12, column].astype(float)
    assert np.abs(shown / shown.sum() - np.array(SKIN) / sum(SKIN)).sum() < 0.12
