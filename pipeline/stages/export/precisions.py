"""A generator's ONNX graph converted to fewer bits by onnxruntime; inputs and outputs stay float32."""

import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from pipeline.inference.latents import draw_latents
from pipeline.storage.onnx_files import traceless_bytes

ORT_WARNINGS, ORT_ERRORS = 2, 3
CALIBRATION_SEED, CALIBRATION_LATENTS, CALIBRATION_BATCH = 1, 128, 16
QUANTIZED = ["Conv", "ConvTranspose", "Gemm"]  # most weights; norms and embeddings stay exact


def in_fp16(model: bytes) -> bytes:
    """`model`, without optional inputs, with weights and arithmetic in half precision."""
    halved = OnnxModel(convert_float_to_float16(_with_own_scales(onnx.load_model_from_string(model)), keep_io_types=True))
    halved.topological_sort()  # the converter appends its casts
    return traceless_bytes(halved.model)


def _with_own_scales(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with scales of its own for every Resize: the converter names the cast of a Resize after its scales."""
    scales = {tensor.name: tensor for tensor in model.graph.initializer}
    seen = set[str]()
    for place, node in enumerate(node for node in model.graph.node if node.op_type == "Resize"):
        shared = node.input[2] if len(node.input) > 2 else ""
        if shared in seen and shared in scales:
            own = model.graph.initializer.add()
            own.CopyFrom(scales[shared])
            own.name = node.input[2] = f"{shared}_of_resize_{place}"
        seen.add(shared)
    return model


def in_int8(
    model: bytes,
    latent_dim: int,
    categories: int,
    further_inputs: Mapping[str, tuple[int, ...]],
    condition: Mapping[str, NDArray[np.float32]] | None = None,
) -> bytes:
    """`model`, without optional inputs, with weights and activations in 8 bits, calibrated on drawn latents and on `condition`.

    Static quantisation in QDQ form with a scale per channel (Jacob et al. 2018); the ranges of activations are the smallest and
    largest values seen. `further_inputs` are shapes, without N, of inputs that are zero in the calibration, unless `condition`
    has CALIBRATION_LATENTS rows for them by name.
    """
    graph = onnx.load_model_from_string(model)
    *_, last = (node.name for node in graph.graph.node if node.op_type in QUANTIZED)
    filters = [node.name for node in graph.graph.node if any(one.name == "group" and one.i > 1 for one in node.attribute)]
    with tempfile.TemporaryDirectory() as folder, _quiet_quantiser():
        prepared, quantized = Path(folder, "prepared.onnx"), Path(folder, "int8.onnx")
        quant_pre_process(graph, prepared, skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantized,
            _CalibrationInputs(latent_dim, categories, further_inputs, condition or {}),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=QUANTIZED,
            # Low-pass filters are not learnt, and the last layer in 8 bits would make the difference four times as large.
            nodes_to_exclude=[last, *filters],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,  # without VNNI, sums of two 8-bit products saturate at 16 bits
        )
        return traceless_bytes(onnx.load(quantized))


class _CalibrationInputs(CalibrationDataReader):
    """Latents with the labels of all categories in turn, in batches."""

    def __init__(
        self,
        latent_dim: int,
        categories: int,
        further_inputs: Mapping[str, tuple[int, ...]],
        condition: Mapping[str, NDArray[np.float32]],
    ) -> None:
        latents = draw_latents(CALIBRATION_SEED, CALIBRATION_LATENTS, latent_dim)
        labels = np.arange(CALIBRATION_LATENTS, dtype=np.int64) % categories
        starts = range(0, CALIBRATION_LATENTS, CALIBRATION_BATCH)
        parts = [slice(start, start + CALIBRATION_BATCH) for start in starts]
        inputs: dict[str, NDArray[Any]] = {"latents": latents, "labels": labels}
        inputs |= {name: np.zeros((CALIBRATION_LATENTS, *shape), np.float32) for name, shape in further_inputs.items()}
        inputs |= condition
        self._batches = iter([{name: rows[part] for name, rows in inputs.items()} for part in parts])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)


@contextmanager
def _quiet_quantiser() -> Iterator[None]:
    """Silence the quantiser: it advises on the root logger to prepare the graph, which is prepared, and its sessions warn of
    initialisers among the inputs, which are the defaults of the optional ones.
    """
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    onnxruntime.set_default_logger_severity(ORT_ERRORS)
    try:
        yield
    finally:
        root.setLevel(before)
        onnxruntime.set_default_logger_severity(ORT_WARNINGS)
