"""ONNX models as bytes that depend on nothing but the network."""

import onnx


def traceless_bytes(model: onnx.ModelProto) -> bytes:
    """`model` without what torch's exporter notes for debugging: stack traces with this machine's paths, class names."""
    graph = model.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer, graph, model):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model.SerializeToString(deterministic=True)
