"""Directions of latent space: closed forms, and those that a generator with known ones has."""

import numpy as np
import pytest

from pipeline.inference.latents import draw_latents
from pipeline.inference.onnx_generator import as_images
from studio.directions import (
    Samples,
    _measured,
    activation_directions,
    closed_form,
    draw_samples,
    find_directions,
    orthogonalised,
    regress_direction,
)
from studio.model import Generator, open_generator
from tests.support.studio_model import DIM, write_stand_in


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return open_generator(write_stand_in(tmp_path_factory.mktemp("model")))


def test_the_closed_form_finds_the_most_amplified_directions() -> None:
    layer = np.diag([3.0, 1.0, 2.0])
    vectors, shares = closed_form(layer, 2)
    assert np.allclose(np.abs(vectors), [[1, 0, 0], [0, 0, 1]])
    assert np.allclose(shares, [9 / 14, 4 / 14])


def test_principal_components_of_activations_lead_back_to_latents() -> None:
    latents = draw_latents(0, 400, 4)
    activations = latents @ np.diag([5.0, 1.0, 3.0, 0.5]).astype(np.float32)
    vectors, shares = activation_directions(latents, activations, 2)
    assert np.allclose(np.abs(vectors), [[1, 0, 0, 0], [0, 0, 1, 0]], atol=0.15)
    assert shares[0] == pytest.approx(25 / 35.25, abs=0.05)


def test_regression_finds_the_direction_and_explained_variance_of_an_attribute() -> None:
    latents = draw_latents(0, 800, 5)
    wanted = np.array([0, 0.6, 0, -0.8, 0])
    exact, explained = regress_direction(latents, (latents @ wanted).astype(np.float32))
    assert np.allclose(exact, wanted, atol=0.02)
    assert explained > 0.99
    _, by_chance = regress_direction(latents, draw_latents(1, 800, 1)[:, 0])
    assert by_chance < 0.05


def test_an_orthogonalised_vector_has_no_part_of_the_others() -> None:
    others = [np.array([1.0, 1, 0, 0]), np.array([0.0, 1, 1, 0])]
    apart = orthogonalised(np.array([1.0, 2, 3, 4]), others)
    assert np.allclose(np.stack(others) @ apart, 0)
    assert np.linalg.norm(apart) == pytest.approx(1)


def test_what_is_explained_is_that_of_the_direction_that_is_shown_and_a_copy_gets_no_slider() -> None:
    latents = draw_latents(0, 1024, 16)
    noise = draw_latents(1, 1024, 1)[:, 0]
    size, apart = latents[:, 0], latents[:, 1]
    measures = {"size": size, "width": 0.99 * size + 0.1 * noise, "length": 0.8 * size + 0.6 * apart + 0.2 * noise}
    measured = _measured(Samples(latents, np.zeros((1024, 1, 1, 1), np.uint8), measures, {}))
    assert [one.name for one in measured] == ["measured-size", "measured-length"]
    for one, share in zip(measured, (1, 0.35), strict=True):
        held = slice(768, None)
        correlation = np.corrcoef(latents[held] @ one.vector, measures[one.name.removeprefix("measured-")][held])[0, 1]
        assert one.explained == pytest.approx(correlation**2, abs=0.03) == pytest.approx(share, abs=0.08)


def test_the_brightness_direction_is_found(generator: Generator) -> None:
    found = {one.name: one for one in find_directions(generator, 0, draw_samples(generator, 0, 512))}
    brightness = found["measured-brightness"]
    assert abs(brightness.vector[0]) > 0.8  # latent 0 of the stand-in is the torso's own brightness
    assert brightness.explained > 0.8
    assert brightness.effects["brightness"] > 2
    assert {one.kind for one in found.values()} == {"measured", "classified", "activation", "closed-form"}
    for one in found.values():
        assert one.vector.shape == (DIM,)
        assert np.linalg.norm(one.vector) == pytest.approx(1, abs=1e-4)


def test_a_classified_direction_increases_the_judges_logit(generator: Generator) -> None:
    found = {one.name: one for one in find_directions(generator, 0, draw_samples(generator, 0, 512))}
    assert generator.judge is not None
    dress, bag = found["classified-1"], found["classified-2"]
    assert (dress.kind, dress.title) == ("classified", "Like dress")
    assert dress.effects["classified-1"] > 2
    assert dress.vector @ bag.vector < -0.9  # what is brighter is more of a dress and less of a bag
    latents = draw_latents(3, 32, DIM)
    scores = [
        generator.judge.scores(as_images(generator.draw_category(latents + side * dress.vector, 0)))[:, 1].mean()
        for side in (-2, 2)
    ]
    assert scores[1] > scores[0] + 1


def test_measured_directions_are_orthogonal(generator: Generator) -> None:
    measured = [one.vector for one in find_directions(generator, 0, draw_samples(generator, 0, 512)) if one.kind == "measured"]
    overlap = np.abs(np.array(measured) @ np.array(measured).T - np.eye(len(measured)))
    assert len(measured) >= 2
    assert overlap.max() < 1e-4
