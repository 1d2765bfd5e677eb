"""Networks as ONNX, from torch."""

import torch
from torch import Tensor, nn

from pipeline.metrics.classifier import Classifier
from pipeline.store.traceless import traceless_bytes

OPSET = 20


def as_onnx(generator: nn.Module, latent_dim: int) -> bytes:
    """`generator` as ONNX: `latents` (N, D) float32 and `labels` (N,) int64 to `pictures` NCHW float32 in [-1, 1], any N.

    Equal weights give equal bytes; all weights are inside.
    """
    return _exported(
        generator,
        (torch.zeros(2, latent_dim), torch.zeros(2, dtype=torch.int64)),
        inputs=["latents", "labels"],
        outputs=["pictures"],
        dynamic=({0: "batch"}, {0: torch.export.Dim.DYNAMIC}),
    )


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
