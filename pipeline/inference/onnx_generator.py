"""Exported generators, their judges and their cards: read from disk and run by onnxruntime, without torch."""

import hashlib
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from pipeline.errors import InputError
from pipeline.inference.transparency import premultiplied, straight
from pipeline.storage.arrays import has_alpha
from pipeline.storage.checksums import check_folder
from pipeline.storage.files import write_json

MODEL_NAME = "generator.onnx"
JUDGE_NAME = "judge.onnx"
EARLY_LAYERS_NAME = "early_layers.onnx"
CARD_NAME = "generator.json"
BATCH = 32  # bounds the memory of a large draw
MAX_MODEL_BYTES = 1 << 30
MAX_CARD_BYTES = 1 << 20
MAX_REASON = 300

Side = Annotated[int, Field(ge=1, le=8192)]


@dataclass(frozen=True)
class Variant:
    """The generator in one precision, and its differences from torch."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    precision: str  # fp32, fp16 or int8
    file: str
    bytes: int
    sha256: str
    max_difference: float  # of a pixel in [-1, 1]; rounded up to one digit
    mean_difference: float  # absolute, of pixels in [-1, 1]; rounded up to one digit
    fd_classifier: float  # between samples and the real test pictures
    fd_change: float  # of fd_classifier from fp32
    within_limits: bool  # of the section `export`


@dataclass(frozen=True)
class ExportedCard:
    """What an exported generator draws, how it was made, and its intended use."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)  # for reading

    categories: Annotated[list[str], Field(min_length=1, max_length=10_000)]  # in label order
    height: Side
    width: Side
    channels: Annotated[int, Field(ge=1, le=4)]
    latent_dim: Annotated[int, Field(ge=1, le=1 << 16)]
    images_seen: int  # in training
    network: str
    opset: int
    precision: str  # of generator.onnx: the first of export.precisions within the limits
    onnx_sha256: str
    judge_sha256: str | None  # of judge.onnx, if there is one
    variants: list[Variant]
    max_difference: float  # largest absolute difference from torch, pictures in [-1, 1]; rounded up to one digit
    checked_latents: int
    intended_use: str
    attributes: dict[str, list[str]] = field(default_factory=dict)  # values of each; in order, the columns of `attributes`
    style_layers: int = 0  # L of the input `layer_latents`; 0: exported before the graph had the optional inputs
    early_layers_sha256: str | None = None  # of early_layers.onnx
    alpha: bool = False  # whether the last channel is alpha
    channel_meanings: list[str] = field(default_factory=list)  # of the pictures that the graph draws; empty in older cards
    text_encoder: str | None = None  # of the captions that it was trained on, if any
    text_dim: int = 0  # E of the input `text`
    trained_through: str | None = None  # the feature extractor whose network trained it, which must not judge it


def onnx_session(model: bytes, *, threads: int = 0, provider: str = "CPUExecutionProvider", spin: bool = True) -> Any:
    """An onnxruntime session on the bytes of an ONNX file, so that nothing beside the file is read. 0 threads: one per core.

    With `spin` waiting threads keep their core, which is faster, unless others need it.
    """
    import onnxruntime  # slow to import, and not needed to read cards

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors; warnings are about unused initialisers
    if not spin:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=[provider])


class OnnxGenerator:
    """A generator on the CPU, from the bytes of its ONNX file."""

    def __init__(self, model: bytes, *, threads: int = 0) -> None:
        self._session = onnx_session(model, threads=threads)
        given = [*self._session.get_inputs(), *self._session.get_overridable_initializers()]
        self._inputs = {one.name for one in given}

    def pictures(
        self, latents: NDArray[np.float32], labels: NDArray[np.int64], **optional: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """NCHW float32 in [-1, 1] of latents (N, D), labels (N,) and `optional` inputs of the graph by name.

        The optional inputs are `layer_latents` (N, L, D), `category_mix` (N, C), and `attributes` (N, A), or `text` and
        `text_change` (N, E), if it was trained with them. Raises InputError if it has no input of a name.
        """
        inputs: dict[str, NDArray[Any]] = {"latents": latents, "labels": labels}
        inputs |= {name: rows for name, rows in optional.items() if rows is not None}
        unknown = sorted(inputs.keys() - self._inputs)
        if unknown:
            raise InputError(f"the exported model takes no {unknown[0]}, as those of this version do; run export again")
        batches = [slice(start, start + BATCH) for start in range(0, len(labels), BATCH)]
        return np.concatenate(
            [self._session.run(["pictures"], {name: rows[batch] for name, rows in inputs.items()})[0] for batch in batches]
        )


class OnnxJudge:
    """The classifier that judged the generator, on the CPU, from the bytes of its ONNX file."""

    def __init__(self, model: bytes, *, threads: int = 0) -> None:
        self._session = onnx_session(model, threads=threads)

    def scores(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N, categories) of pictures (N, H, W, C)."""
        batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
        return np.concatenate([self._session.run(["scores"], {"pictures": as_pictures(batch)})[0] for batch in batches])


def as_pictures(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`images` (N, H, W, C) uint8 as network inputs, NCHW float32 in [-1, 1]; with alpha premultiplied."""
    if has_alpha(images.shape[-1]):
        return premultiplied(images)
    return np.ascontiguousarray((images.astype(np.float32) / np.float32(127.5) - 1).transpose(0, 3, 1, 2))


def as_images(pictures: NDArray[np.float32]) -> NDArray[np.uint8]:
    """`pictures` NCHW in [-1, 1] as uint8 (N, H, W, C), rounded; with alpha straight."""
    if has_alpha(pictures.shape[1]):
        return straight(pictures)
    return np.clip(np.rint((pictures + 1) * 127.5), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def variant_name(precision: str, chosen: str) -> str:
    """The file name of a precision; that of the `chosen` one is generator.onnx."""
    return MODEL_NAME if precision == chosen else f"generator.{precision}.onnx"


def write_exported(folder: Path, models: dict[str, bytes], card: ExportedCard) -> None:
    """Write the ONNX files `models`, by file name, and their card into `folder`."""
    for name, content in models.items():
        (folder / name).write_bytes(content)
    described = asdict(card)
    if not card.text_dim:
        del described["text_encoder"], described["text_dim"]  # as in cards of older versions
    write_json(folder / CARD_NAME, described)


def read_exported(folder: Path) -> tuple[ExportedCard, OnnxGenerator]:
    """The card and the generator in `folder`. Raises InputError as `read_card` and `read_generator` do."""
    card = read_card(folder)
    return card, read_generator(folder, card)


def read_generator(folder: Path, card: ExportedCard) -> OnnxGenerator:
    """The generator in `folder`, after drawing one picture as a check.

    Raises InputError if it is missing, damaged, unsafe or not what `card` describes.
    """
    content = read_model(folder, card.onnx_sha256)
    with runs_as_described(folder):
        generator = OnnxGenerator(content)
        latents, labels = np.zeros((1, card.latent_dim), np.float32), np.array([len(card.categories) - 1])
        shape = generator.pictures(latents, labels).shape
    refuse_other_shape(folder, shape[1:], card)
    return generator


@contextmanager
def runs_as_described(folder: Path) -> Iterator[None]:
    """Run a block that opens or runs a model of `folder`, in bounded memory; every exception in it becomes an InputError."""
    from pipeline.inference.onnx_safety import bounded_memory

    try:
        with bounded_memory():
            yield
    except InputError:
        raise
    except Exception as error:  # onnxruntime raises many classes
        first_line = (str(error).splitlines() or [""])[0][:MAX_REASON]
        raise InputError(
            f"{folder}: does not run as its card describes ({type(error).__name__}: {first_line}); run export again"
        ) from None


def refuse_other_shape(folder: Path, shape: tuple[int, ...], card: ExportedCard) -> None:
    """Raise InputError unless `shape` (C, H, W) is that of `card`."""
    if shape != (card.channels, card.height, card.width):
        raise InputError(f"{folder}: draws pictures of shape {shape}, its card says another; run export again")


def _file_content(path: Path, max_bytes: int) -> bytes:
    """The bytes of a regular file. Raises OSError, and InputError if it is not a regular file or too large."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path}: not a file; name the folder of an exported model")
    if found.st_size > max_bytes:
        raise InputError(f"{path}: larger than {max_bytes:,} bytes, which no export of this pipeline is; run export again")
    return path.read_bytes()


def read_card(folder: Path) -> ExportedCard:
    """The card in `folder`. Raises InputError."""
    path = folder / CARD_NAME
    if path.exists():
        check_folder(folder, "export", [CARD_NAME])  # the card has the SHA-256 of the models
    try:
        return TypeAdapter(ExportedCard).validate_json(_file_content(path, MAX_CARD_BYTES))
    except FileNotFoundError:
        raise InputError(f"{path}: no exported model here; run `snakemake` first, or name another folder") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = f"{where}: {first['msg']}" if where else first["msg"]
        raise InputError(f"{path}: not the card of an exported model ({reason}); run export again") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); run export again") from None


def read_model(folder: Path, sha256: str, name: str = MODEL_NAME) -> bytes:
    """The bytes of an ONNX file in `folder`. Raises InputError if it has another SHA-256 or is unsafe."""
    from pipeline.inference.onnx_safety import safe_graph  # half a second of import, not needed to read cards

    path = folder / name
    try:
        content = _file_content(path, MAX_MODEL_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); run export again") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(f"{path}: not the file its card describes (SHA-256 differs); run export again")
    safe_graph(content, str(path))
    return content
