"""Checks of untrusted ONNX files: no data outside the file, no custom operators, no loops; and a memory limit."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import psutil
from onnx import TensorProto

from pipeline.errors import InputError

STANDARD_DOMAINS = {"", "ai.onnx"}
LOOPS = {"Loop", "Scan"}  # the only operators that can run for ever; networks of this pipeline have none

Body = onnx.GraphProto | onnx.FunctionProto


def _bodies(body: Body) -> Iterator[Body]:
    yield body
    for node in body.node:
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                if inner.ByteSize():
                    yield from _bodies(inner)


def _tensors(body: Body) -> Iterator[onnx.TensorProto]:
    sparse: list[onnx.SparseTensorProto] = []
    if isinstance(body, onnx.GraphProto):
        yield from body.initializer
        sparse += body.sparse_initializer
    for node in body.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            sparse += [attribute.sparse_tensor, *attribute.sparse_tensors]
    for tensor in sparse:
        yield from (tensor.values, tensor.indices)


def safe_graph(content: bytes, where: str) -> onnx.ModelProto:
    """The graph in the bytes of an ONNX file; `where` names the file in errors.

    Raises InputError if it is not ONNX, has data outside the file, uses custom operators, or has loops. onnxruntime itself
    would read external data from anywhere on the disk.
    """
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf raises a class of its own in each implementation
        raise InputError(f"{where}: not an ONNX file ({type(error).__name__}); run export again") from None
    for body in [inner for one in (model.graph, *model.functions) for inner in _bodies(one)]:
        for tensor in _tensors(body):
            if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
                raise InputError(f"{where}: has weights outside the file; export it as one file")
        strange = {node.domain for node in [*body.node, *model.functions]} - STANDARD_DOMAINS
        if strange:
            raise InputError(f"{where}: uses custom operators ({', '.join(sorted(strange))}); export it with standard ones")
        loops = {node.op_type for node in body.node} & LOOPS
        if loops:
            raise InputError(f"{where}: has loops ({', '.join(sorted(loops))}), which no generator needs; export it without")
    return model


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Run a block in which allocating more than this machine's memory raises an error instead of killing the process later."""
    limit, most = resource.getrlimit(resource.RLIMIT_AS)
    wanted = psutil.Process(os.getpid()).memory_info().vms + psutil.virtual_memory().total
    bounds = [wanted, *(bound for bound in (limit, most) if bound != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))
