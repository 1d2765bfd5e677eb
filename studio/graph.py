"""ONNX graphs of generators: opened to mixed categories and styles, tapped at their first layers.

A generator's graph takes `latents` (N, D) float32 and `labels` (N,) int64 and gives `pictures`, NCHW float32 in [-1, 1].
"""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.errors import InputError
from pipeline.inference.onnx_safety import safe_graph

LATENTS, LABELS, MIX, PICTURES = "latents", "labels", "mix", "pictures"
SPATIAL = {"Conv", "ConvTranspose"}
WEIGHTED = {"Gemm", "MatMul", "Conv", "ConvTranspose"}
ACTIVATIONS = {"Relu", "LeakyRelu", "PRelu", "Sigmoid", "Tanh", "Elu", "Gelu", "Softplus", "HardSwish"}


def read_graph(content: bytes, where: str) -> onnx.ModelProto:
    """The generator's graph in the bytes of an ONNX file. Raises InputError when it is unsafe or no generator."""
    model = safe_graph(content, where)
    optional = {tensor.name for tensor in model.graph.initializer}
    names = {value.name for value in model.graph.input} - optional, {value.name for value in model.graph.output}
    if names != ({LATENTS, LABELS}, {PICTURES}):
        raise InputError(f"{where}: is no generator: it wants inputs `latents` and `labels` and the output `pictures`")
    return model


def with_category_mix(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The same graph with `mix` (N, C), shares of each category, in place of `labels`; a one-hot row gives what the label gave.

    None when the labels go anywhere but into tables, such as those of embeddings.
    """
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16)
    tables = {tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type in floats}
    nodes = list(model.graph.node)
    columns = {node.output[0] for node in nodes if node.op_type == "Unsqueeze" and node.input[0] == LABELS}  # labels (N, 1)
    categories = 0
    opened = list[onnx.NodeProto]()
    for place, node in enumerate(nodes):
        if not {LABELS, *columns} & set(node.input):
            opened.append(node)
        elif node.op_type == "Shape" and {(one.name, one.i) for one in node.attribute} <= {("start", 0), ("end", 1)}:
            opened.append(helper.make_node("Shape", [MIX], list(node.output), name=node.name, start=0, end=1))
        elif _is_look_up(node, columns) and node.input[0] in tables:
            table = tables[node.input[0]]
            categories = table.dims[0]
            opened += _weighted_sum(table, node.output[0], f"mix_categories_{place}")
        elif node.output[0] not in columns:
            return None
    if not categories:
        return None
    mixed = onnx.ModelProto()
    mixed.CopyFrom(model)
    del mixed.graph.node[:]
    mixed.graph.node.extend(opened)
    for place, value in enumerate(mixed.graph.input):
        if value.name == LABELS:
            del mixed.graph.input[place]
            break
    mixed.graph.input.append(helper.make_tensor_value_info(MIX, TensorProto.FLOAT, ["n", categories]))
    del mixed.graph.value_info[:]
    return mixed


def _is_look_up(node: onnx.NodeProto, columns: set[str]) -> bool:
    """Whether `node` takes the rows of a table (C, D) that labels (N,), or `columns` of them (N, 1), name."""
    wanted = {"Gather": {LABELS}, "GatherND": columns}.get(node.op_type, set())
    return len(node.input) == 2 and node.input[1] in wanted and not any(attribute.i for attribute in node.attribute)


def _weighted_sum(table: onnx.TensorProto, output: str, name: str) -> list[onnx.NodeProto]:
    """The rows of `table` summed, each as much as its share in the mix."""
    cast = []
    shares = MIX
    if table.data_type != TensorProto.FLOAT:
        shares = f"shares_of_{name}"
        cast = [helper.make_node("Cast", [MIX], [shares], to=table.data_type, name=shares)]
    return [*cast, helper.make_node("MatMul", [shares, table.name], [output], name=name)]


@dataclass(frozen=True)
class Entrance:
    """How a tensor, such as the latents, enters a network."""

    before: list[int]  # places of nodes between the tensor and the first layers
    layers: list[int]  # places of the first layers with weights
    mixes_later: bool  # whether the tensor is also read by a node that depends on one of the layers already


def entrance_of(graph: onnx.GraphProto, tensor: str = LATENTS) -> Entrance:
    """The nodes through which `tensor` enters, in order of computation."""
    constants = {tensor.name for tensor in graph.initializer}
    reached, behind = {tensor}, set[str]()
    before, layers, mixes_later = list[int](), list[int](), False
    for place, node in enumerate(graph.node):
        inputs = set(node.input) - {""}
        if inputs <= constants:  # such as weights in 8 bits that are turned back to floats
            constants.update(node.output)
            continue
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
    """The same graph with `latents` (N, L, D), one for each of the L layers that a style enters, coarse to fine; and L.

    Style mixing (Karras et al. 2019, section 3.1): the style is what a mapping network makes of the latents, or where there is
    none the latents themselves. None where it enters only once.
    """
    entrance = _style_entrance(model.graph)
    if entrance is None:
        return None
    count = len(entrance.layers)
    layered = onnx.ModelProto()
    layered.CopyFrom(model)
    nodes = list(layered.graph.node)
    del layered.graph.node[:]
    for place, node in enumerate(nodes):
        if place in entrance.layers:
            layer = entrance.layers.index(place)
            own_name = f"of_style_layer_{layer}"  # a name that no exporter gives
            index, latent = f"index_{own_name}", f"{LATENTS}_{own_name}"
            layered.graph.initializer.append(numpy_helper.from_array(np.array(layer, np.int64), index))
            layered.graph.node.append(helper.make_node("Gather", [LATENTS, index], [latent], axis=1, name=f"take_{latent}"))
            own = {LATENTS: latent}
            for earlier in (nodes[at] for at in entrance.before if at < place):
                copy = onnx.NodeProto()
                copy.CopyFrom(earlier)
                _rename_inputs(copy, own)
                own |= {name: f"{name}_{own_name}" for name in earlier.output}
                copy.output[:] = [own[name] for name in earlier.output]
                copy.name = f"draw_{copy.output[0]}"
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


def _style_entrance(graph: onnx.GraphProto) -> Entrance | None:
    """How the style enters: the last tensor before any feature map that all of the latents' ways go through, and that then
    enters two layers or more."""
    last_read = {name: place for place, node in enumerate(graph.node) for name in node.input}
    reached, passed = {LATENTS}, list[int]()
    bottlenecks = [(LATENTS, list[int]())]
    for place, node in enumerate(graph.node):
        if not reached & set(node.input):
            continue
        if node.op_type in SPATIAL:
            break
        reached.update(node.output)
        passed.append(place)
        open_ends = [name for name in reached if last_read.get(name, -1) > place]
        if len(open_ends) == 1:
            bottlenecks.append((open_ends[0], list(passed)))
    for tensor, before in reversed(bottlenecks):
        entrance = entrance_of(graph, tensor)
        if len(entrance.layers) > 1 and not entrance.mixes_later:
            return Entrance(sorted(before + entrance.before), entrance.layers, False)
    return None


def _rename_inputs(node: onnx.NodeProto, names: dict[str, str]) -> None:
    node.input[:] = [names.get(name, name) for name in node.input]


def tapped(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """The same graph with the tensors `names` as further outputs, after `pictures`."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    return copy
