"""ONNX graphs of generators: refused when unsafe, opened to mixed categories, tapped at their first layers.

A generator's graph takes `latents` (N, D) float32 and `labels` (N,) int64 and gives `pictures`, NCHW float32 in [-1, 1].
"""

from collections.abc import Iterator

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


def read_graph(content: bytes, where: str) -> onnx.ModelProto:
    """The generator's graph in the bytes of an ONNX file.

    Raises InputError when it is not ONNX, keeps data outside the file, uses operators of its own, or is no generator.
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
    names = {value.name for value in model.graph.input}, {value.name for value in model.graph.output}
    if names != ({LATENTS, LABELS}, {PICTURES}):
        raise InputError(f"{where}: is no generator: it wants inputs `latents` and `labels` and the output `pictures`")
    return model


def with_category_mix(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The same graph with `mix` (N, C), shares of each category, in place of `labels`; a one-hot row gives what the label gave.

    None when the labels do not go into exactly one table of embeddings.
    """
    readers = [node for node in model.graph.node if LABELS in node.input]
    tables = {tensor.name: tensor for tensor in model.graph.initializer}
    if len(readers) != 1 or readers[0].op_type != "Gather" or readers[0].input[0] not in tables:
        return None
    if any(attribute.name == "axis" and attribute.i for attribute in readers[0].attribute):
        return None
    mixed = onnx.ModelProto()
    mixed.CopyFrom(model)
    for place, node in enumerate(mixed.graph.node):
        if LABELS in node.input:
            table = node.input[0]
            mixed.graph.node.remove(node)
            mixed.graph.node.insert(place, helper.make_node("MatMul", [MIX, table], list(node.output), name="mix_categories"))
            break
    for place, value in enumerate(mixed.graph.input):
        if value.name == LABELS:
            del mixed.graph.input[place]
            break
    categories = numpy_helper.to_array(tables[table]).shape[0]
    mixed.graph.input.append(helper.make_tensor_value_info(MIX, TensorProto.FLOAT, ["n", categories]))
    del mixed.graph.value_info[:]
    return mixed


def first_layers(graph: onnx.GraphProto) -> tuple[list[str], str | None]:
    """Names of the outputs of the layers that `latents` enter first, and of the first activation after one of them."""
    constants = {tensor.name for tensor in graph.initializer}
    reached, behind = {LATENTS}, set[str]()
    layers: list[str] = []
    activation = None
    for node in graph.node:
        if activation is None and node.op_type in ACTIVATIONS and behind & set(node.input):
            activation = node.output[0]
        if behind & set(node.input):
            behind.update(node.output)
        elif reached & set(node.input):
            if node.op_type in WEIGHTED and constants & set(node.input):
                layers.append(node.output[0])
                behind.update(node.output)
            else:
                reached.update(node.output)
    return layers, activation


def tapped(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """The same graph with the tensors `names` as further outputs, after `pictures`."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    return copy
