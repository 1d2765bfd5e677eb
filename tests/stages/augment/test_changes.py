"""The random changes of copies, and one added as CONTRIBUTING.md says."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.stages.augment.changes import (
    CHANGES,
    Change,
    Placement,
    apply_changes,
    brightness,
    changes_pixels,
    contrast,
    draw_change,
    hue,
    moves,
    saturation,
)
from pipeline.stages.augment.params import AugmentParams
from pipeline.stages.augment.transforms import Frame, fit_to_frame, pixels_of
from tests.support.contributing import check_example
from tests.support.garments import small_garment

FRAME = Frame(32, 32, "pad", "lanczos", upscale=False, pad_value=0)


def _params(**changes: Any) -> AugmentParams:
    return AugmentParams(**changes)


def _dot(x: int, y: int) -> Image.Image:
    image = Image.new("L", (32, 32), 0)
    image.paste(255, (x - 1, y - 1, x + 2, y + 2))
    return image


def _centre(image: Image.Image) -> tuple[float, float]:
    weights = np.asarray(image).astype(float)
    rows, columns = np.indices(weights.shape) + 0.5
    return float((columns * weights).sum() / weights.sum()), float((rows * weights).sum() / weights.sum())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, (24.5, 16.5)),
        ({"mirrored": True}, (7.5, 16.5)),
        ({"degrees": 90.0}, (16.5, 7.5)),  # counter-clockwise: from the right to the top
        ({"degrees": -90.0}, (15.5, 24.5)),
        ({"shift_x": -0.25}, (16.5, 16.5)),
        ({"shift_y": 0.25}, (24.5, 24.5)),
        ({"scale": 0.5}, (16 + 8.5 / 2, 16 + 0.5 / 2)),
        ({"mirrored": True, "shift_x": 0.25, "scale": 0.5}, (16 - 8.5 / 2 + 8, 16 + 0.5 / 2)),
    ],
)
def test_dot_moves_as_the_change_specifies(change: dict[str, Any], expected: tuple[float, float]) -> None:
    [moved] = apply_changes(_dot(24, 16), FRAME, [Change(Placement(**change))])
    assert moved.size == (32, 32)
    assert _centre(moved) == pytest.approx(expected, abs=0.2)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(("width", "height"), [(28, 28), (64, 64), (96, 64), (28, 512), (512, 384)])
def test_white_picture_fills_frames_of_any_size(width: int, height: int, mode: str) -> None:
    placement = Placement(degrees=9.0, scale=1.1, shift_x=0.05, mirrored=True)
    recolourings = (partial(contrast, number=0.9, contrast=0.1), partial(hue, number=0.9, hue=0.05))
    frame = Frame(width, height, "crop", "lanczos", upscale=True, pad_value="edge")
    still, moved = apply_changes(Image.new(mode, (40, 30), "white"), frame, [Change(), Change(placement, recolourings)])
    for image in (still, moved):
        assert (image.size, image.mode) == ((width, height), mode)
        assert np.asarray(image).min() > 250


def test_full_rotation_keeps_the_picture_nearly_unchanged() -> None:
    image = small_garment(side_px=64)
    [turned] = apply_changes(image, FRAME, [Change(Placement(degrees=360.0))])
    assert np.abs(pixels_of(turned, 3).astype(int) - pixels_of(fit_to_frame(image, FRAME), 3)).mean() < 3


def test_colour_changes_leave_margins_unchanged() -> None:
    image = Image.new("RGB", (16, 32), (100, 50, 50))
    half = [
        Change(recolourings=(partial(function, number=0.0, **{function.__name__: 0.5}),))
        for function in (brightness, saturation)
    ]
    darker, paler = apply_changes(image, replace(FRAME, pad_value=200), half)
    assert darker.getpixel((16, 16)) == (50, 25, 25)
    assert paler.getpixel((16, 16)) == pytest.approx(((100 + 65) / 2, (50 + 65) / 2, (50 + 65) / 2), abs=1)
    assert darker.getpixel((0, 0)) == paler.getpixel((0, 0)) == (200, 200, 200)


def test_contrast_and_hue_in_closed_form() -> None:
    halves = Image.new("RGB", (32, 32), (200, 0, 0))
    halves.paste((0, 0, 0), (0, 0, 32, 16))
    flat, green = contrast(halves, 0.0, contrast=1.0), hue(halves, 5 / 6, hue=0.5)
    assert flat.getpixel((16, 8)) == flat.getpixel((16, 24)) == (30, 30, 30)  # the mean of the luma
    assert green.getpixel((16, 24)) == pytest.approx((0, 200, 0), abs=8)


def test_saturation_and_hue_leave_grey_pictures_unchanged() -> None:
    grey = small_garment().convert("L")
    for changed in (saturation(grey, 0.9, saturation=1.0), hue(grey, 0.9, hue=0.5)):
        assert changed.tobytes() == grey.tobytes()


def test_only_the_garment_of_a_cut_out_is_recoloured() -> None:
    cut_out = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    cut_out.paste((100, 50, 50, 255), (8, 8, 24, 24))
    [darker] = apply_changes(
        cut_out,
        replace(FRAME, pad_value=200, ground="plain"),
        [Change(recolourings=(partial(brightness, number=0.0, brightness=0.5),))],
    )
    assert darker.getpixel((16, 16)) == (50, 25, 25)
    assert darker.getpixel((4, 4)) == (200, 200, 200)


def test_random_changes_cover_exactly_their_limits() -> None:
    params = _params(rotate_degrees=10, min_scale=0.8, max_scale=1.25, translate=0.1, flip_categories=["hat"])
    rng = np.random.default_rng(0)
    drawn = [draw_change(params, "hat", rng).placement for _ in range(2000)]
    for name, low, high in [("degrees", -10, 10), ("scale", 0.8, 1.25), ("shift_x", -0.1, 0.1), ("shift_y", -0.1, 0.1)]:
        values = [getattr(placement, name) for placement in drawn]
        assert low <= min(values) < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < max(values) <= high
    assert 0.45 < np.mean([placement.mirrored for placement in drawn]) < 0.55
    assert not any(draw_change(params, "shoe", rng).placement.mirrored for _ in range(50))
    assert np.median([placement.scale for placement in drawn]) == pytest.approx(1, abs=0.02)  # as often smaller as larger


@pytest.mark.parametrize(("number", "grey"), [(0.0, 50), (0.5, 100), (1.0, 150)])
def test_brightness_goes_from_the_limit_below_one_to_the_limit_above(number: float, grey: int) -> None:
    assert brightness(Image.new("L", (1, 1), 100), number, brightness=0.5).getpixel((0, 0)) == grey


def test_a_change_switched_on_leaves_the_others_as_they_are() -> None:
    alone = draw_change(_params(rotate_degrees=10.0), "hat", np.random.default_rng(0))
    all_on = _params(rotate_degrees=10.0, max_scale=1.5, flip_categories=["*"], contrast=0.5)
    with_others = draw_change(all_on, "hat", np.random.default_rng(0))
    assert alone.placement.degrees == with_others.placement.degrees != 0
    assert with_others.placement.scale != 1
    assert (len(alone.recolourings), len(with_others.recolourings)) == (0, 1)


def test_crop_shows_no_margin() -> None:
    params = _params(crop=0.4)
    rng = np.random.default_rng(0)
    changes = [draw_change(params, "hat", rng) for _ in range(50)]
    assert max(change.placement.scale for change in changes) == pytest.approx(1 / 0.6, rel=0.03)
    for image in apply_changes(Image.new("L", (32, 32), 255), FRAME, changes):
        assert np.asarray(image).min() > 250


def test_zero_limits_give_the_identity() -> None:
    assert not changes_pixels(_params())
    assert changes_pixels(_params(hue=0.1))
    assert draw_change(_params(), "hat", np.random.default_rng(0)) == Change()


def test_two_changes_cannot_use_one_random_number() -> None:
    before = dict(CHANGES)
    with pytest.raises(ValueError, match="another change uses the random number 3"):
        moves(12, 3)(lambda placement, _, __: placement)
    assert before == CHANGES


PROBE = """
import numpy
from PIL import Image
from pipeline.commands.params import as_markdown
from pipeline.stages.augment.changes import apply_changes, draw_change
from pipeline.stages.augment.params import AugmentParams
from pipeline.stages.augment.transforms import Frame

assert "| `gamma` | `1.0` | number ≥ 1 |" in as_markdown()
change = draw_change(AugmentParams(gamma=2.0), "dress", numpy.random.default_rng(0))
picture = Image.new("RGB", (16, 32), (128, 128, 128))
[copy] = apply_changes(picture, Frame(32, 32, "pad", "lanczos", upscale=False, pad_value=200), [change])
assert copy.getpixel((0, 16)) == (200, 200, 200)
assert copy.getpixel((16, 16)) != (128, 128, 128)
assert draw_change(AugmentParams(), "dress", numpy.random.default_rng(0)).recolourings == ()
"""


def test_change_of_the_contributing_guide_works_end_to_end(tmp_path: Path) -> None:
    check_example("@recolours", "pipeline/stages/augment/changes.py", PROBE, tmp_path)
