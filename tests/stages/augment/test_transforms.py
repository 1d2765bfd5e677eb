"""Pictures in the training frame and their random changes."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.stages.augment.changes import apply_changes
from pipeline.stages.augment.params import AugmentParams
from pipeline.stages.augment.transforms import (
    Change,
    Frame,
    changes_pixels,
    fill_colour,
    fit_to_frame,
    pixels_of,
    random_change,
)
from tests.support.garments import small_garment


def _frame(**changes: Any) -> Frame:
    plain: dict[str, Any] = {
        "width": 32,
        "height": 32,
        "fit": "pad",
        "resize_filter": "lanczos",
        "upscale": False,
        "pad_value": 0,
    }
    return Frame(**(plain | changes))


def test_small_picture_is_padded_and_otherwise_unchanged() -> None:
    image = small_garment(side_px=28).convert("L")
    pixels = np.asarray(fit_to_frame(image, _frame()))
    assert np.array_equal(pixels[2:30, 2:30], np.asarray(image))
    assert pixels[:2].max() == pixels[30:].max() == pixels[:, :2].max() == pixels[:, 30:].max() == 0


@pytest.mark.parametrize(
    ("size", "fit", "upscale", "covered"),
    [
        ((64, 32), "pad", False, (32, 16)),
        ((64, 32), "crop", False, (32, 32)),
        ((64, 32), "stretch", False, (32, 32)),
        ((16, 8), "pad", False, (16, 8)),
        ((16, 8), "pad", True, (32, 16)),
        ((16, 8), "crop", True, (32, 32)),
        ((16, 8), "crop", False, (16, 8)),
        ((16, 64), "stretch", False, (16, 32)),
        ((1000, 1), "pad", False, (32, 1)),
    ],
)
def test_each_fit_covers_its_part_of_the_frame(
    size: tuple[int, int], fit: str, upscale: bool, covered: tuple[int, int]
) -> None:
    white = fit_to_frame(Image.new("L", size, 255), _frame(fit=fit, upscale=upscale))
    box = white.getbbox()
    assert white.size == (32, 32)
    assert box is not None
    assert (box[2] - box[0], box[3] - box[1]) == covered
    assert abs(box[0] - (32 - box[2])) <= 1  # in the middle
    assert abs(box[1] - (32 - box[3])) <= 1


def test_shrinking_is_antialiased() -> None:
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (256, 128)))
    for name in ("box", "bilinear", "bicubic", "lanczos"):
        inside = np.asarray(fit_to_frame(stripes, _frame(resize_filter=name)))[2:-2, 2:-2]
        assert np.abs(inside.astype(int) - 127).max() <= 2


def test_pad_value_edge_uses_the_borders_median() -> None:
    image = Image.new("RGB", (20, 40), (200, 180, 160))
    image.paste((0, 0, 0), (5, 5, 15, 40))  # reaches the lower border
    assert fill_colour(image, "edge") == (200, 180, 160)
    assert fit_to_frame(image, _frame(pad_value="edge")).getpixel((0, 16)) == (200, 180, 160)
    assert fit_to_frame(image, _frame(pad_value=9)).getpixel((0, 16)) == (9, 9, 9)
    assert fill_colour(Image.new("L", (4, 4), 77), "edge") == 77


def test_pixels_of_have_the_requested_channels() -> None:
    assert pixels_of(small_garment(), 1).shape == (64, 64, 1)
    assert pixels_of(small_garment().convert("L"), 3).shape == (64, 64, 3)


def test_a_cut_out_on_a_transparent_ground_keeps_alpha_and_its_colour_goes_on() -> None:
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((200, 90, 30, 255), (16, 16, 48, 48))
    transparent = _frame(ground="transparent")
    [whole, moved] = [fit_to_frame(image, transparent), *apply_changes(image, transparent, [Change(degrees=30.0)])]
    for seen in (whole, moved):
        pixels = pixels_of(seen, 4)
        assert pixels.shape == (32, 32, 4)
        assert pixels[0, 0, 3] == 0
        assert pixels[16, 16].tolist() == [200, 90, 30, 255]
        difference = np.abs(pixels[..., :3].astype(int) - (200, 90, 30))
        assert (difference * pixels[..., 3:] / 255).max() <= 2  # as seen on any ground
        assert difference[pixels[..., 3] == 0].max() <= 30  # Pillow rounds colours before it divides them by a faint alpha
    assert pixels_of(whole, 2).shape == (32, 32, 2)
    opaque = pixels_of(fit_to_frame(small_garment(side_px=28).convert("RGBA"), transparent), 4)
    assert opaque[:2, :, 3].max() == 0  # the padding
    assert opaque[2:30, 2:30, 3].min() == 255


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
    [moved] = apply_changes(_dot(24, 16), _frame(), [Change(**change)])
    assert moved.size == (32, 32)
    assert _centre(moved) == pytest.approx(expected, abs=0.2)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(("width", "height"), [(28, 28), (64, 64), (96, 64), (28, 512), (512, 384)])
def test_white_picture_fills_frames_of_any_size(width: int, height: int, mode: str) -> None:
    everything: dict[str, Any] = {"degrees": 9.0, "scale": 1.1, "shift_x": 0.05, "mirrored": True, "contrast": 1.1, "hue": 0.05}
    frame = _frame(width=width, height=height, fit="crop", upscale=True, pad_value="edge")
    still, moved = apply_changes(
        Image.new(mode, (40, 30), "white"),
        frame,
        [Change(), Change(**everything)],
    )
    for image in (still, moved):
        assert (image.size, image.mode) == ((width, height), mode)
        assert np.asarray(image).min() > 250


def test_full_rotation_keeps_the_picture_nearly_unchanged() -> None:
    image = small_garment(side_px=64)
    [turned] = apply_changes(image, _frame(), [Change(degrees=360.0)])
    assert np.abs(pixels_of(turned, 3).astype(int) - pixels_of(fit_to_frame(image, _frame()), 3)).mean() < 3


def test_colour_changes_leave_margins_unchanged() -> None:
    image = Image.new("RGB", (16, 32), (100, 50, 50))
    changes = [Change(brightness=0.5), Change(saturation=0.5)]
    darker, paler = apply_changes(image, _frame(pad_value=200), changes)
    assert darker.getpixel((16, 16)) == (50, 25, 25)
    assert paler.getpixel((16, 16)) == pytest.approx(((100 + 65) / 2, (50 + 65) / 2, (50 + 65) / 2), abs=1)
    assert darker.getpixel((0, 0)) == paler.getpixel((0, 0)) == (200, 200, 200)
    [grey] = apply_changes(image.convert("L"), _frame(), changes[1:])
    assert grey.getpixel((16, 16)) == 65
    halves = Image.new("RGB", (32, 32), (200, 0, 0))
    halves.paste((0, 0, 0), (0, 0, 32, 16))
    changes = [Change(contrast=0.0), Change(hue=1 / 3)]
    flat, green = apply_changes(halves, _frame(), changes)
    assert flat.getpixel((16, 8)) == flat.getpixel((16, 24)) == (30, 30, 30)  # the mean of the luma
    assert green.getpixel((16, 24)) == pytest.approx((0, 200, 0), abs=8)


def test_random_changes_cover_exactly_their_limits() -> None:
    params = AugmentParams(
        rotate_degrees=10,
        min_scale=0.8,
        max_scale=1.25,
        translate=0.1,
        crop=0.0,
        brightness=0.2,
        saturation=0.3,
        contrast=0.4,
        hue=0.1,
    )
    rng = np.random.default_rng(0)
    drawn = [random_change(params, True, rng) for _ in range(2000)]
    for name, low, high in [
        ("degrees", -10, 10),
        ("scale", 0.8, 1.25),
        ("shift_x", -0.1, 0.1),
        ("shift_y", -0.1, 0.1),
        ("brightness", 0.8, 1.2),
        ("saturation", 0.7, 1.3),
        ("contrast", 0.6, 1.4),
        ("hue", -0.1, 0.1),
    ]:
        values = [getattr(change, name) for change in drawn]
        assert low <= min(values) < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < max(values) <= high
    assert 0.45 < np.mean([change.mirrored for change in drawn]) < 0.55
    assert np.median([change.scale for change in drawn]) == pytest.approx(1, abs=0.02)  # as often smaller as larger


def test_crop_shows_no_margin() -> None:
    params = AugmentParams(crop=0.4)
    rng = np.random.default_rng(0)
    changes = [random_change(params, False, rng) for _ in range(50)]
    assert max(change.scale for change in changes) == pytest.approx(1 / 0.6, rel=0.03)
    for image in apply_changes(Image.new("L", (32, 32), 255), _frame(), changes):
        assert np.asarray(image).min() > 250


def test_zero_limits_give_the_identity() -> None:
    assert not changes_pixels(AugmentParams())
    assert changes_pixels(AugmentParams(hue=0.1))
    assert random_change(AugmentParams(), False, np.random.default_rng(0)) == Change()
