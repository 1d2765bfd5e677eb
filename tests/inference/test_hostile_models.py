"""Exported models from elsewhere: what is none, or reaches outside its file, is refused in one line by every reader."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.__main__ import main
from pipeline.errors import InputError
from pipeline.inference.onnx_generator import CARD_NAME, JUDGE_NAME, MODEL_NAME, read_card, read_exported, write_exported
from studio.model import open_generator
from tests.support.studio_model import DIM, SIDE, generator_graph, judge_graph, stand_in_card, write_stand_in

READERS: list[Callable[[Path], object]] = [read_exported, open_generator]
readers = pytest.mark.parametrize("read", READERS, ids=["generate", "studio"])


def write_graph(folder: Path, graph: onnx.ModelProto) -> Path:
    """`graph` with a card of its own SHA-256, in `folder`."""
    return write_stand_in(folder, graph)


def with_weights_in(location: str) -> onnx.ModelProto:
    """The stand-in with a tensor in the file at `location`."""
    graph = generator_graph()
    tensor = next(one for one in graph.graph.initializer if one.name == "second.bias")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return graph


def filled(dims: list[int]) -> onnx.ModelProto:
    """The stand-in with a node that fills a tensor of `dims` on the way to its pictures."""
    graph = generator_graph()
    body = graph.graph
    body.initializer.append(numpy_helper.from_array(np.array(dims, np.int64), "dims"))
    body.node[-1].input[0] = "sum"
    body.node.insert(len(body.node) - 1, helper.make_node("ConstantOfShape", ["dims"], ["filled"]))
    body.node.insert(len(body.node) - 1, helper.make_node("ReduceSum", ["filled"], ["total"], keepdims=0))
    body.node.insert(len(body.node) - 1, helper.make_node("Add", ["picture", "total"], ["sum"]))
    return graph


def looping() -> onnx.ModelProto:
    """The stand-in with a loop of 2**62 rounds."""
    graph = generator_graph()
    rounds, go_on = np.array(2**62), np.array(True)
    graph.graph.initializer.extend([numpy_helper.from_array(rounds, "rounds"), numpy_helper.from_array(go_on, "go_on")])
    body = helper.make_graph(
        [helper.make_node("Identity", ["still"], ["on"]), helper.make_node("Identity", ["so_far"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("so_far", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    graph.graph.node[-1].input[0] = "looped"
    graph.graph.node.insert(
        len(graph.graph.node) - 1, helper.make_node("Loop", ["rounds", "go_on", "picture"], ["looped"], body=body)
    )
    return graph


def with_latents_of(dims: list[int | str]) -> onnx.ModelProto:
    """The stand-in whose latents are declared as `dims`."""
    graph = generator_graph()
    graph.graph.input[0].CopyFrom(helper.make_tensor_value_info("latents", TensorProto.FLOAT, dims))
    return graph


def without_its_output() -> onnx.ModelProto:
    graph = generator_graph()
    graph.graph.node.pop()
    return graph


@readers
def test_weights_outside_the_file_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object]
) -> None:
    monkeypatch.chdir(tmp_path)  # where onnxruntime looks for what a graph given as bytes keeps outside
    (tmp_path / "secret").write_bytes(np.zeros(SIDE * SIDE, np.float32).tobytes())
    for location in ("secret", str(tmp_path / "secret"), "../secret"):
        with pytest.raises(InputError, match=MODEL_NAME):
            read(write_graph(tmp_path / "model", with_weights_in(location)))


@readers
@pytest.mark.parametrize(
    "graph",
    [
        filled([2**40]),
        filled([2**62]),
        filled([-5]),
        with_latents_of(["n", 10**9]),
        with_latents_of([3]),
        looping(),
        without_its_output(),
        onnx.ModelProto(),
    ],
    ids=["a terabyte", "overflow", "negative", "wide latents", "flat latents", "a loop", "no output", "empty"],
)
def test_absurd_graphs_are_one_line(tmp_path: Path, read: Callable[[Path], object], graph: onnx.ModelProto) -> None:
    with pytest.raises(InputError) as refused:
        read(write_graph(tmp_path / "model", graph))
    assert str(tmp_path / "model") in str(refused.value)
    assert "\n" not in str(refused.value)


@readers
@pytest.mark.parametrize("content", [b"", b"\x80\x04 a pickle", b"\x08" * 5000, b"PK\x03\x04", b"\xff" * 64])
def test_what_is_no_onnx_file_is_one_line(tmp_path: Path, read: Callable[[Path], object], content: bytes) -> None:
    judge = judge_graph().SerializeToString()
    write_exported(tmp_path, {MODEL_NAME: content, JUDGE_NAME: judge}, stand_in_card(content, judge))
    with pytest.raises(InputError) as refused:
        read(tmp_path)
    assert str(tmp_path) in str(refused.value)


@readers
@pytest.mark.parametrize("name", [MODEL_NAME, CARD_NAME])
@pytest.mark.parametrize("kind", ["folder", "pipe", "nothing", "loop of links"])
def test_what_is_no_file_is_one_line_and_not_waited_for(
    tmp_path: Path, read: Callable[[Path], object], name: str, kind: str
) -> None:
    path = write_stand_in(tmp_path) / name
    path.unlink()
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "loop of links":
            path.symlink_to(path)
    with pytest.raises(InputError, match=name):
        read(tmp_path)


@readers
@pytest.mark.parametrize(
    "change",
    [
        {"height": 0},
        {"height": 10**9},
        {"height": "32"},
        {"width": -1},
        {"channels": 10**6},
        {"latent_dim": 0},
        {"latent_dim": 10**12},
        {"categories": []},
        {"categories": ["a", 1]},
        {"categories": "top"},
        {"variants": [{}]},
        {"variants": None},
        {"onnx_sha256": None},
        {"extra": 1},
        {"attributes": {"colour": "red"}},
    ],
    ids=str,
)
def test_a_card_of_absurd_values_is_one_line_that_names_the_key(
    tmp_path: Path, read: Callable[[Path], object], change: dict[str, object]
) -> None:
    path = write_stand_in(tmp_path) / CARD_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=next(iter(change))) as refused:
        read(tmp_path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"null", b"[" * 100_000, b"\xff\xfe{}", b'{"height": ' + b"9" * 5000 + b"}"]
)
def test_what_is_no_card_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CARD_NAME).write_bytes(content)
    with pytest.raises(InputError, match=CARD_NAME) as refused:
        read_card(tmp_path)
    assert "\n" not in str(refused.value)


@readers
def test_a_card_that_describes_other_pictures_is_refused(tmp_path: Path, read: Callable[[Path], object]) -> None:
    card = read_card(write_stand_in(tmp_path))
    contents = {name: (tmp_path / name).read_bytes() for name in (MODEL_NAME, JUDGE_NAME)}
    for other in (replace(card, height=16), replace(card, channels=3), replace(card, latent_dim=DIM + 1)):
        write_exported(tmp_path, contents, other)
        with pytest.raises(InputError, match=str(tmp_path)):
            read(tmp_path)


def test_a_judge_with_weights_outside_its_file_is_refused(tmp_path: Path) -> None:
    graph = judge_graph()
    tensor = next(one for one in graph.graph.initializer if one.name == "scores.weight")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    content, judge = generator_graph().SerializeToString(), graph.SerializeToString()
    card = replace(stand_in_card(content, judge), judge_sha256=hashlib.sha256(judge).hexdigest())
    write_exported(tmp_path, {MODEL_NAME: content, JUDGE_NAME: judge}, card)
    with pytest.raises(InputError, match=JUDGE_NAME):
        open_generator(tmp_path)


def test_generate_says_in_one_line_why_it_does_not_open_a_model(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = write_graph(tmp_path / "model", with_weights_in("/etc/passwd"))
    assert main(["generate", "--model", str(model), str(tmp_path / "out.npz")]) == 1
    (line,) = [record.getMessage() for record in caplog.records]
    assert str(model / MODEL_NAME) in line
    assert not (tmp_path / "out.npz").exists()
