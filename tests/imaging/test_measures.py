"""Quality measures in closed form, and a measure added as CONTRIBUTING.md says."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline.imaging.measures import (
    MEASURES,
    MeasuredPicture,
    background_mask,
    brightness,
    colourfulness,
    contrast,
    cut_off,
    edge_colours,
    entropy_bits,
    laplacian_variance,
    level_quantile,
    levels,
    limits,
    second_piece,
    sharpness,
)
from pipeline.stages.curate.params import CurateParams
from tests.support.contributing import check_example
from tests.support.garments import saved_as, small_garment


def _measured(pixels: np.ndarray | Image.Image) -> MeasuredPicture:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels.astype(np.uint8))
    return MeasuredPicture(image, background_tolerance=12)


def test_laplacian_variance_of_a_chessboard_and_of_a_slope() -> None:
    board = (np.indices((16, 16)).sum(axis=0) % 2 * 10).astype(np.uint8)  # the Laplacian is ±40
    slope = np.tile(np.arange(16, dtype=np.uint8) * 3, (16, 1))
    assert laplacian_variance(board) == 1600
    assert laplacian_variance(slope) == 0
    assert laplacian_variance(board[:2]) == 0


def test_entropy_of_one_level_of_all_levels_and_of_three_to_one() -> None:
    assert entropy_bits(_measured(np.full((4, 4), 3))) == 0
    assert entropy_bits(_measured(np.arange(256).reshape(16, 16, 1).repeat(3, axis=2))) == pytest.approx(8)
    assert entropy_bits(_measured(np.array([[0, 0, 0, 255]]))) == pytest.approx(0.25 * 2 + 0.75 * math.log2(4 / 3))


def test_levels_is_high_for_a_slope_even_in_a_plain_frame_and_low_when_posterised() -> None:
    slope = Image.radial_gradient("L").resize((700, 500))
    posterised = saved_as(Image.eval(slope, lambda level: level // 17 * 17), "JPEG", quality=92)
    assert levels(_measured(slope)) > 0.9
    assert levels(_measured(ImageOps.expand(slope, 300, fill=200))) > 0.75
    assert levels(_measured(Image.open(io.BytesIO(posterised)))) < 0.5
    assert levels(_measured(np.zeros((1, 1)))) == 0


@pytest.mark.parametrize(("quantile", "level"), [(0.05, 0), (0.5, 0), (0.75, 51), (0.76, 255), (0.99, 255)])
def test_level_quantile_is_that_of_the_sorted_pixels(quantile: float, level: int) -> None:
    assert level_quantile(_measured(np.array([[0, 0, 51, 255]])).luma_counts, quantile) == level / 255


def test_colourfulness_is_zero_for_grey_and_known_for_one_colour() -> None:
    grey = np.arange(256).reshape(16, 16, 1).repeat(3, axis=2)
    red = np.zeros((4, 4, 3))
    red[..., 0] = 200
    assert colourfulness(_measured(grey)) == 0
    assert colourfulness(_measured(grey[..., 0])) == 0
    assert colourfulness(_measured(red)) == pytest.approx(0.3 * math.hypot(200, 100))


def test_background_mask_includes_the_tolerance() -> None:
    pixels = np.full((10, 10, 3), 240, np.uint8)
    pixels[2:7, 2:6] = 10
    pixels[8, 8] = 228  # just within
    pixels[8, 7] = 227
    assert background_mask(pixels, tolerance=12).mean() == pytest.approx((100 - 20 - 1) / 100)


def test_half_black_half_white_has_known_measures() -> None:
    half = np.zeros((100, 100))
    half[:, 50:] = 255
    measures = [measure(_measured(half)) for measure in (brightness, contrast, entropy_bits, colourfulness)]
    assert measures == pytest.approx([0.5, 0.5, 1, 0])


def test_sharpness_does_not_depend_on_size_but_on_blur() -> None:
    large = small_garment(side_px=1024)
    pictures = large, large.resize((512, 512), Image.Resampling.BOX), large.resize((64, 64)).resize((1024, 1024))
    sharp, shrunk, blurred = (sharpness(_measured(picture)) for picture in pictures)
    assert sharp == pytest.approx(shrunk, rel=0.05)
    assert blurred < sharp / 10


def test_cut_off_is_one_where_the_garment_reaches_the_edge() -> None:
    floor = np.random.default_rng(0).integers(90, 170, (80, 80, 3)).astype(np.uint8) // 32 * 32  # of many colours
    whole = floor.copy()
    whole[20:60, 20:60] = 240
    assert cut_off(_measured(whole)) == 0
    whole[:, 20:60] = 240
    assert cut_off(_measured(whole)) == 1
    assert edge_colours(whole[..., :1]).all()
    assert cut_off(_measured(np.zeros((1, 1)))) == 1


def test_second_piece_is_relative_to_the_largest_and_ignores_specks() -> None:
    background = np.ones((40, 40), dtype=bool)
    background[4:24, 4:14] = False
    assert second_piece(background) == 0
    background[4:14, 24:34] = False
    background[38, 38] = False  # a speck
    assert second_piece(background) == pytest.approx((9 * 9) / (19 * 9))


def test_keys_are_unique_reasons_belong_to_one_detector_and_every_limit_is_a_parameter() -> None:
    keys, measures, found = zip(*limits(), strict=True)
    assert len(set(keys)) == len(keys)
    detectors = {(limit.reason, measure.detector) for measure, limit in zip(measures, found, strict=True)}
    assert len(detectors) == len({limit.reason for limit in found})
    assert [getattr(CurateParams(), key) for key in keys] == [limit.default for limit in found]
    assert all(measure.meaning for measure in MEASURES.values())


PROBE = """
import io
import numpy, pandas
from PIL import Image
from pipeline.commands.params import as_markdown
from pipeline.commands.show import schemas_as_markdown
from pipeline.stages.curate.params import CurateParams
from pipeline.stages.curate.run import resolved_limits
from pipeline.stages.inspect.params import InspectParams
from pipeline.stages.inspect.run import measure_picture

content = io.BytesIO()
Image.fromarray(numpy.tile(numpy.arange(64, dtype=numpy.uint8), (64, 1))).save(content, "PNG")
row = measure_picture(content.getvalue(), InspectParams())
assert 0 < row["asymmetry"] < 1, row["asymmetry"]
found = resolved_limits(pandas.DataFrame([row]), CurateParams(max_asymmetry=0.0))
[limit] = [limit for limit in found if limit.reason == "lopsided"]
assert limit.beyond.tolist() == [True]
assert "| asymmetry | float |" in schemas_as_markdown()
assert "`max_asymmetry`" in as_markdown()
"""


def test_measure_of_the_contributing_guide_works_end_to_end(tmp_path: Path) -> None:
    check_example("@picture_measure", "pipeline/imaging/measures.py", PROBE, tmp_path)
