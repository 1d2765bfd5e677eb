"""The contrastive head: its loss and recall in closed form, and what it learns of planted pairs."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import InputError
from pipeline.metrics.contrast import WEIGHTS, drawn_columns, info_nce, load_head, recall, save_head, train_head
from pipeline.storage.captions import NO_CAPTION, Captions
from tests.support.captions import unit_rows


def test_the_loss_of_orthogonal_pairs_is_the_cross_entropy_of_their_scale() -> None:
    rows = torch.eye(4)
    loss = info_nce(rows, rows, torch.tensor(3.0).log())
    assert loss.item() == pytest.approx(math.log(math.exp(3) + 3) - 3)
    alike = torch.ones(4, 1)
    assert info_nce(alike, alike, torch.tensor(3.0).log()).item() == pytest.approx(math.log(4))


def test_recall_counts_own_pictures_among_the_most_similar_and_shares_ties() -> None:
    rows = np.eye(5, dtype=np.float32)
    assert recall(rows, rows, at=1).tolist() == [1] * 5
    assert recall(rows, np.roll(rows, 1, axis=0), at=1).tolist() == [0] * 5
    same = np.ones((4, 2), np.float32)
    assert recall(same, same, at=1).tolist() == [0.25] * 4
    assert recall(same, same, at=4).tolist() == [1] * 4


def test_recall_of_unrelated_rows_is_at_chance() -> None:
    found = recall(unit_rows(1000, 16, seed=1), unit_rows(1000, 16, seed=2))
    assert found.mean() == pytest.approx(0.01, abs=0.008)


def _planted(count: int, seed: int) -> tuple[np.ndarray, Captions]:
    """Features that are a noisy linear map of the embedding of a picture's first caption; the second says as much."""
    rng = np.random.default_rng(seed)
    embeddings = unit_rows(2 * count, 24, seed)
    embeddings[count:] = embeddings[:count] + 0.05 * embeddings[count:]
    mixing = np.random.default_rng(99).standard_normal((24, 60), dtype=np.float32)
    features = embeddings[:count] @ mixing + 0.1 * rng.standard_normal((count, 60), dtype=np.float32) + 5
    rows = np.arange(2 * count, dtype=np.int32).reshape(2, -1).T.copy()
    return features.astype(np.float32), Captions("drawn", [str(place) for place in range(2 * count)], embeddings, rows)


def test_a_head_finds_unseen_pictures_by_their_captions() -> None:
    head = train_head(*_planted(600, 0), seed=0, threads=1)
    features, captions = _planted(200, 1)
    texts = head.texts(captions.embeddings[:200])
    assert recall(texts, head.pictures(features)).mean() > 0.8  # chance is 0.05
    assert np.allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)


def test_the_same_seed_gives_the_same_bytes_and_pictures_without_captions_leave_it_alone(tmp_path: Path) -> None:
    features, captions = _planted(80, 0)
    without = Captions(captions.encoder, captions.texts, captions.embeddings, captions.rows.copy())
    without.rows[-1] = NO_CAPTION
    for name, known in (("first", captions), ("second", captions), ("without", without)):
        (tmp_path / name).mkdir()
        save_head(tmp_path / name, train_head(features, known, seed=3, threads=1))
    contents = [(tmp_path / name / WEIGHTS).read_bytes() for name in ("first", "second", "without")]
    assert contents[0] == contents[1] != contents[2]
    head = load_head(tmp_path / "without")
    assert all(np.isfinite(rows).all() for rows in vars(head).values())


def test_one_caption_is_drawn_of_those_a_picture_has() -> None:
    rows = np.tile(np.array([[5, NO_CAPTION, 7]], np.int32), (400, 1))
    drawn = drawn_columns(rows, np.random.default_rng(0))
    assert set(drawn) == {5, 7}
    assert 150 < (drawn == 5).sum() < 250


def test_a_missing_or_damaged_head_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run reference again"):
        load_head(tmp_path)
    (tmp_path / WEIGHTS).write_bytes(b"x" * 100)
    with pytest.raises(InputError, match="run reference again"):
        load_head(tmp_path)
