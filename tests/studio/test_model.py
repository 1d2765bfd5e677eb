"""Exported generators opened for the studio: mixing, old exports, and files that are refused."""

import logging
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import numpy_helper

from pipeline.errors import InputError
from pipeline.inference.latents import draw_latents
from pipeline.inference.onnx_generator import JUDGE_NAME, as_images
from studio.directions import draw_samples, find_directions
from studio.model import open_generator
from studio.recipe import Recipe, SeedSource, format_address, latent_source, parse_address, single_category
from tests.support.studio_model import CATEGORIES, DIM, SIDE, generator_graph, old_graph, styled_graph, write_stand_in


def test_one_category_of_a_mix_draws_what_its_label_draws(tmp_path: Path) -> None:
    generator = open_generator(write_stand_in(tmp_path))
    plain = onnxruntime.InferenceSession(generator_graph().SerializeToString(), providers=["CPUExecutionProvider"])
    latents, labels = draw_latents(0, 40, DIM), np.arange(40) % 3
    (expected,) = plain.run(None, {"latents": latents, "labels": labels})
    assert generator.mixes_categories
    assert np.array_equal(generator.draw(latents, np.eye(3, dtype=np.float32)[labels]), expected)


def test_an_equal_mix_is_the_mean_of_its_categories(tmp_path: Path) -> None:
    generator = open_generator(write_stand_in(tmp_path))
    latents = draw_latents(0, 1, DIM)
    first, half, second = (
        generator.draw(latents, np.array([mix], np.float32)) for mix in ([1, 0, 0], [0.5, 0.5, 0], [0, 1, 0])
    )
    # Before tanh the stand-in is linear in the mix.
    assert np.allclose(np.arctanh(half), (np.arctanh(first) + np.arctanh(second)) / 2, atol=1e-4)


def test_an_old_export_opens_without_mixing_and_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        generator = open_generator(write_stand_in(tmp_path, old_graph()))
    assert any("--forcerun export" in record.getMessage() for record in caplog.records)
    assert (generator.mixes_categories, generator.style_layers) == (False, 1)
    mix = ((0, 400), (2, 600))
    drawn = [Recipe(generator.version, one, SeedSource(0, 0, 1000)) for one in (mix, single_category(2))]
    assert np.array_equal(*generator.pictures(drawn))
    kinds = {one.kind for one in find_directions(generator, 0, draw_samples(generator, 0, 128))}
    assert not kinds & {"activation", "closed-form"}


def test_a_latent_for_each_style_layer_enters_its_own_layer(tmp_path: Path) -> None:
    generator = open_generator(write_stand_in(tmp_path, styled_graph()))
    assert generator.style_layers == 2
    form, strength = draw_latents(1, 2, DIM)
    drawn = {}
    for name, latents in {"form": [form, form], "mixed": [form, strength], "strength": [strength, strength]}.items():
        drawn[name] = generator.draw_category(np.array([latents]), 0)[0]
    for name, latent in (("form", form), ("strength", strength)):
        assert np.array_equal(drawn[name], generator.draw_category(latent[None], 0)[0])
    ratio = strength.sum() / form.sum()  # of the two strengths; before tanh pictures are proportional to it
    assert np.allclose(np.arctanh(drawn["mixed"]), ratio * np.arctanh(drawn["form"]), atol=1e-4)
    mixed = Recipe(generator.version, single_category(0), latent_source(np.stack([form, strength])))
    assert parse_address(format_address(mixed)) == mixed
    plain = Recipe(generator.version, single_category(0), latent_source(form))
    together = generator.pictures([mixed, plain])
    assert np.array_equal(together[0], as_images(drawn["mixed"][None])[0])
    assert np.array_equal(together[1], generator.pictures([plain])[0])


def test_a_style_mix_of_another_number_of_layers_is_refused(tmp_path: Path) -> None:
    generator = open_generator(write_stand_in(tmp_path))
    with pytest.raises(InputError):
        generator.pictures([Recipe(generator.version, single_category(0), latent_source(np.zeros((2, DIM), np.float32)))])


@pytest.mark.parametrize("name", ["generator.onnx", JUDGE_NAME, "early_layers.onnx"])
def test_a_file_with_another_hash_than_its_card_has_is_refused(tmp_path: Path, name: str) -> None:
    path = write_stand_in(tmp_path) / name
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(InputError, match=f"{name}: .*SHA-256"):
        open_generator(tmp_path)


def test_a_graph_without_pictures_is_refused(tmp_path: Path) -> None:
    graph = generator_graph()
    graph.graph.output[0].name = "linear"
    with pytest.raises(InputError):
        open_generator(write_stand_in(tmp_path, graph))


def test_a_graph_that_does_not_draw_what_its_card_describes_is_refused(tmp_path: Path) -> None:
    graph = generator_graph()
    for tensor in graph.graph.initializer:
        if tensor.name == "shape":
            tensor.CopyFrom(numpy_helper.from_array(np.array([-1, 1, SIDE // 2, SIDE * 2], np.int64), "shape"))
    with pytest.raises(InputError, match="its card says another"):
        open_generator(write_stand_in(tmp_path, graph))


def test_a_recipe_of_another_model_is_refused(tmp_path: Path) -> None:
    generator = open_generator(write_stand_in(tmp_path))
    with pytest.raises(InputError, match="000000000000"):
        generator.pictures([Recipe("0" * 12, single_category(0), SeedSource(0, 0, 1000))])
    assert generator.card.categories == CATEGORIES
