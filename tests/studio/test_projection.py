"""Projection: a garment the model drew is found again, and a photograph is framed as the model's garments are."""

import numpy as np
import pytest

from pipeline.inference.latents import draw_latents
from pipeline.inference.onnx_generator import as_images
from studio.directions import Samples, draw_samples
from studio.model import Generator, open_generator
from studio.projection import fit_encoder, fit_framing, photograph_mask, project, reframed
from tests.support.studio_model import DIM, SIDE, write_stand_in


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return open_generator(write_stand_in(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def samples(generator: Generator) -> dict[int, Samples]:
    return {label: draw_samples(generator, label, 256) for label in range(3)}


def test_a_drawn_garment_is_found_again(generator: Generator, samples: dict[int, Samples]) -> None:
    encoders = {label: fit_encoder(drawn) for label, drawn in samples.items()}
    latent = draw_latents(99, 1, DIM)
    target = as_images(generator.draw_category(latent, 1))[0]
    targets = {0: np.zeros_like(target), 1: target, 2: np.full_like(target, 255)}  # each category is framed differently
    steps = list(project(generator, targets, encoders.__getitem__))
    guess, found = steps[0][1], steps[-1][1]
    assert [share for share, _ in steps] == sorted(share for share, _ in steps)
    assert steps[-1][0] == 1
    assert found.label == 1
    assert found.distance < 3  # grey levels; the pictures are rounded, and the prior pulls a little
    assert found.distance <= guess.distance
    drawn = as_images(generator.draw_category(found.latent[None], found.label))[0]
    assert np.sqrt(((drawn.astype(float) - target) ** 2).mean()) == pytest.approx(found.distance, abs=0.5)


def test_the_garment_of_a_photograph_is_told_from_its_backdrop() -> None:
    photograph = np.full((120, 100, 3), 230, np.uint8)
    photograph += np.random.default_rng(0).integers(0, 8, photograph.shape, dtype=np.uint8)
    photograph[20:100, 30:70] = (40, 60, 90)
    photograph[50:60, 30:70] = (180, 40, 40)  # a stripe
    wanted = np.zeros((120, 100), bool)
    wanted[20:100, 30:70] = True
    mask = photograph_mask(photograph)
    assert (mask & wanted).sum() / (mask | wanted).sum() > 0.9


def test_a_photograph_is_framed_as_the_models_garments_are(generator: Generator, samples: dict[int, Samples]) -> None:
    framing = fit_framing(samples[0])
    photograph = np.full((200, 100, 3), 255, np.uint8)
    mask = np.zeros((200, 100), bool)
    mask[20:180, 30:70] = True
    photograph[mask] = 30
    seen = reframed(photograph, mask, generator, framing, negative=True)
    assert seen.shape == (SIDE, SIDE, 1)
    assert np.abs(seen[0, 0] - framing.backdrop).max() <= 1
    assert seen[SIDE // 2, SIDE // 2, 0] == 225  # dark on light became light on dark
    tall = np.flatnonzero((seen[..., 0] > 200).any(axis=1))
    assert len(tall) == pytest.approx(framing.share * SIDE, abs=2)
