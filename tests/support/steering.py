"""A folder of reference whose contrastive head finds bright pictures like one text, without EfficientNet."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pipeline.metrics.contrast import DIM, ContrastiveHead, save_head
from pipeline.metrics.extractors import EFFLITE0_FILE
from pipeline.metrics.reference_set import CARD, ReferenceCard
from pipeline.storage.checksums import write_sums
from pipeline.words.encoder import EMBEDDING_DIM

TEXT_DIM, SIDE_PX = EMBEDDING_DIM, 32


def _brightness_graph() -> onnx.ModelProto:
    """Two features: the mean level less 128, and 40."""
    weights: dict[str, NDArray[Any]] = {
        "axes": np.array([1, 2, 3], np.int64),
        "last": np.array([1], np.int64),
        "half": np.array([128.0], np.float32),
    }
    nodes = [
        helper.make_node("ReduceMean", ["pictures", "axes"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "half"], ["level"]),
        helper.make_node("Unsqueeze", ["level", "last"], ["column"]),
        helper.make_node("Mul", ["column", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "forty"], ["fixed"]),
        helper.make_node("Concat", ["column", "fixed"], ["features"], axis=1),
    ]
    weights |= {"zero": np.array([0.0], np.float32), "forty": np.array([40.0], np.float32)}
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["n", 3, SIDE_PX, SIDE_PX])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def write_bright_reference(folder: Path, bright: NDArray[np.float32]) -> Path:
    """Write a reference in whose head the text of the embedding `bright` (E,) is like bright pictures; returns `folder`."""
    folder.mkdir(parents=True)
    of_pictures, of_texts = np.zeros((2, DIM), np.float32), np.zeros((TEXT_DIM, DIM), np.float32)
    of_pictures[0, 0] = of_pictures[1, 1] = 1
    of_texts[:, 0] = bright
    save_head(folder, ContrastiveHead(np.zeros(2, np.float32), np.ones(2, np.float32), of_pictures, of_texts))
    (folder / EFFLITE0_FILE).write_bytes(_brightness_graph().SerializeToString())
    card = ReferenceCard(SIDE_PX, [], {}, [], {}, {}, {}, [1])
    (folder / CARD).write_text(json.dumps(asdict(card)))
    write_sums(folder)
    return folder
