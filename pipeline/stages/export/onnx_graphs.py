"""Networks as ONNX, from torch."""

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from pipeline.metrics.classifier import Classifier
from pipeline.storage.onnx_files import traceless_bytes

OPSET = 20
ATTRIBUTES = "attributes"


def as_onnx(generator: nn.Module, latent_dim: int, attributes: int = 0) -> bytes:
    """`generator` as ONNX: `latents` (N, D) float32 and `labels` (N,) int64 to `pictures` NCHW float32 in [-1, 1], any N.

    One that knows `attributes` may also be given those, (N, A) or (1, A) float32; without them none is said. Equal weights give
    equal bytes; all weights are inside.
    """
    example: tuple[Tensor, ...] = (torch.zeros(2, latent_dim), torch.zeros(2, dtype=torch.int64))
    inputs = ["latents", "labels"]
    dynamic: tuple[dict[int, object], ...] = ({0: "batch"}, {0: torch.export.Dim.DYNAMIC})
    if not attributes:
        return _exported(generator, example, inputs=inputs, outputs=["pictures"], dynamic=dynamic)
    known = _exported(
        generator,
        (*example, torch.zeros(2, attributes)),
        inputs=[*inputs, ATTRIBUTES],
        outputs=["pictures"],
        dynamic=(*dynamic, {0: torch.export.Dim.DYNAMIC}),
    )
    model = onnx.load_model_from_string(known)
    (given,) = (value for value in model.graph.input if value.name == ATTRIBUTES)
    given.type.tensor_type.shape.dim[0].dim_param = "rows"  # as many as latents, or one for all
    unsaid = np.zeros((1, attributes), dtype=np.float32)
    model.graph.initializer.append(numpy_helper.from_array(unsaid, ATTRIBUTES))  # an input with a value need not be given
    # One row for all becomes a row each before anything else: the exported nodes count on as many as latents.
    for node in model.graph.node:
        node.input[:] = ["attributes_each" if name == ATTRIBUTES else name for name in node.input]
    model.graph.initializer.append(numpy_helper.from_array(np.array([attributes], dtype=np.int64), "attribute_count"))
    for node in reversed(
        [
            helper.make_node("Shape", ["latents"], ["latent_count"], start=0, end=1),
            helper.make_node("Concat", ["latent_count", "attribute_count"], ["attributes_shape"], axis=0),
            helper.make_node("Expand", [ATTRIBUTES, "attributes_shape"], ["attributes_each"]),
        ]
    ):
        model.graph.node.insert(0, node)
    return traceless_bytes(model)


class _Judge(nn.Module):
    """A classifier that says what it sees and what it thinks of it."""

    def __init__(self, network: nn.Sequential) -> None:
        super().__init__()
        self.features, self.scores = network[:-1], network[-1]

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(pictures)
        return features, self.scores(features)


def judge_as_onnx(classifier: Classifier) -> bytes:
    """`classifier` as ONNX: `pictures` NCHW float32 in [-1, 1] to `features` (N, 128) and `scores`, logits (N, categories)."""
    card = classifier.card
    return _exported(
        _Judge(classifier.network),
        (torch.zeros(2, card.channels, card.height, card.width),),
        inputs=["pictures"],
        outputs=["features", "scores"],
        dynamic=({0: "batch"},),
    )


def _exported(
    network: nn.Module,
    example: tuple[Tensor, ...],
    *,
    inputs: list[str],
    outputs: list[str],
    dynamic: tuple[dict[int, object], ...],
) -> bytes:
    with torch.no_grad():  # as it is drawn with
        program = torch.onnx.export(
            network.eval(),
            example,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=dynamic,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # it is when a file is asked for
    return traceless_bytes(program.model_proto)
