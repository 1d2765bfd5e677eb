"""The generator as one ONNX file, checked against torch, with a card that says what it draws and how it may be used."""

import hashlib
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pipeline.errors import ExportError
from pipeline.gan.checkpoints import load_generator
from pipeline.gan.latents import draw_latents, labels_in_equal_shares
from pipeline.params import ExportParams
from pipeline.store.exported import CARD_NAME, MODEL_NAME, ExportedCard, OnnxGenerator, write_exported
from pipeline.store.files import whole_folder
from pipeline.store.traceless import traceless_bytes
from pipeline.store.tracking import Tracker

log = logging.getLogger(__name__)

OPSET = 20
CHECK_SEED = 0
INTENDED_USE = (
    "Ideas, mood boards and research. Not for passing pictures off as photographs, as a brand's designs or as a person's work: "
    "show them as made by AI."
)


def as_onnx(generator: nn.Module, latent_dim: int) -> bytes:
    """`generator` as ONNX: `latents` (N, D) float32 and `labels` (N,) int64 to `pictures` NCHW float32 in [-1, 1], any N.

    Equal weights give equal bytes; all weights are inside.
    """
    program = torch.onnx.export(
        generator.eval(),
        (torch.zeros(2, latent_dim), torch.zeros(2, dtype=torch.int64)),
        input_names=["latents", "labels"],
        output_names=["pictures"],
        dynamic_shapes=({0: "batch"}, {0: torch.export.Dim.DYNAMIC}),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # it is when a file is asked for
    return traceless_bytes(program.model_proto)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch on one thread: how sums are split among threads changes their last bits, and the card shows the difference."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def max_difference(generator: nn.Module, model: bytes, latent_dim: int, categories: int, count: int) -> float:
    """Largest absolute difference between torch's pictures and onnxruntime's over `count` latents, all categories in turn."""
    latents = draw_latents(CHECK_SEED, count, latent_dim)
    labels = labels_in_equal_shares(count, categories)
    with torch.inference_mode(), _one_thread():
        expected = generator(torch.from_numpy(latents), torch.from_numpy(labels)).numpy()
    return float(np.abs(OnnxGenerator(model, threads=1).pictures(latents, labels) - expected).max())


def rounded_up(value: float) -> float:
    """`value` rounded up to one digit, so that the last bits of a machine's arithmetic do not show."""
    step = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return float(f"{math.ceil(value / step) * step:.0e}")


def run(params: ExportParams, *, gan: Path, export: Path, track: Tracker) -> None:
    """Write generator.onnx and its card into `export` and ask for its registration. Raises ExportError, InputError."""
    generator, made = load_generator(gan, torch.device("cpu"))
    model = as_onnx(generator, made.latent_dim)
    difference = max_difference(generator, model, made.latent_dim, len(made.categories), params.check_latents)
    log.info("%d latents: ONNX differs from torch by at most %.2g", params.check_latents, difference)
    track.metrics({"max_difference": difference, "onnx_bytes": len(model)})
    if not difference <= params.max_difference:  # so that "not a number" is refused, too
        raise ExportError(
            f"{export}: ONNX differs from torch by {difference:.2g}, over export.max_difference ({params.max_difference:g}); "
            "train again, or raise it in params.yaml if such pictures will do"
        )
    card = ExportedCard(
        categories=made.categories,
        height=made.height,
        width=made.width,
        channels=made.channels,
        latent_dim=made.latent_dim,
        images_seen=made.images_seen,
        network=made.network,
        opset=OPSET,
        onnx_sha256=hashlib.sha256(model).hexdigest(),
        max_difference=rounded_up(difference),
        checked_latents=params.check_latents,
        intended_use=INTENDED_USE,
    )
    with whole_folder(export) as partial:
        write_exported(partial, model, card)
    track.artifact(export / CARD_NAME)
    track.model(export / MODEL_NAME, params.registered_name)
