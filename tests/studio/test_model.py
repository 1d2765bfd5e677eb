"""Exported generators opened for the studio: mixed, and refused when they are not safe or not what they say."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.errors import InputError
from pipeline.inference.latents import draw_latents
from pipeline.inference.onnx_generator import JUDGE_NAME, as_images
from studio.graph import first_layers, read_graph, with_category_mix, with_style_layers
from studio.model import open_generator
from studio.recipe import Recipe, SeedSource, format_address, latent_source, parse_address, single_category
from tests.support.studio_model import CATEGORIES, DIM, SIDE, generator_graph, styled_graph, write_stand_in


def test_one_category_of_a_mix_draws_what_its_label_draws(tmp_path: Path) -> None:
    generator = open_generator(write_stand_in(tmp_path))
    plain = onnxruntime.InferenceSession(generator_graph().SerializeToString(), providers=["CPUExecutionProvider"])
    latents, labels = draw_latents(0, 40, DIM), np.arange(40) % 3
    (wanted,) = plain.run(None, {"latents": latents, "labels": labels})
    assert generator.mixes_categories
    assert np.array_equal(generator.draw(latents, np.eye(3, dtype=np.float32)[labels]), wanted)


def test_half_a_mix_lies_between(tmp_path: Path) -> None:
    generator = open_generator(write_stand_in(tmp_path))
    latents = draw_latents(0, 1, DIM)
    first, half, second = (
        generator.draw(latents, np.array([mix], np.float32)) for mix in ([1, 0, 0], [0.5, 0.5, 0], [0, 1, 0])
    )
    # Before tanh the stand-in is linear in the mix.
    assert np.allclose(np.arctanh(half), (np.arctanh(first) + np.arctanh(second)) / 2, atol=1e-4)


def test_labels_that_look_up_two_tables_are_mixed_in_both() -> None:
    graph = generator_graph()
    graph.graph.node.insert(1, helper.make_node("Gather", ["embed.weight", "labels"], ["unused"]))
    mixed = with_category_mix(graph)
    assert mixed is not None
    assert [node.op_type for node in mixed.graph.node[:2]] == ["MatMul", "MatMul"]
    assert not any("labels" in node.input for node in mixed.graph.node)


def test_labels_that_go_elsewhere_than_into_a_table_are_not_mixed(tmp_path: Path) -> None:
    graph = generator_graph()
    graph.graph.node.insert(1, helper.make_node("Identity", ["labels"], ["unused"]))
    assert with_category_mix(graph) is None
    generator = open_generator(write_stand_in(tmp_path, graph))
    assert not generator.mixes_categories
    assert generator.pictures([Recipe(generator.version, single_category(2), SeedSource(0, 0, 1000))]).shape == (
        1,
        SIDE,
        SIDE,
        1,
    )


@pytest.mark.parametrize("mapped", [False, True])
def test_a_latent_for_each_layer_of_style_draws_form_and_strength_apart(tmp_path: Path, mapped: bool) -> None:
    generator = open_generator(write_stand_in(tmp_path, styled_graph(mapped=mapped)))
    assert generator.style_layers == 2
    form, strength = draw_latents(1, 2, DIM)
    drawn = {}
    for name, latents in {"form": [form, form], "mixed": [form, strength], "strength": [strength, strength]}.items():
        drawn[name] = generator.draw_category(np.array([latents]), 0)[0]
    for name, latent in (("form", form), ("strength", strength)):
        assert np.array_equal(drawn[name], generator.draw_category(latent[None], 0)[0])
    if mapped:
        form, strength = (np.tanh(3 * latent / np.linalg.norm(latent)) for latent in (form, strength))
    ratio = strength.sum() / form.sum()  # of the two strengths; before tanh pictures are proportional to it
    assert np.allclose(np.arctanh(drawn["mixed"]), ratio * np.arctanh(drawn["form"]), atol=1e-4)
    form, strength = draw_latents(1, 2, DIM)
    mixed = Recipe(generator.version, single_category(0), latent_source(np.stack([form, strength])))
    assert parse_address(format_address(mixed)) == mixed
    plain = Recipe(generator.version, single_category(0), latent_source(form))
    together = generator.pictures([mixed, plain])
    assert np.array_equal(together[0], as_images(drawn["mixed"][None])[0])
    assert np.array_equal(together[1], generator.pictures([plain])[0])


def test_latents_that_enter_once_have_no_layers_of_style(tmp_path: Path) -> None:
    assert with_style_layers(generator_graph()) is None
    generator = open_generator(write_stand_in(tmp_path))
    assert generator.style_layers == 1
    with pytest.raises(InputError):
        generator.pictures([Recipe(generator.version, single_category(0), latent_source(np.zeros((2, DIM), np.float32)))])


def test_weights_in_eight_bits_are_weights_all_the_same() -> None:
    graph = generator_graph()
    graph.graph.initializer.append(numpy_helper.from_array(np.array(0.01, np.float32), "scale"))
    for name, place in (("first.weight", 2), ("latents", 1)):
        quantized = [
            helper.make_node("QuantizeLinear", [name, "scale"], [f"{name}.eight"]),
            helper.make_node("DequantizeLinear", [f"{name}.eight", "scale"], [f"{name}.floats"]),
        ]
        reader = graph.graph.node[place]
        reader.input[list(reader.input).index(name)] = f"{name}.floats"
        for node in reversed(quantized):
            graph.graph.node.insert(place, node)
    assert first_layers(graph.graph) == (["linear"], "active")


def test_a_table_in_half_precision_is_mixed(tmp_path: Path) -> None:
    graph = generator_graph()
    table = graph.graph.initializer[0]
    table.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(table).astype(np.float16), table.name))
    graph.graph.node[0].output[0] = "half"
    graph.graph.node.insert(1, helper.make_node("Cast", ["half"], ["embedding"], to=TensorProto.FLOAT))
    generator = open_generator(write_stand_in(tmp_path / "half", graph))
    exact = open_generator(write_stand_in(tmp_path / "exact"))
    latents, mixes = draw_latents(0, 1, DIM), np.array([[0.5, 0.25, 0.25]], np.float32)
    assert generator.mixes_categories
    assert np.allclose(generator.draw(latents, mixes), exact.draw(latents, mixes), atol=1e-5)


def test_a_judge_that_is_not_its_cards_is_refused(tmp_path: Path) -> None:
    write_stand_in(tmp_path)
    (tmp_path / JUDGE_NAME).write_bytes((tmp_path / JUDGE_NAME).read_bytes() + b"\0")
    with pytest.raises(InputError, match=r"judge\.onnx: not the file its card describes"):
        open_generator(tmp_path)


def test_the_layer_that_latents_enter_and_its_activation_are_found() -> None:
    assert first_layers(generator_graph().graph) == (["linear"], "active")
    assert first_layers(styled_graph().graph) == (["form", "strength"], "active")


def test_weights_outside_the_file_are_refused() -> None:
    graph = generator_graph()
    tensor = graph.graph.initializer[1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    with pytest.raises(InputError, match="outside the file"):
        read_graph(graph.SerializeToString(), "model")


def test_weights_outside_the_file_are_refused_inside_a_branch_too() -> None:
    graph = generator_graph()
    outside = numpy_helper.from_array(np.zeros(2, np.float32), "hidden")
    outside.data_location = TensorProto.EXTERNAL
    branch = helper.make_graph([helper.make_node("Constant", [], ["out"], value=outside)], "branch", [], [])
    graph.graph.node.append(helper.make_node("If", ["labels"], ["o"], then_branch=branch, else_branch=branch))
    with pytest.raises(InputError, match="outside the file"):
        read_graph(graph.SerializeToString(), "model")


def test_weights_outside_the_file_are_refused_inside_a_function_too() -> None:
    graph = generator_graph()
    outside = numpy_helper.from_array(np.zeros(2, np.float32), "hidden")
    outside.data_location = TensorProto.EXTERNAL
    nodes = [helper.make_node("Constant", [], ["out"], value=outside)]
    graph.functions.append(helper.make_function("", "Hidden", [], ["out"], nodes, graph.opset_import))
    with pytest.raises(InputError, match="outside the file"):
        read_graph(graph.SerializeToString(), "model")


def test_operators_of_its_own_are_refused() -> None:
    graph = generator_graph()
    graph.graph.node[0].domain = "com.example"
    with pytest.raises(InputError, match=r"com\.example"):
        read_graph(graph.SerializeToString(), "model")


def test_what_is_not_a_generator_is_refused() -> None:
    graph = generator_graph()
    graph.graph.output[0].name = "linear"
    with pytest.raises(InputError, match="is no generator"):
        read_graph(graph.SerializeToString(), "model")
    with pytest.raises(InputError, match="not an ONNX file"):
        read_graph(b"\x80\x04 a pickle", "model")


def test_a_file_that_is_not_its_cards_is_refused(tmp_path: Path) -> None:
    write_stand_in(tmp_path)
    path = tmp_path / "generator.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(InputError, match="SHA-256"):
        open_generator(tmp_path)


def test_a_graph_that_does_not_draw_what_its_card_says_is_refused(tmp_path: Path) -> None:
    graph = generator_graph()
    for tensor in graph.graph.initializer:
        if tensor.name == "shape":
            tensor.CopyFrom(numpy_helper.from_array(np.array([-1, 1, SIDE // 2, SIDE * 2], np.int64), "shape"))
    with pytest.raises(InputError, match="its card says another"):
        open_generator(write_stand_in(tmp_path, graph))


def test_a_recipe_of_another_model_is_refused(tmp_path: Path) -> None:
    generator = open_generator(write_stand_in(tmp_path))
    with pytest.raises(InputError, match="made by model 000000000000"):
        generator.pictures([Recipe("0" * 12, single_category(0), SeedSource(0, 0, 1000))])
    assert generator.card.categories == CATEGORIES
    assert isinstance(generator.graph, onnx.ModelProto)
