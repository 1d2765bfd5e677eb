"""Untrusted ONNX files: whatever reaches outside the file or is not standard is refused."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.errors import InputError
from pipeline.inference.onnx_safety import safe_graph
from tests.support.studio_model import generator_graph


def test_weights_outside_the_file_are_refused() -> None:
    graph = generator_graph()
    tensor = graph.graph.initializer[1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    with pytest.raises(InputError, match="outside the file"):
        safe_graph(graph.SerializeToString(), "model")


def test_weights_outside_the_file_are_refused_inside_a_branch_too() -> None:
    graph = generator_graph()
    outside = numpy_helper.from_array(np.zeros(2, np.float32), "hidden")
    outside.data_location = TensorProto.EXTERNAL
    branch = helper.make_graph([helper.make_node("Constant", [], ["out"], value=outside)], "branch", [], [])
    graph.graph.node.append(helper.make_node("If", ["labels"], ["o"], then_branch=branch, else_branch=branch))
    with pytest.raises(InputError, match="outside the file"):
        safe_graph(graph.SerializeToString(), "model")


def test_weights_outside_the_file_are_refused_inside_a_function_too() -> None:
    graph = generator_graph()
    outside = numpy_helper.from_array(np.zeros(2, np.float32), "hidden")
    outside.data_location = TensorProto.EXTERNAL
    nodes = [helper.make_node("Constant", [], ["out"], value=outside)]
    graph.functions.append(helper.make_function("", "Hidden", [], ["out"], nodes, graph.opset_import))
    with pytest.raises(InputError, match="outside the file"):
        safe_graph(graph.SerializeToString(), "model")


def test_operators_of_its_own_are_refused() -> None:
    graph = generator_graph()
    graph.graph.node[0].domain = "com.example"
    with pytest.raises(InputError, match=r"com\.example"):
        safe_graph(graph.SerializeToString(), "model")


def test_a_file_that_is_not_onnx_is_refused() -> None:
    with pytest.raises(InputError):
        safe_graph(b"\x80\x04 a pickle", "model")
