"""A learned warp: what it changes, what is learned from pairs, when it is not better, and files that are none."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.numpy import save_file

from pipeline.errors import InputError
from pipeline.imaging.garment_anchors import find_anchors
from pipeline.imaging.garment_kinds import KINDS, Kind
from pipeline.tryon.compose import try_on
from pipeline.tryon.corrections import COUNT, corrected
from pipeline.tryon.fitting import placed_parts
from pipeline.tryon.learned_warp import PROPORTIONS, KindOfWarp, LearnedWarp, read_warp, write_warp
from pipeline.tryon.learning import Measures as Warped
from pipeline.tryon.learning import Verdict, are_enough, fitted, folds, similarity_map, verdict
from pipeline.tryon.mannequins import Measures, Pose, draw_mannequin, mannequin_body
from pipeline.tryon.matching import WornGarment, matched, worn_garment
from pipeline.tryon.person import person_of_figure
from tests.support.drawn_people import drawn_garment
from tests.support.worn_pairs import HEIGHT_PX, LOWER, WIDTH_PX, seen, shape, worn_pairs, worn_skirt


def warp_of(kind: Kind, numbers: np.ndarray) -> LearnedWarp:
    """A warp with the same correction for everybody."""
    weights = np.zeros((1 + PROPORTIONS, COUNT))
    weights[0] = numbers
    return LearnedWarp({kind: KindOfWarp(np.zeros(PROPORTIONS), np.ones(PROPORTIONS), weights)})


@pytest.fixture(scope="module")
def skirt() -> WornGarment:
    return worn_skirt()


@pytest.mark.parametrize("kind", KINDS)
def test_with_nothing_learned_parts_go_where_geometry_puts_them(kind: Kind) -> None:
    anchors, body = find_anchors(drawn_garment(kind), kind), mannequin_body(Measures(), Pose())
    geometric = placed_parts(anchors, body)
    for warp in (LearnedWarp({}), warp_of(kind, np.zeros(COUNT))):
        for part, same in zip(warp.placed_parts(anchors, body), geometric, strict=True):
            assert (part.target == same.target).all()
            assert (part.target_outline == same.target_outline).all()


@pytest.mark.parametrize("kind", ["top", "trousers"])
def test_a_garment_worn_lower_is_lower_by_that_much_in_every_part(kind: Kind) -> None:
    anchors, body = find_anchors(drawn_garment(kind), kind), mannequin_body(Measures(), Pose(lean=4.0))
    span = body.shoulders_px
    lower = warp_of(kind, 0.2 * np.eye(COUNT)[LOWER]).placed_parts(anchors, body)
    for part, before in zip(lower, placed_parts(anchors, body), strict=True):
        assert part.target - before.target == pytest.approx(np.tile(0.2 * span * body.down, (len(part.target), 1)))


@pytest.mark.parametrize("number", range(COUNT))
@pytest.mark.parametrize("kind", ["top", "trousers"])
def test_the_outline_moves_with_the_control_points(kind: Kind, number: int) -> None:
    anchors, body = find_anchors(drawn_garment(kind), kind), mannequin_body(Measures(), Pose())
    for part in corrected(placed_parts(anchors, body), body, 0.1 * np.eye(COUNT)[number]):
        for corner in part.target_outline:
            assert np.abs(part.target - corner).sum(axis=1).min() < 1e-6


def test_a_wild_correction_does_not_fold() -> None:
    figure = draw_mannequin(Measures(), Pose())
    wild = warp_of("top", np.random.default_rng(5).normal(0, 1.5, COUNT))
    result = try_on(person_of_figure(figure), drawn_garment("top"), "top", warp=wild)
    assert all(layer.warp.least_jacobian > 0 for layer in result.layers)


def test_how_a_garment_is_worn_is_found_in_the_photograph(skirt: WornGarment) -> None:
    true = np.zeros(COUNT)
    true[[0, LOWER, 3]] = 0.08, 0.15, 0.12  # to the right, lower, with a wider hem
    assert matched(seen(skirt, true)) == pytest.approx(true, abs=0.05)


def test_a_garment_is_found_in_a_photograph_where_it_hangs_lower_than_geometry_says() -> None:
    figure = draw_mannequin(Measures(), Pose(), HEIGHT_PX, WIDTH_PX)
    person, garment = person_of_figure(figure), drawn_garment("skirt")
    anchors = find_anchors(garment, "skirt")
    lower = corrected(placed_parts(anchors, person.body), person.body, 0.25 * np.eye(COUNT)[LOWER])
    worn = try_on(person, garment, "skirt", anchors=anchors, parts=lower)
    alpha = np.maximum(person.alpha, worn.cover)
    found = worn_garment(replace(person, picture=worn.picture, alpha=alpha), garment, anchors).mask > 0.5
    true = cv2.resize(worn.cover, found.shape[::-1]) > 0.5
    assert (found & true).sum() / (found | true).sum() > 0.85


def test_what_is_the_same_in_thirty_pairs_is_learned_and_held_out_pairs_are_nearer(skirt: WornGarment) -> None:
    found = verdict(worn_pairs(skirt, 0.15, 0.06))
    assert found.is_better
    before, after = found.means("landmark")
    assert after < 0.4 * before
    assert found.means("iou")[1] > found.means("iou")[0] + 0.05
    assert found.means("ssim")[1] > found.means("ssim")[0]
    narrow, broad = (found.learned.numbers(shape(one))[LOWER] for one in (-1, 1))
    assert broad - narrow == pytest.approx(0.12, abs=0.04)


def test_pairs_that_differ_at_random_only_teach_nothing(skirt: WornGarment) -> None:
    found = verdict(worn_pairs(skirt, 0.0, 0.0))
    assert not found.is_better
    assert np.abs(found.learned.weights).max() < 0.02


def test_garments_that_differ_at_random_are_rarely_called_better_however_many_pairs_they_have(skirt: WornGarment) -> None:
    rng, learned = np.random.default_rng(4), fitted(worn_pairs(skirt, 0.0, 0.0, 4))
    garments = [f"garment {number % 5}" for number in range(100)]
    called = 0
    for _ in range(400):
        gains = np.tile(rng.normal(0, 0.1, 5), 20) + rng.normal(0, 0.02, 100)
        nothing, something = [Warped(0, 0, 0)] * 100, [Warped(-gain, gain, 0) for gain in gains]
        called += Verdict("skirt", learned, garments, nothing, something).is_better
    assert called < 40  # 30; 135 where pairs count as independent


def test_proportions_beyond_those_of_the_pairs_count_as_the_last_of_them(skirt: WornGarment) -> None:
    learned = fitted(worn_pairs(skirt, 0.15, 0.06, 10))
    far, farther = (learned.numbers(learned.mean + times * learned.deviation) for times in (5, 500))
    assert (far == farther).all()


def test_no_garment_is_in_two_folds_and_folds_do_not_depend_on_the_order() -> None:
    garments = [f"garment {number // 4}" for number in range(40)]
    fold = folds(garments)
    assert set(np.bincount(fold)) == {8}
    assert all((fold[start : start + 4] == fold[start]).all() for start in range(0, 40, 4))
    assert (folds(garments[::-1]) == fold[::-1]).all()


def test_pairs_of_few_garments_are_too_few(skirt: WornGarment) -> None:
    several = worn_pairs(skirt, 0.2, 0.0, 20)
    assert are_enough(several)
    assert not are_enough(several[:19])
    assert not are_enough([replace(pair, garment="one and the same") for pair in several])


def test_similarity_is_that_of_scikit_image() -> None:
    from skimage.metrics import structural_similarity

    rng = np.random.default_rng(0)
    first, second = (rng.random((40, 30)).astype(np.float32) for _ in range(2))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0, "full": True}
    _, known = structural_similarity(first, second, **options)
    assert similarity_map(first, second)[6:-6, 6:-6] == pytest.approx(known[6:-6, 6:-6], abs=1e-4)


def test_a_warp_comes_back_from_its_file(tmp_path: Path) -> None:
    kept = warp_of("dress", np.arange(COUNT) / 100)
    write_warp(tmp_path / "warp.safetensors", kept.kinds)
    back = read_warp(tmp_path / "warp.safetensors")
    assert list(back.kinds) == ["dress"]
    assert (back.kinds["dress"].weights == kept.kinds["dress"].weights).all()
    assert len(back.sha256) == 64


def test_another_file_is_no_warp(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"not it")
    save_file({"a": np.zeros(3)}, tmp_path / "other")
    for name in ("text", "other"):
        with pytest.raises(InputError, match=f"{name}: is no warp of try-on"):
            read_warp(tmp_path / name)
    with pytest.raises(InputError, match="gone: cannot be read"):
        read_warp(tmp_path / "gone")


@pytest.mark.parametrize("wrong", [np.zeros((2, 2)), np.full((1 + PROPORTIONS, COUNT), np.nan)])
def test_a_warp_with_wrong_numbers_is_damaged(tmp_path: Path, wrong: np.ndarray) -> None:
    write_warp(tmp_path / "warp", {"top": KindOfWarp(np.zeros(PROPORTIONS), np.ones(PROPORTIONS), wrong)})
    with pytest.raises(InputError, match="is damaged at top"):
        read_warp(tmp_path / "warp")
