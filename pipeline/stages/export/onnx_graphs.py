"""Networks exported from torch to ONNX.

A generator's graph maps `latents` (N, D) float32 and `labels` (N,) int64 to `pictures`, NCHW float32 in [-1, 1], for any N.
Further inputs are optional and zero by default: `layer_latents` (N, L, D), added to the latents of each of the L style layers;
`category_mix` (N, C), added to the one-hot labels, so that label -1 with shares of categories mixes them; and, if the
generator was trained with them, `attributes` (N, A), or `text` (N, E), a unit vector times a strength in [0, 2], and
`text_change` (N, E), which is added to the text and so moves pictures with or without one. Each may have one row for all
pictures. Pictures with alpha are premultiplied: inference/transparency.py.
"""

from collections.abc import Mapping

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from pipeline.gan.alpha import as_layer, composite
from pipeline.gan.networks.parts import Generator
from pipeline.inference.transparency import Ground, unit_level
from pipeline.metrics.classifier import Classifier
from pipeline.storage.onnx_files import traceless_bytes

OPSET = 20
LATENTS = {0: "batch"}
ROWS = {0: torch.export.Dim.DYNAMIC}


class _InputsAdded(nn.Module):
    """`generator` with the inputs that the module's docstring describes."""

    def __init__(self, generator: Generator, categories: int) -> None:
        super().__init__()
        self.generator = generator
        self.register_buffer("categories", torch.arange(categories), persistent=False)
        self.categories: Tensor

    def forward(
        self,
        latents: Tensor,
        labels: Tensor,
        layer_latents: Tensor,
        category_mix: Tensor,
        condition: Tensor | None = None,
        text_change: Tensor | None = None,
    ) -> Tensor:
        shares = (labels[:, None] == self.categories).to(latents.dtype) + category_mix
        condition = self.generator.complete(shares, condition)
        if condition is not None and text_change is not None:
            condition = condition + text_change
        pictures: Tensor = self.generator(latents[:, None] + layer_latents, shares, condition)
        return pictures


def optional_inputs(
    generator: Generator, latent_dim: int, categories: int, condition: Mapping[str, int] | None = None
) -> dict[str, tuple[int, ...]]:
    """Shapes, without N, of the optional inputs by name; `condition` has the width of `attributes` or `text`, if any."""
    shapes: dict[str, tuple[int, ...]] = {
        "layer_latents": (generator.style_layers, latent_dim),
        "category_mix": (categories,),
    }
    shapes |= {name: (width,) for name, width in (condition or {}).items()}
    return shapes | ({"text_change": shapes["text"]} if "text" in shapes else {})


def generator_as_onnx(
    generator: Generator, latent_dim: int, categories: int, condition: Mapping[str, int] | None = None
) -> bytes:
    """`generator` as ONNX, its optional inputs still required: the converters to fewer bits know no optional ones.

    Equal weights give equal bytes; all weights are in the file.
    """
    shapes = optional_inputs(generator, latent_dim, categories, condition)
    return _exported(
        _InputsAdded(generator, categories),
        (torch.zeros(2, latent_dim), torch.zeros(2, dtype=torch.int64), *(torch.zeros(2, *shape) for shape in shapes.values())),
        inputs=["latents", "labels", *shapes],
        outputs=["pictures"],
        dynamic=(LATENTS, ROWS, *[ROWS] * len(shapes)),
    )


def with_defaults(content: bytes, shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """The graph in `content` whose inputs `shapes` are optional, zero by default, and may have one row for all pictures."""
    model = onnx.load_model_from_string(content)
    nodes = [helper.make_node("Shape", ["latents"], ["latent_count"], start=0, end=1)]
    renamed = {name: f"{name}_each" for name in shapes}
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    for name, shape in shapes.items():
        (value,) = (value for value in model.graph.input if value.name == name)
        value.type.tensor_type.shape.dim[0].dim_param = f"{name}_rows"  # N or 1
        # An input with an initialiser is optional.
        model.graph.initializer.append(numpy_helper.from_array(np.zeros((1, *shape), np.float32), name))
        model.graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), f"{name}_row_shape"))
        nodes += [
            helper.make_node("Concat", ["latent_count", f"{name}_row_shape"], [f"{name}_shape"], axis=0),
            helper.make_node("Expand", [name, f"{name}_shape"], [renamed[name]]),
        ]
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
    return traceless_bytes(model)


class _EarlyLayers(nn.Module):
    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, latents: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return self.generator.early_layers(latents, labels)


def early_layers_as_onnx(generator: Generator, latent_dim: int) -> bytes:
    """The generator's first layers as ONNX: `latents` and `labels` to `entered` (N, O), linear in the latents up to their
    normalisation, and `activation` (N, F). Directions of latent space are found in them."""
    return _exported(
        _EarlyLayers(generator),
        (torch.zeros(2, latent_dim), torch.zeros(2, dtype=torch.int64)),
        inputs=["latents", "labels"],
        outputs=["entered", "activation"],
        dynamic=(LATENTS, ROWS),
    )


class _Judge(nn.Module):
    """A classifier that returns its features too; with a ground, of premultiplied pictures on it."""

    def __init__(self, network: nn.Sequential, ground: Ground | None) -> None:
        super().__init__()
        self.features, self.scores, self.ground = network[:-1], network[-1], ground

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        if self.ground is not None:
            pictures = composite(as_layer(pictures), unit_level(self.ground))
        features = self.features(pictures)
        return features, self.scores(features)


def judge_as_onnx(classifier: Classifier, ground: Ground | None = None) -> bytes:
    """`classifier` as ONNX: `pictures` NCHW float32 in [-1, 1] to `features` (N, 128) and `scores`, logits (N, categories).

    With a `ground` the pictures have alpha, as a generator draws them, and the graph composites them first.
    """
    card = classifier.card
    return _exported(
        _Judge(classifier.network, ground),
        (torch.zeros(2, card.channels + (ground is not None), card.height, card.width),),
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
    dynamic: tuple[Mapping[int, object], ...],
) -> bytes:
    with torch.no_grad():  # as in inference
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
    assert program is not None  # None only if it writes a file
    return traceless_bytes(program.model_proto)
