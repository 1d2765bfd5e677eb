"""Thin-plate splines: closed forms, and that nothing folds."""

import numpy as np
import pytest

from pipeline.imaging.garment_anchors import find_anchors
from pipeline.imaging.garment_kinds import KINDS, Kind
from pipeline.tryon.fitting import LONGEST_TOP, placed_parts
from pipeline.tryon.mannequins import Measures, Pose, mannequin_body
from pipeline.tryon.warp import jacobians, part_warp, similarity, thin_plate_spline
from tests.support.drawn_people import drawn_garment

SQUARE = np.array([[0, 0], [100, 0], [100, 100], [0, 100], [50, 50]], float)


def test_a_soft_spline_passes_through_its_points() -> None:
    target = SQUARE + np.random.default_rng(0).normal(0, 5, SQUARE.shape)
    assert thin_plate_spline(SQUARE, target, 0.0)(SQUARE) == pytest.approx(target, abs=1e-6)


def test_a_spline_of_an_affine_map_is_that_map() -> None:
    matrix, shift = np.array([[1.2, -0.3], [0.1, 0.8]]), np.array([7.0, -3.0])
    spline = thin_plate_spline(SQUARE, SQUARE @ matrix + shift, 0.1)
    elsewhere = np.array([[20.0, 70.0], [130.0, -40.0]])
    assert spline(elsewhere) == pytest.approx(elsewhere @ matrix + shift, abs=1e-6)


def test_a_similarity_is_found_exactly_and_never_mirrors() -> None:
    turn = 0.7 * np.array([[np.cos(0.4), np.sin(0.4)], [-np.sin(0.4), np.cos(0.4)]])
    assert similarity(SQUARE, SQUARE @ turn + 5)(SQUARE) == pytest.approx(SQUARE @ turn + 5, abs=1e-9)
    mirrored = similarity(SQUARE, SQUARE * [-1, 1])
    grid = np.stack(np.meshgrid(np.arange(5.0), np.arange(5.0)), axis=-1)
    assert jacobians(mirrored(grid)).min() >= 0


def test_the_signed_area_of_a_fold_is_negative() -> None:
    grid = np.stack(np.meshgrid([0.0, 1.0, 0.5], [0.0, 1.0]), axis=-1)
    assert jacobians(grid)[0, 0].min() > 0
    assert jacobians(grid)[0, 1].max() < 0


def test_points_that_would_fold_the_garment_get_a_stiffer_spline() -> None:
    crossed = SQUARE.copy()
    crossed[[0, 1]] = crossed[[1, 0]]
    warp = part_warp(SQUARE, crossed, SQUARE[:4], SQUARE[:4])
    assert warp.stiffness > 1e-4
    assert warp.least_jacobian > 0


@pytest.mark.parametrize("kind", KINDS)
def test_no_garment_folds_in_random_poses(kind: Kind) -> None:
    rng = np.random.default_rng(3)
    anchors = find_anchors(drawn_garment(kind), kind)
    for _ in range(6):
        upper, fore = rng.uniform(5, 120), rng.uniform(-110, 150)
        thigh, shin = rng.uniform(0, 30), rng.uniform(-20, 20)
        pose = Pose(
            dict.fromkeys(("left", "right"), (upper, fore)),
            dict.fromkeys(("left", "right"), (thigh, shin)),
            rng.uniform(-10, 10),
        )
        for part in placed_parts(anchors, mannequin_body(Measures(), pose)):
            assert part_warp(part.source, part.target, part.source_outline, part.target_outline).least_jacobian > 0


@pytest.mark.parametrize("kind", ["top", "outerwear"])
def test_a_narrow_top_ends_at_the_thigh_and_a_coat_where_its_proportions_say(kind: Kind) -> None:
    garment = np.zeros((300, 300, 4), np.uint8)
    garment[20:290, 120:180] = 255  # hung in folds: four and a half times as long as wide
    body = mannequin_body(Measures(), Pose())
    trunk, *_ = placed_parts(find_anchors(garment, kind), body)
    hem = max(body.level_of(point) for point in trunk.target)
    assert (hem <= LONGEST_TOP + 0.01) == (kind == "top")
