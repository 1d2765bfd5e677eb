"""Mannequins: girths in closed form, and figures to measures."""

import numpy as np
import pytest

from pipeline.tryon.mannequins import (
    CHEST_DEPTH,
    FIGURE_SHARE,
    HEIGHT_PX,
    PART,
    Measures,
    Pose,
    draw_mannequin,
    half_girth_in_widths,
    half_width_of_girth,
    mannequin_body,
)


def test_the_girth_of_a_circle_is_two_pi_times_its_half_width() -> None:
    assert half_width_of_girth(2 * np.pi * 15, 1.0) == pytest.approx(15)
    assert half_girth_in_widths(1.0) == pytest.approx(np.pi / 2)


def test_a_girth_that_is_measured_on_the_ellipse_comes_back() -> None:
    half = half_width_of_girth(92.0, CHEST_DEPTH)
    angles = np.linspace(0, 2 * np.pi, 100_000)
    ellipse = half * np.stack([np.cos(angles), CHEST_DEPTH * np.sin(angles)], axis=-1)
    assert np.linalg.norm(np.diff(ellipse, axis=0), axis=1).sum() == pytest.approx(92.0, rel=1e-4)


def test_a_wider_chest_is_drawn_as_much_wider_as_the_girth() -> None:
    slim, broad = (mannequin_body(Measures(chest_cm=chest), Pose()) for chest in (80.0, 120.0))
    assert broad.widths.chest / slim.widths.chest == pytest.approx(1.5)


def test_the_figure_is_as_tall_as_the_picture_allows_and_its_parts_lie_where_they_belong() -> None:
    figure = draw_mannequin(Measures(), Pose())
    rows = np.flatnonzero((figure.parts > 0).any(axis=1))
    assert len(rows) == pytest.approx(FIGURE_SHARE * HEIGHT_PX, rel=0.04)
    for joint, part in (("head", "head"), ("left_elbow", "left_arm"), ("right_knee", "right_leg")):
        column, row = figure.body.points[joint].round().astype(int)
        assert figure.parts[row, column] == PART[part]


def test_an_arm_behind_the_trunk_is_covered_by_it() -> None:
    arms = {"left": (14.0, -30.0), "right": (14.0, 8.0)}
    before, behind = (
        draw_mannequin(Measures(), Pose(arms, arms_behind=sides)) for sides in (frozenset[str](), frozenset({"left"}))
    )
    covered = (before.parts == PART["left_arm"]) & (behind.parts == PART["torso"])
    assert covered.sum() > 50


def test_the_same_measures_give_the_same_pixels() -> None:
    assert (draw_mannequin(Measures(), Pose()).picture == draw_mannequin(Measures(), Pose()).picture).all()
