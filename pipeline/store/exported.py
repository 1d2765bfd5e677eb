"""An exported generator on disk, generator.onnx and its card, run by onnxruntime without torch."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.store.files import write_json

MODEL_NAME = "generator.onnx"
CARD_NAME = "generator.json"
BATCH = 32  # bounds the memory of a large draw


@dataclass(frozen=True)
class ExportedCard:
    """What an exported generator draws, where it comes from, and how it may be used."""

    categories: list[str]  # in label order
    height: int
    width: int
    channels: int
    latent_dim: int
    images_seen: int  # in training
    network: str
    opset: int
    onnx_sha256: str
    max_difference: float  # from torch, largest absolute, pictures in [-1, 1]; rounded up to one digit
    checked_latents: int
    intended_use: str


class OnnxGenerator:
    """A generator that onnxruntime runs on the CPU, from the bytes of its ONNX file."""

    def __init__(self, model: bytes, *, threads: int = 0) -> None:
        import onnxruntime  # slow to import; a reader of cards does not need it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads  # 0: as many as there are cores
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def pictures(self, latents: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """NCHW float32 in [-1, 1] of latents (N, D) and labels (N,)."""
        batches = [slice(start, start + BATCH) for start in range(0, len(labels), BATCH)]
        return np.concatenate(
            [self._session.run(["pictures"], {"latents": latents[batch], "labels": labels[batch]})[0] for batch in batches]
        )


def as_images(pictures: NDArray[np.float32]) -> NDArray[np.uint8]:
    """`pictures`, NCHW in [-1, 1], as (N, H, W, C) bytes, rounded."""
    return np.clip(np.rint((pictures + 1) * 127.5), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def write_exported(folder: Path, model: bytes, card: ExportedCard) -> None:
    """Write the ONNX `model` and its card into `folder`."""
    (folder / MODEL_NAME).write_bytes(model)
    write_json(folder / CARD_NAME, asdict(card))


def read_exported(folder: Path) -> tuple[ExportedCard, OnnxGenerator]:
    """The card and the generator in `folder`. Raises InputError when one is missing, damaged or not the other's."""
    card = read_card(folder)
    return card, OnnxGenerator(read_model(folder, card.onnx_sha256))


def read_card(folder: Path) -> ExportedCard:
    """The card in `folder`. Raises InputError."""
    path = folder / CARD_NAME
    try:
        return ExportedCard(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InputError(f"{path}: no exported model here; run `snakemake` first, or name another folder") from None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: not the card of an exported model ({error}); run export again") from error


def read_model(folder: Path, sha256: str) -> bytes:
    """The bytes of the ONNX file in `folder`, which must have this SHA-256. Raises InputError."""
    path = folder / MODEL_NAME
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); run export again") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(f"{path}: not the file its card describes (SHA-256 differs); run export again")
    return content
