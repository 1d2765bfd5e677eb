"""Look-alikes: every pair within the limits, compared with a search of all pairs."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ImageOps

from pipeline.imaging.hashing import phash_pixels, phashes
from pipeline.imaging.neighbours import LookAlikeLimits, Thumbnails, _masks, look_alikes, pairs_within
from pipeline.imaging.resizing import thumbnail
from tests.support.garments import small_garment


def _clustered_hashes(count: int) -> NDArray[np.uint64]:
    """Hashes of which many are within a few bits of another."""
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 2**64, count // 10, dtype=np.uint64)
    flips = (np.uint64(1) << rng.integers(0, 64, (count, 6), dtype=np.uint64)).astype(np.uint64)
    keep = rng.random((count, 6)) < 0.5
    return np.bitwise_xor.reduce(np.where(keep, flips, np.uint64(0)), axis=1) ^ rng.choice(centres, count)


@pytest.mark.parametrize("radius", [0, 1, 3, 4, 8, 16])
@pytest.mark.parametrize("count", [0, 1, 40, 3000])
def test_pairs_within_a_radius_equal_brute_force(count: int, radius: int) -> None:
    hashes = _clustered_hashes(count) if count > 1 else np.arange(count, dtype=np.uint64)
    found = {
        (first, second, bits)
        for batch in pairs_within(hashes, radius)
        for first, second, bits in zip(*(column.tolist() for column in batch), strict=True)
    }
    distances = np.bitwise_count(hashes[:, None] ^ hashes[None])
    first, second = np.nonzero(np.triu(distances <= radius, k=1))
    assert found == set(zip(first.tolist(), second.tolist(), distances[first, second].tolist(), strict=True))


@pytest.mark.parametrize("radius", [0, 1, 4, 9])
@pytest.mark.parametrize("agreeing", [1, 2, 3])
def test_hashes_within_the_radius_agree_under_a_mask(radius: int, agreeing: int) -> None:
    masks = np.array(_masks(radius, agreeing))
    flipped = np.random.default_rng(0).permuted(np.tile(np.arange(64), (500, 1)), axis=1)[:, :radius]
    differing = np.bitwise_or.reduce(np.uint64(1) << flipped.astype(np.uint64), axis=1)
    assert ((differing[:, None] & masks) == 0).any(axis=1).all()
    assert np.bitwise_or.reduce(masks) == 2**64 - 1


def test_band_search_and_exhaustive_search_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = _clustered_hashes(500)
    for cost in (1e-9, 1e9):
        monkeypatch.setattr("pipeline.imaging.neighbours.COST_OF_BANDS", cost)
        assert {int(pair) for first, second, _ in pairs_within(hashes, 4) for pair in first * 500 + second} == {
            i * 500 + j for i in range(500) for j in range(i + 1, 500) if int(hashes[i] ^ hashes[j]).bit_count() <= 4
        }


def test_thumbnail_difference_ignores_brightness_and_contrast() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 200, (2, 16, 16))
    thumbnails = Thumbnails(np.stack([one, other, one // 2 + 60, np.full((16, 16), 9), np.full((16, 16), 9)]).astype(np.uint8))
    correlation = np.corrcoef(one.ravel(), other.ravel())[0, 1]
    different, brighter, flat = thumbnails.differences(np.array([0, 0, 3]), np.array([1, 2, 4]))
    assert different == pytest.approx(math.sqrt(2 - 2 * correlation), abs=1e-5)
    assert brighter < 0.02  # only rounding is left
    assert flat == 0


def test_equal_hashes_with_different_thumbnails_are_no_look_alikes() -> None:
    thumbnails = np.random.default_rng(0).integers(0, 256, (3, 16, 16)).astype(np.uint8)
    thumbnails[2] = thumbnails[0]
    pairs = look_alikes(np.array([7, 7, 5], dtype=np.uint64), None, thumbnails, LookAlikeLimits(2, 0.1))
    assert pairs.to_dict("records") == [{"first": 0, "second": 2, "distance_bits": 1, "difference": 0, "mirrored": False}]


def test_mirror_image_is_a_look_alike_only_with_mirrored_hashes() -> None:
    garments = [small_garment(seed).convert("L") for seed in (0, 1)]
    greys = [garments[0], garments[1], ImageOps.mirror(garments[0])]
    hashes = phashes(np.stack([phash_pixels(grey) for grey in greys]))
    mirrored = phashes(np.stack([phash_pixels(ImageOps.mirror(grey)) for grey in greys]))
    thumbnails = np.stack([thumbnail(grey) for grey in greys])
    assert look_alikes(hashes, None, thumbnails, LookAlikeLimits(4, 0.1)).empty
    pairs = look_alikes(hashes, mirrored, thumbnails, LookAlikeLimits(4, 0.1))
    assert pairs[["first", "second", "mirrored"]].to_numpy().tolist() == [[0, 2, True]]
