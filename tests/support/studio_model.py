"""A small exported generator with known directions, for tests of the studio.

Its pictures are tanh of a torso plus, for each latent, a smooth shape: latent 0 is the torso's brightness, latent 1 its width.
"""

import hashlib
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pipeline.inference.onnx_generator import JUDGE_NAME, MODEL_NAME, ExportedCard, write_exported

SIDE, DIM, EMBEDDING = 32, 8, 4
CATEGORIES = ["top", "dress", "bag"]


def _bump(centre: tuple[float, float], radius: tuple[float, float]) -> NDArray[np.float32]:
    y, x = np.meshgrid(*(np.linspace(-1, 1, SIDE),) * 2, indexing="ij")
    return np.exp(-(((y - centre[0]) / radius[0]) ** 2) - ((x - centre[1]) / radius[1]) ** 2).astype(np.float32)


def _shapes() -> NDArray[np.float32]:
    torso = (_bump((0, 0), (0.7, 0.4)) > 0.4).astype(np.float32)
    sides = _bump((0, -0.55), (0.6, 0.15)) + _bump((0, 0.55), (0.6, 0.15))
    others = [0.4 * torso * _bump((0.5 * np.sin(k), 0.3 * np.cos(2 * k)), (0.3, 0.3)) for k in range(DIM - 2)]
    categories = [0.8 * _bump((0.8 - 0.5 * k, 0), (0.2, 0.5)) for k in range(EMBEDDING)]
    return np.stack([0.5 * torso, 0.8 * sides, *others, *categories]).reshape(DIM + EMBEDDING, -1)


def generator_graph() -> onnx.ModelProto:
    """The generator as ONNX: an embedding, a linear layer, ReLU, a linear layer and tanh."""
    inputs = DIM + EMBEDDING
    # ReLU of x less ReLU of -x is x: the network has an activation, and is still known.
    first = np.concatenate([np.eye(inputs), -np.eye(inputs)], axis=1).astype(np.float32)
    shapes = _shapes()
    bias = (1.2 * (shapes[0] > 0) - 1.4).astype(np.float32)
    weights = {
        "embed.weight": np.eye(len(CATEGORIES), EMBEDDING, dtype=np.float32),
        "first.weight": first,
        "second.weight": np.concatenate([shapes, -shapes]),
        "second.bias": bias,
        "shape": np.array([-1, 1, SIDE, SIDE], np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["embed.weight", "labels"], ["embedding"]),
        helper.make_node("Concat", ["latents", "embedding"], ["both"], axis=1),
        helper.make_node("MatMul", ["both", "first.weight"], ["linear"]),
        helper.make_node("Relu", ["linear"], ["active"]),
        helper.make_node("Gemm", ["active", "second.weight", "second.bias"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["picture"]),
        helper.make_node("Tanh", ["picture"], ["pictures"]),
    ]
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [
            helper.make_tensor_value_info("latents", TensorProto.FLOAT, ["n", DIM]),
            helper.make_tensor_value_info("labels", TensorProto.INT64, ["n"]),
        ],
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["n", 1, SIDE, SIDE])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def styled_graph(*, mapped: bool = False) -> onnx.ModelProto:
    """A generator whose latents enter twice, halved: once for the form and once, later, for how strong it is.

    `mapped`: what enters is what a layer and a tanh made of latents of length 1.
    """
    shapes = _shapes()[:DIM]
    weights: dict[str, NDArray[np.generic]] = {
        "half": np.array(0.5, np.float32),
        "embed.weight": np.zeros((len(CATEGORIES), DIM), np.float32),
        "form.weight": np.eye(DIM, dtype=np.float32),
        "strength.weight": np.full((DIM, 1), 0.3, np.float32),
        "shapes": shapes,
        "shape": np.array([-1, 1, SIDE, SIDE], np.int64),
    }
    mapping = [
        helper.make_node("ReduceL2", ["latents", "last"], ["length"], keepdims=1),
        helper.make_node("Div", ["latents", "length"], ["unit"]),
        helper.make_node("MatMul", ["unit", "mapping.weight"], ["linear"]),
        helper.make_node("Tanh", ["linear"], ["style"]),
    ]
    if mapped:
        weights |= {"last": np.array([1], np.int64), "mapping.weight": 3 * np.eye(DIM, dtype=np.float32)[::-1]}
    nodes = [
        *(mapping if mapped else []),
        helper.make_node("Mul", ["style" if mapped else "latents", "half"], ["pulled"]),
        helper.make_node("Gather", ["embed.weight", "labels"], ["embedding"]),
        helper.make_node("Add", ["pulled", "embedding"], ["condition"]),
        helper.make_node("MatMul", ["condition", "form.weight"], ["form"]),
        helper.make_node("Tanh", ["form"], ["active"]),
        helper.make_node("MatMul", ["active", "shapes"], ["flat"]),
        helper.make_node("MatMul", ["condition", "strength.weight"], ["strength"]),
        helper.make_node("Mul", ["flat", "strength"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "shape"], ["picture"]),
        helper.make_node("Tanh", ["picture"], ["pictures"]),
    ]
    graph = helper.make_graph(
        nodes,
        "styled",
        [
            helper.make_tensor_value_info("latents", TensorProto.FLOAT, ["n", DIM]),
            helper.make_tensor_value_info("labels", TensorProto.INT64, ["n"]),
        ],
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["n", 1, SIDE, SIDE])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def judge_graph() -> onnx.ModelProto:
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
    graph = helper.make_graph(
        nodes,
        "judge",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["n", 1, SIDE, SIDE])],
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n"]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", len(CATEGORIES)]),
        ],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def write_stand_in(folder: Path, graph: onnx.ModelProto | None = None) -> Path:
    """Write the generator, or another `graph`, with its card into `folder`, which is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    content, judge = (one.SerializeToString() for one in (graph or generator_graph(), judge_graph()))
    write_exported(folder, {MODEL_NAME: content, JUDGE_NAME: judge}, stand_in_card(content, judge))
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
