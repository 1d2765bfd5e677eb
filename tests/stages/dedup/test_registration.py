"""Registration of sketches."""

import io

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

from pipeline.imaging.sketches import sketch
from pipeline.stages.dedup.registration import Sketches, composed, inverse, register
from tests.support.garments import saved_as


def test_fit_recovers_a_translation() -> None:
    large = np.random.default_rng(1).normal(size=(160, 160))
    large = scipy.ndimage.gaussian_filter(large, 3)
    large = (255 * (large - large.min()) / np.ptp(large)).astype(np.uint8)
    moved = [large[40:104, 40:104], large[37:101, 43:107], large[90:154, 90:154]]  # 3 px up and right; another place
    guess = np.eye(2, 3, dtype=np.float32)[None, None].repeat(2, axis=0)
    fit = register(Sketches(np.stack(moved)), np.array([0, 0]), np.array([1, 2]), guess)
    assert fit.maps[0] == pytest.approx(np.array([[1, 0, -6 / 64], [0, 1, 6 / 64]]), abs=0.01)
    assert fit.agreement[0] > 0.95
    assert fit.agreement[1] < 0.7
    there_and_back = composed(inverse(fit.maps), fit.maps)
    assert there_and_back == pytest.approx(np.eye(2, 3)[None].repeat(2, axis=0), abs=1e-4)


def test_identical_sketches_agree_by_one_at_most() -> None:
    noise = np.random.default_rng(0).normal(size=(40, 64, 64))
    smooth = scipy.ndimage.gaussian_filter(noise, (0, 3, 3))
    sketches = Sketches(np.clip(128 + 400 * smooth, 0, 255).astype(np.uint8))
    same = np.arange(40)
    fit = register(sketches, same, same, np.eye(2, 3, dtype=np.float32)[None, None].repeat(40, axis=0))
    assert fit.agreement.min() > 0.999
    assert fit.agreement.max() <= 1


def test_noise_is_given_up_at_the_coarse_size() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 64, 64), dtype=np.uint8)
    fit = register(Sketches(noise), np.array([0]), np.array([1]), np.eye(2, 3, dtype=np.float32)[None, None])
    assert (fit.agreement[0], fit.texture[0]) == (-1, -1)


def _plain_garment(seed: int) -> Image.Image:
    """Always the same outline; the folds are those of `seed`."""
    folds = scipy.ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(256, 256)), 4)
    y, x = np.mgrid[:256, :256] / 256
    shirt = ((abs(x - 0.5) < 0.22) & (y > 0.2) & (y < 0.85)) | ((abs(x - 0.5) < 0.4) & (y > 0.2) & (y < 0.4))
    return Image.fromarray(np.where(shirt, 90 + 5 * folds / folds.std(), 225).astype(np.uint8))


def test_texture_separates_plain_garments_of_equal_outline() -> None:
    one, stranger = _plain_garment(0), _plain_garment(1)
    edited = Image.open(io.BytesIO(saved_as(one.crop((5, 5, 251, 251)), "JPEG", quality=30)))
    sketches = Sketches(np.stack([sketch(picture) for picture in (one, stranger, edited)]))
    fit = register(sketches, np.array([0, 0]), np.array([1, 2]), np.eye(2, 3, dtype=np.float32)[None, None].repeat(2, axis=0))
    assert fit.agreement.min() > 0.8, "the outlines agree"
    assert fit.texture[0] < 0.55
    assert fit.texture[1] > 0.75
