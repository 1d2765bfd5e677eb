"""Look-alikes of training images: copies, edits as in near-duplicates, and unrelated images with the same hash."""

import imagehash
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.imaging.neighbours import LookAlikeLimits
from pipeline.metrics import memorisation
from pipeline.metrics.memorisation import FINGERPRINT, find_closest, fingerprint

LIMITS = LookAlikeLimits(distance_bits=4, thumbnail_difference=0.1)


def _images(count: int, seed: int, channels: int = 3) -> NDArray[np.uint8]:
    """Smooth images that differ from each other."""
    small = np.random.default_rng(seed).integers(0, 256, (count, 5, 5, channels), dtype=np.uint8)
    large = [
        Image.fromarray(one[:, :, 0] if channels == 1 else one).resize((48, 40), Image.Resampling.BICUBIC) for one in small
    ]
    return np.stack([np.asarray(one).reshape(40, 48, channels) for one in large])


@pytest.mark.parametrize("channels", [1, 3])
def test_the_hash_is_imagehashs(channels: int) -> None:
    images = _images(5, 0, channels)
    expected = [str(imagehash.phash(Image.fromarray(one[:, :, 0] if channels == 1 else one))) for one in images]
    assert [f"{number:016x}" for number in fingerprint(images)["phash"]] == expected


def test_copies_and_brighter_copies_are_found_and_strangers_are_not() -> None:
    trained_on, strangers = _images(60, 1), _images(20, 2)
    brighter = np.clip(trained_on[[7, 41]] * 0.8 + 30, 0, 255).astype(np.uint8)
    samples = np.concatenate([trained_on[[3]], brighter, strangers])
    found = find_closest(fingerprint(samples), fingerprint(trained_on), LIMITS.distance_bits)
    np.testing.assert_array_equal(found.rows[:3], [3, 7, 41])
    np.testing.assert_array_equal(found.within(LIMITS), [True] * 3 + [False] * 20)
    assert (found.distance_bits[0], found.differences[0]) == (0, pytest.approx(0, abs=1e-3))


def test_of_equal_hashes_the_thumbnail_decides() -> None:
    rng = np.random.default_rng(3)
    others = np.zeros(30, FINGERPRINT)
    others["phash"] = 0b1111
    others["thumbnail"] = rng.integers(0, 256, (30, 16, 16))
    sample = others[[17]].copy()
    sample["phash"] = 0b0111  # a bit off from all of them
    found = find_closest(sample, others, 4)
    assert (found.rows[0], found.distance_bits[0]) == (17, 1)
    assert found.within(LIMITS)[0]
    sample["thumbnail"] = rng.integers(0, 256, (1, 16, 16))
    assert not find_closest(sample, others, 4).within(LIMITS)[0]


def test_find_closest_equals_a_loop_over_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    samples, others = np.zeros(23, FINGERPRINT), np.zeros(40, FINGERPRINT)
    for prints in (samples, others):
        prints["phash"] = rng.integers(0, 1 << 14, len(prints), dtype=np.uint64)
        prints["thumbnail"] = rng.integers(0, 256, (len(prints), 16, 16))
    monkeypatch.setattr(memorisation, "BATCH", 7)
    found = find_closest(samples, others, 3)
    bits = np.bitwise_count(samples["phash"][:, None] ^ others["phash"][None])
    flat = np.concatenate([prints["thumbnail"].reshape(len(prints), -1) for prints in (samples, others)]).astype(np.float64)
    differences = np.sqrt(np.maximum(2 - 2 * np.corrcoef(flat), 0))[: len(samples), len(samples) :]
    near = np.where(bits <= 3, differences, np.inf)
    known = np.isfinite(near).any(axis=1)
    assert 5 < known.sum() < 23
    np.testing.assert_array_equal(found.rows[known], near.argmin(axis=1)[known])
    np.testing.assert_allclose(found.differences[known], near.min(axis=1)[known], rtol=1e-4)
    np.testing.assert_array_equal(found.distance_bits[~known], bits.min(axis=1)[~known])
