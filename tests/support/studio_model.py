"""A small exported generator with known directions, for tests of the studio.

Its pictures are tanh of a torso plus, for each latent, a smooth shape: latent 0 is the torso's brightness, latent 1 its width.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pipeline.inference.onnx_generator import EARLY_LAYERS_NAME, JUDGE_NAME, MODEL_NAME, ExportedCard, write_exported
from pipeline.stages.export.onnx_graphs import with_defaults
from pipeline.storage.arrays import has_alpha
from pipeline.words.encoder import EMBEDDING_DIM, ENCODER_NAME, text_encoder

SIDE, DIM, EMBEDDING = 32, 8, 4
CATEGORIES = ["top", "dress", "bag"]
ATTRIBUTES = {"season": ["winter"], "shade": ["light", "dark"]}
SHADES = np.array([[-0.2], [0.6], [-0.6]], np.float32)  # added by each value


def _bump(centre: tuple[float, float], radius: tuple[float, float]) -> NDArray[np.float32]:
    y, x = np.meshgrid(*(np.linspace(-1, 1, SIDE),) * 2, indexing="ij")
    return np.exp(-(((y - centre[0]) / radius[0]) ** 2) - ((x - centre[1]) / radius[1]) ** 2).astype(np.float32)


def _shapes() -> NDArray[np.float32]:
    torso = (_bump((0, 0), (0.7, 0.4)) > 0.4).astype(np.float32)
    sides = _bump((0, -0.55), (0.6, 0.15)) + _bump((0, 0.55), (0.6, 0.15))
    others = [0.4 * torso * _bump((0.5 * np.sin(k), 0.3 * np.cos(2 * k)), (0.3, 0.3)) for k in range(DIM - 2)]
    categories = [0.8 * _bump((0.8 - 0.5 * k, 0), (0.2, 0.5)) for k in range(EMBEDDING)]
    return np.stack([0.5 * torso, 0.8 * sides, *others, *categories]).reshape(DIM + EMBEDDING, -1)


INPUTS: dict[str, tuple[int, list[Any]]] = {
    "latents": (TensorProto.FLOAT, ["n", DIM]),
    "labels": (TensorProto.INT64, ["n"]),
}


def _conditioning(layers: int) -> list[onnx.NodeProto]:
    """Nodes that compute what a generator with optional inputs begins with.

    `embedding` comes from `labels` and `category_mix` by the table `embed.weight`; `latents_0`, … come from `latents` and
    `layer_latents`.
    """
    return [
        helper.make_node("Unsqueeze", ["labels", "one"], ["label_column"]),
        helper.make_node("Equal", ["label_column", "categories"], ["is_category"]),
        helper.make_node("Cast", ["is_category"], ["one_hot"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["one_hot", "category_mix"], ["shares"]),
        helper.make_node("MatMul", ["shares", "embed.weight"], ["embedding"]),
        helper.make_node("Unsqueeze", ["latents", "one"], ["latent_row"]),
        helper.make_node("Add", ["latent_row", "layer_latents"], ["latent_rows"]),
        *(helper.make_node("Gather", ["latent_rows", f"layer_{n}"], [f"latents_{n}"], axis=1) for n in range(layers)),
    ]


def _model(
    nodes: list[onnx.NodeProto],
    inputs: Mapping[str, tuple[int, list[Any]]],
    outputs: Mapping[str, list[Any]],
    weights: Mapping[str, NDArray[np.generic]],
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info(name, *value) for name, value in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _generator(
    nodes: list[onnx.NodeProto],
    weights: Mapping[str, NDArray[np.generic]],
    layers: int,
    condition: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    shapes: dict[str, tuple[int, ...]] = {"layer_latents": (layers, DIM), "category_mix": (len(CATEGORIES),)}
    shapes |= {name: (width,) for name, width in (condition or {}).items()}
    constants: dict[str, NDArray[np.generic]] = {
        "one": np.array([1], np.int64),
        "categories": np.arange(len(CATEGORIES)),
        "shape": np.array([-1, 1, SIDE, SIDE], np.int64),
        **{f"layer_{n}": np.array(n, np.int64) for n in range(layers)},
    }
    inputs = INPUTS | {name: (TensorProto.FLOAT, ["n", *shape]) for name, shape in shapes.items()}
    model = _model([*_conditioning(layers), *nodes], inputs, {"pictures": ["n", 1, SIDE, SIDE]}, constants | dict(weights))
    return onnx.load_model_from_string(with_defaults(model.SerializeToString(), shapes))


def _first_layer() -> NDArray[np.float32]:
    # ReLU of x less ReLU of -x is x: the network has an activation, and its directions are known.
    return np.concatenate([np.eye(DIM + EMBEDDING), -np.eye(DIM + EMBEDDING)], axis=1).astype(np.float32)


def generator_graph(shades: NDArray[np.float32] | None = None, condition: str = "attributes") -> onnx.ModelProto:
    """The generator as ONNX: an embedding, a linear layer, ReLU, a linear layer and tanh.

    With `shades` (A, 1) it takes the input `condition` (N, A), each column of which adds its shade everywhere, and with
    `condition` text the input `text_change`, too.
    """
    shapes = _shapes()
    weights = {
        "embed.weight": np.eye(len(CATEGORIES), EMBEDDING, dtype=np.float32),
        "first.weight": _first_layer(),
        "second.weight": np.concatenate([shapes, -shapes]),
        "second.bias": (1.2 * (shapes[0] > 0) - 1.4).astype(np.float32),
    }
    nodes = [
        helper.make_node("Concat", ["latents_0", "embedding"], ["both"], axis=1),
        helper.make_node("MatMul", ["both", "first.weight"], ["linear"]),
        helper.make_node("Relu", ["linear"], ["active"]),
        helper.make_node("Gemm", ["active", "second.weight", "second.bias"], ["flat"]),
    ]
    if shades is not None:
        weights["shade.weight"] = shades
        given = condition
        if condition == "text":
            nodes.append(helper.make_node("Add", ["text", "text_change"], ["changed"]))
            given = "changed"
        nodes.append(helper.make_node("MatMul", [given, "shade.weight"], ["shade"]))
        nodes.append(helper.make_node("Add", ["flat", "shade"], ["asked"]))
    nodes += [
        helper.make_node("Reshape", ["flat" if shades is None else "asked", "shape"], ["picture"]),
        helper.make_node("Tanh", ["picture"], ["pictures"]),
    ]
    names = [] if shades is None else [condition, "text_change"] if condition == "text" else [condition]
    return _generator(nodes, weights, layers=1, condition={name: len(weights["shade.weight"]) for name in names})


def alpha_graph() -> onnx.ModelProto:
    """`generator_graph` in colour and cut out: alpha follows its brightness, and its colour is premultiplied."""
    model = generator_graph()
    graph = model.graph
    graph.node.remove(next(node for node in graph.node if node.op_type == "Tanh"))
    numbers = {"steepness": 10.0, "least": 0.8, "half": 0.5, "two": 2.0, "minus": -1.0}
    graph.initializer.extend(numpy_helper.from_array(np.array([value], np.float32), name) for name, value in numbers.items())
    tints = np.array([1.0, 0.6, -0.4], np.float32).reshape(1, 3, 1, 1)
    graph.initializer.append(numpy_helper.from_array(tints, "tints"))
    graph.node.extend(
        [
            helper.make_node("Add", ["picture", "least"], ["above"]),
            helper.make_node("Mul", ["above", "steepness"], ["steep"]),
            helper.make_node("Sigmoid", ["steep"], ["alpha"]),
            helper.make_node("Add", ["picture", "half"], ["bright"]),
            helper.make_node("Tanh", ["bright"], ["grey"]),
            helper.make_node("Mul", ["grey", "tints"], ["colour"]),
            helper.make_node("Mul", ["colour", "alpha"], ["premultiplied"]),
            helper.make_node("Mul", ["alpha", "two"], ["doubled"]),
            helper.make_node("Add", ["doubled", "minus"], ["unit_alpha"]),
            helper.make_node("Concat", ["premultiplied", "unit_alpha"], ["pictures"], axis=1),
        ]
    )
    graph.output[0].type.tensor_type.shape.dim[1].dim_value = 4
    return model


def asking_graph() -> onnx.ModelProto:
    """`generator_graph` with ATTRIBUTES: light pictures are brighter everywhere, dark ones darker, winter a little darker."""
    return generator_graph(SHADES)


def reading_graph(bright: str = "white dress") -> onnx.ModelProto:
    """`generator_graph` that takes text: a picture is the brighter the more its text is like `bright`."""
    return generator_graph(text_encoder().embeddings([bright]).T.copy(), "text")


def early_layers_graph() -> onnx.ModelProto:
    """The first layer of `generator_graph` and its ReLU."""
    weights = {"embed.weight": np.eye(len(CATEGORIES), EMBEDDING, dtype=np.float32), "first.weight": _first_layer()}
    nodes = [
        helper.make_node("Gather", ["embed.weight", "labels"], ["embedding"]),
        helper.make_node("Concat", ["latents", "embedding"], ["both"], axis=1),
        helper.make_node("MatMul", ["both", "first.weight"], ["entered"]),
        helper.make_node("Relu", ["entered"], ["activation"]),
    ]
    width = 2 * (DIM + EMBEDDING)
    return _model(nodes, INPUTS, {"entered": ["n", width], "activation": ["n", width]}, weights)


def styled_graph() -> onnx.ModelProto:
    """A generator with two style layers: the latent of the first is the form, that of the second how strong the form is."""
    weights: dict[str, NDArray[np.generic]] = {
        "embed.weight": np.zeros((len(CATEGORIES), DIM), np.float32),
        "form.weight": np.eye(DIM, dtype=np.float32),
        "strength.weight": np.full((DIM, 1), 0.3, np.float32),
        "shapes": _shapes()[:DIM],
    }
    nodes = [
        helper.make_node("Add", ["latents_0", "embedding"], ["form_condition"]),
        helper.make_node("MatMul", ["form_condition", "form.weight"], ["form"]),
        helper.make_node("Tanh", ["form"], ["active"]),
        helper.make_node("MatMul", ["active", "shapes"], ["flat"]),
        helper.make_node("MatMul", ["latents_1", "strength.weight"], ["strength"]),
        helper.make_node("Mul", ["flat", "strength"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "shape"], ["picture"]),
        helper.make_node("Tanh", ["picture"], ["pictures"]),
    ]
    return _generator(nodes, weights, layers=2)


def old_graph() -> onnx.ModelProto:
    """A generator as earlier versions exported it, without optional inputs."""
    weights: dict[str, NDArray[np.generic]] = {
        "embed.weight": np.eye(len(CATEGORIES), DIM, dtype=np.float32),
        "shapes": _shapes()[:DIM],
        "shape": np.array([-1, 1, SIDE, SIDE], np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["embed.weight", "labels"], ["embedding"]),
        helper.make_node("Add", ["latents", "embedding"], ["condition"]),
        helper.make_node("MatMul", ["condition", "shapes"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["picture"]),
        helper.make_node("Tanh", ["picture"], ["pictures"]),
    ]
    return _model(nodes, INPUTS, {"pictures": ["n", 1, SIDE, SIDE]}, weights)


def judge_graph(channels: int = 1) -> onnx.ModelProto:
    """A judge for the stand-in: it takes what is bright for a dress and what is dark for a bag."""
    weights: dict[str, NDArray[np.generic]] = {
        "axes": np.array([1, 2, 3], np.int64),
        "last": np.array([1], np.int64),
        "scores.weight": np.array([[0.0, 40.0, -40.0]], np.float32),
    }
    nodes = [
        helper.make_node("ReduceMean", ["pictures", "axes"], ["features"], keepdims=0),
        helper.make_node("Unsqueeze", ["features", "last"], ["column"]),
        helper.make_node("MatMul", ["column", "scores.weight"], ["scores"]),
    ]
    inputs = {"pictures": (TensorProto.FLOAT, ["n", channels, SIDE, SIDE])}
    return _model(nodes, inputs, {"features": ["n"], "scores": ["n", len(CATEGORIES)]}, weights)


def write_stand_in(folder: Path, graph: onnx.ModelProto | None = None) -> Path:
    """Write the generator, or another `graph`, with its card into `folder`, which is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = graph or generator_graph()
    shapes = [output.type.tensor_type.shape.dim for output in graph.graph.output]  # none in a hostile graph
    channels = shapes[0][1].dim_value if shapes else 1
    content, judge, early = (one.SerializeToString() for one in (graph, judge_graph(channels), early_layers_graph()))
    optional = {tensor.name: tensor.dims for tensor in graph.graph.initializer}
    card = replace(stand_in_card(content, judge), channels=channels, alpha=has_alpha(channels))
    if "layer_latents" in optional:
        layers, early_sha256 = optional["layer_latents"][1], hashlib.sha256(early).hexdigest()
        card = replace(card, style_layers=layers, early_layers_sha256=early_sha256)
    if "attributes" in optional:
        card = replace(card, attributes=ATTRIBUTES)
    if "text" in optional:
        card = replace(card, text_encoder=ENCODER_NAME, text_dim=EMBEDDING_DIM)
    write_exported(folder, {MODEL_NAME: content, JUDGE_NAME: judge, EARLY_LAYERS_NAME: early}, card)
    return folder


def stand_in_card(content: bytes, judge: bytes) -> ExportedCard:
    """The card of the stand-in whose ONNX files are `content` and `judge`."""
    return ExportedCard(
        categories=CATEGORIES,
        height=SIDE,
        width=SIDE,
        channels=1,
        latent_dim=DIM,
        images_seen=0,
        network="stand-in",
        opset=20,
        precision="fp32",
        judge_sha256=hashlib.sha256(judge).hexdigest(),
        variants=[],
        onnx_sha256=hashlib.sha256(content).hexdigest(),
        max_difference=0.0,
        checked_latents=0,
        intended_use="Tests.",
    )
