"""ONNX graphs of generators: refused when unsafe, opened to mixed categories and styles, tapped at their first layers.

A generator's graph takes `latents` (N, D) float32 and `labels` (N,) int64 and gives `pictures`, NCHW float32 in [-1, 1].
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.errors import InputError

LATENTS, LABELS, MIX, PICTURES = "latents", "labels", "mix", "pictures"
WEIGHTED = {"Gemm", "MatMul", "Conv", "ConvTranspose"}
ACTIVATIONS = {"Relu", "LeakyRelu", "PRelu", "Sigmoid", "Tanh", "Elu", "Gelu", "Softplus", "HardSwish"}
STANDARD_DOMAINS = {"", "ai.onnx"}


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                if inner.ByteSize():
                    yield from _graphs(inner)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)


def safe_graph(content: bytes, where: str) -> onnx.ModelProto:
    """The graph in the bytes of an ONNX file.

    Raises InputError when it is not ONNX, keeps data outside the file, or uses operators of its own.
    """
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf raises classes of its own, one per implementation
        raise InputError(f"{where}: not an ONNX file ({type(error).__name__}); run export again") from None
    for graph in _graphs(model.graph):
        for tensor in _tensors(graph):
            if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
                raise InputError(f"{where}: keeps weights outside the file; export it as one file")
        strange = {node.domain for node in [*graph.node, *model.functions]} - STANDARD_DOMAINS
        if strange:
            raise InputError(f"{where}: uses operators of its own ({', '.join(sorted(strange))}); export it with standard ones")
    return model


def read_graph(content: bytes, where: str) -> onnx.ModelProto:
    """The generator's graph in the bytes of an ONNX file. Raises InputError when it is unsafe or no generator."""
    model = safe_graph(content, where)
    names = {value.name for value in model.graph.input}, {value.name for value in model.graph.output}
    if names != ({LATENTS, LABELS}, {PICTURES}):
        raise InputError(f"{where}: is no generator: it wants inputs `latents` and `labels` and the output `pictures`")
    return model


def with_category_mix(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The same graph with `mix` (N, C), shares of each category, in place of `labels`; a one-hot row gives what the label gave.

    None when the labels go anywhere but into tables of embeddings.
    """
    readers = [node for node in model.graph.node if LABELS in node.input]
    tables = {tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT}
    if not readers or any(node.op_type != "Gather" or node.input[0] not in tables for node in readers):
        return None
    if any(attribute.name == "axis" and attribute.i for node in readers for attribute in node.attribute):
        return None
    mixed = onnx.ModelProto()
    mixed.CopyFrom(model)
    for place, node in enumerate(mixed.graph.node):
        if LABELS in node.input:
            table = node.input[0]
            name = f"mix_categories_{place}"
            mixed.graph.node[place].CopyFrom(helper.make_node("MatMul", [MIX, table], list(node.output), name=name))
    for place, value in enumerate(mixed.graph.input):
        if value.name == LABELS:
            del mixed.graph.input[place]
            break
    categories = numpy_helper.to_array(tables[table]).shape[0]
    mixed.graph.input.append(helper.make_tensor_value_info(MIX, TensorProto.FLOAT, ["n", categories]))
    del mixed.graph.value_info[:]
    return mixed


@dataclass(frozen=True)
class Entrance:
    """How latents enter a network."""

    before: list[int]  # places of nodes between the latents and the first layers
    layers: list[int]  # places of the first layers with weights
    mixes_later: bool  # whether latents are also read by a node that depends on one of the layers already


def entrance_of(graph: onnx.GraphProto) -> Entrance:
    """The nodes through which `latents` enter, in order of computation."""
    constants = {tensor.name for tensor in graph.initializer}
    reached, behind = {LATENTS}, set[str]()
    before, layers, mixes_later = list[int](), list[int](), False
    for place, node in enumerate(graph.node):
        inputs = set(node.input)
        weighted = node.op_type in WEIGHTED and bool(constants & inputs)
        if behind & inputs:
            mixes_later = mixes_later or bool(reached & inputs)
            behind.update(node.output)
        elif reached & inputs and weighted:
            layers.append(place)
            behind.update(node.output)
        elif reached & inputs:
            before.append(place)
            reached.update(node.output)
    return Entrance(before, layers, mixes_later)


def first_layers(graph: onnx.GraphProto) -> tuple[list[str], str | None]:
    """Names of the outputs of the layers that `latents` enter first, and of the first activation after one of them."""
    layers = entrance_of(graph).layers
    behind = set[str]()
    activation = None
    for place, node in enumerate(graph.node):
        if place in layers or behind & set(node.input):
            behind.update(node.output)
            if activation is None and place not in layers and node.op_type in ACTIVATIONS:
                activation = node.output[0]
    return [graph.node[place].output[0] for place in layers], activation


def with_style_layers(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int] | None:
    """The same graph with `latents` (N, L, D), one for each of the L layers that latents enter, coarse to fine; and L.

    Style mixing (Karras et al. 2019, section 3.1) without a mapping network. None where latents enter only once.
    """
    entrance = entrance_of(model.graph)
    count = len(entrance.layers)
    if count < 2 or entrance.mixes_later:
        return None
    layered = onnx.ModelProto()
    layered.CopyFrom(model)
    nodes = list(layered.graph.node)
    del layered.graph.node[:]
    for place, node in enumerate(nodes):
        if place in entrance.layers:
            layer = entrance.layers.index(place)
            index, style = f"style_index_{layer}", f"style_{layer}"
            layered.graph.initializer.append(numpy_helper.from_array(np.array(layer, np.int64), index))
            layered.graph.node.append(helper.make_node("Gather", [LATENTS, index], [style], axis=1, name=f"take_{style}"))
            own = {LATENTS: style}
            for earlier in (nodes[at] for at in entrance.before if at < place):
                copy = onnx.NodeProto()
                copy.CopyFrom(earlier)
                _rename_inputs(copy, own)
                own |= {name: f"{name}_{layer}" for name in earlier.output}
                copy.output[:] = [own[name] for name in earlier.output]
                copy.name = f"{copy.output[0]}_of_{style}"
                layered.graph.node.append(copy)
            _rename_inputs(node, own)
        if place not in entrance.before:
            layered.graph.node.append(node)
    for value in layered.graph.input:
        if value.name == LATENTS:
            dim = value.type.tensor_type.shape.dim[1].dim_value
            value.CopyFrom(helper.make_tensor_value_info(LATENTS, TensorProto.FLOAT, ["n", count, dim]))
    del layered.graph.value_info[:]
    return layered, count


def _rename_inputs(node: onnx.NodeProto, names: dict[str, str]) -> None:
    node.input[:] = [names.get(name, name) for name in node.input]


def tapped(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """The same graph with the tensors `names` as further outputs, after `pictures`."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    return copy
