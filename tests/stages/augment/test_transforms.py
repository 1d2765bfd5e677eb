"""Pictures in the training frame."""

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from pipeline.stages.augment.changes import Change, Placement, apply_changes
from pipeline.stages.augment.transforms import Frame, fill_colour, fit_to_frame, pixels_of
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
    alpha = Image.new("L", (64, 64), 0)
    alpha.paste(255, (16, 16, 48, 48))
    image = Image.new("RGB", (64, 64), (200, 90, 30))
    image.putalpha(alpha.filter(ImageFilter.GaussianBlur(2)))
    transparent = _frame(ground="transparent")
    [whole, moved] = [fit_to_frame(image, transparent), *apply_changes(image, transparent, [Change(Placement(degrees=30.0))])]
    for seen in (whole, moved):
        pixels = pixels_of(seen, 4)
        assert pixels.shape == (32, 32, 4)
        assert pixels[0, 0, 3] == 0
        assert pixels[16, 16].tolist() == [200, 90, 30, 255]
        difference = np.abs(pixels[..., :3].astype(int) - (200, 90, 30))
        assert (difference * pixels[..., 3:] / 255).max() <= 4  # as seen on any ground
        assert difference[pixels[..., 3] == 0].max() <= 30  # Pillow rounds colours before it divides them by a faint alpha
    assert pixels_of(whole, 2).shape == (32, 32, 2)
    opaque = pixels_of(fit_to_frame(small_garment(side_px=28).convert("RGBA"), transparent), 4)
    assert opaque[:2, :, 3].max() == 0  # the padding
    assert opaque[2:30, 2:30, 3].min() == 255
