"""Steering: latents climb a score, keep their length, and the contrastive head is read from the folder of reference."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.inference.latents import draw_latents
from pipeline.metrics.contrast import WEIGHTS
from pipeline.metrics.steering import STEPS, likeness_to, steered
from tests.support.steering import TEXT_DIM, write_bright_reference

DIM = 16


def _first_component(latents: np.ndarray, _: np.ndarray) -> np.ndarray:
    return latents[:, 0] / np.linalg.norm(latents, axis=1)


def test_every_latent_climbs_and_stays_as_long_as_a_drawn_one() -> None:
    start = draw_latents(0, 32, DIM)
    found = steered(start, _first_component, np.random.default_rng(1))
    assert found.before == pytest.approx(_first_component(start, np.arange(32)))
    assert found.after == pytest.approx(_first_component(found.latents, np.arange(32)))
    assert (found.after >= found.before).all()
    assert found.after.min() > 0.4 > 0.1 > found.before.mean()
    assert np.linalg.norm(found.latents, axis=1).mean() == pytest.approx(np.sqrt(DIM), rel=0.25)


def test_no_round_leaves_the_latents_as_they_are() -> None:
    start = draw_latents(0, 3, DIM)
    found = steered(start, _first_component, np.random.default_rng(1), rounds=0)
    assert (found.latents == start).all()
    assert (found.after == found.before).all()


def test_each_step_is_scored_for_its_own_garment() -> None:
    asked: list[np.ndarray] = []

    def score(latents: np.ndarray, garments: np.ndarray) -> np.ndarray:
        asked.append(garments)
        return np.zeros(len(latents), np.float32)

    found = steered(draw_latents(0, 2, DIM), score, np.random.default_rng(1), rounds=1)
    assert [one.tolist() for one in asked] == [[0, 1], [0] * STEPS + [1] * STEPS]
    assert (found.latents == draw_latents(0, 2, DIM)).all()  # what is no better changes nothing


def test_the_head_finds_bright_pictures_like_its_text(tmp_path: Path) -> None:
    text = np.eye(TEXT_DIM, dtype=np.float32)[0]
    score = likeness_to(text, write_bright_reference(tmp_path / "reference", text))
    levels = [np.full((1, 32, 32, 1), level, np.uint8) for level in (20, 130, 240)]
    dark, middle, bright = (float(score(one)[0]) for one in levels)
    assert dark < middle < bright


def test_a_head_of_another_encoder_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    text = np.eye(TEXT_DIM, dtype=np.float32)[0]
    folder = write_bright_reference(tmp_path / "reference", text)
    with pytest.raises(InputError, match="made with another text encoder; run reference again"):
        likeness_to(text[:-1], folder)
    (folder / WEIGHTS).write_bytes(b"damaged")
    with pytest.raises(InputError, match=WEIGHTS):
        likeness_to(text, folder)


def test_the_reference_says_at_which_side_its_pictures_are_seen(tmp_path: Path) -> None:
    folder = write_bright_reference(tmp_path / "reference", np.eye(TEXT_DIM, dtype=np.float32)[0])
    assert json.loads((folder / "reference.json").read_text())["efflite0_px"] == 32
