"""An exported generator on disk, its judge and its card, run by onnxruntime without torch."""

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
from pipeline.storage.checksums import check_folder
from pipeline.storage.files import write_json

MODEL_NAME = "generator.onnx"
JUDGE_NAME = "judge.onnx"
CARD_NAME = "generator.json"
BATCH = 32  # bounds the memory of a large draw
MAX_MODEL_BYTES = 1 << 30
MAX_CARD_BYTES = 1 << 20
MAX_REASON = 300

Side = Annotated[int, Field(ge=1, le=8192)]


@dataclass(frozen=True)
class Variant:
    """The generator in one precision, and how far it is from torch."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    precision: str  # fp32, fp16 or int8
    file: str
    bytes: int
    sha256: str
    max_difference: float  # of a pixel in [-1, 1]; rounded up to one digit
    mean_difference: float  # absolute, of pixels in [-1, 1]; rounded up to one digit
    fd_classifier: float  # of samples from the real test pictures
    fd_change: float  # of that, from fp32
    within_limits: bool  # of export's parameters


@dataclass(frozen=True)
class ExportedCard:
    """What an exported generator draws, where it comes from, and how it may be used."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)  # of cards that are read

    categories: Annotated[list[str], Field(min_length=1, max_length=10_000)]  # in label order
    height: Side
    width: Side
    channels: Annotated[int, Field(ge=1, le=4)]
    latent_dim: Annotated[int, Field(ge=1, le=1 << 16)]
    images_seen: int  # in training
    network: str
    opset: int
    precision: str  # of generator.onnx: the first that export.precisions names and whose variant is within limits
    onnx_sha256: str
    judge_sha256: str | None  # of the classifier beside it, where there is one
    variants: list[Variant]
    max_difference: float  # from torch, largest absolute, pictures in [-1, 1]; rounded up to one digit
    checked_latents: int
    intended_use: str
    attributes: dict[str, list[str]] = field(default_factory=dict)  # values of each; all of them in order are its last input


def _session_of(model: bytes, threads: int) -> Any:
    """A session on the CPU with so many threads, or with as many as there are cores for 0."""
    import onnxruntime  # slow to import; a reader of cards does not need it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class OnnxGenerator:
    """A generator that onnxruntime runs on the CPU, from the bytes of its ONNX file."""

    def __init__(self, model: bytes, *, threads: int = 0) -> None:
        self._session = _session_of(model, threads)

    def pictures(
        self, latents: NDArray[np.float32], labels: NDArray[np.int64], attributes: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """NCHW float32 in [-1, 1] of latents (N, D), labels (N,) and, of a generator that knows them, attributes (N, A)."""
        inputs: dict[str, NDArray[Any]] = {"latents": latents, "labels": labels}
        if attributes is not None:
            inputs["attributes"] = attributes
        batches = [slice(start, start + BATCH) for start in range(0, len(labels), BATCH)]
        return np.concatenate(
            [self._session.run(["pictures"], {name: rows[batch] for name, rows in inputs.items()})[0] for batch in batches]
        )


class OnnxJudge:
    """The classifier that judged the generator, run by onnxruntime on the CPU, from the bytes of its ONNX file."""

    def __init__(self, model: bytes, *, threads: int = 0) -> None:
        self._session = _session_of(model, threads)

    def scores(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N, categories) of pictures (N, H, W, C)."""
        batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
        return np.concatenate([self._session.run(["scores"], {"pictures": as_pictures(batch)})[0] for batch in batches])


def as_pictures(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`images` (N, H, W, C) as networks take them, NCHW in [-1, 1]."""
    return np.ascontiguousarray((images.astype(np.float32) / np.float32(127.5) - 1).transpose(0, 3, 1, 2))


def as_images(pictures: NDArray[np.float32]) -> NDArray[np.uint8]:
    """`pictures`, NCHW in [-1, 1], as (N, H, W, C) bytes, rounded."""
    return np.clip(np.rint((pictures + 1) * 127.5), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def variant_name(precision: str, chosen: str) -> str:
    """The file of a precision beside the `chosen` one, which is generator.onnx."""
    return MODEL_NAME if precision == chosen else f"generator.{precision}.onnx"


def write_exported(folder: Path, models: dict[str, bytes], card: ExportedCard) -> None:
    """Write the ONNX files `models`, by file name, and their card into `folder`."""
    for name, content in models.items():
        (folder / name).write_bytes(content)
    write_json(folder / CARD_NAME, asdict(card))


def read_exported(folder: Path) -> tuple[ExportedCard, OnnxGenerator]:
    """The card and the generator in `folder`. Raises InputError as `read_card` and `read_generator` do."""
    card = read_card(folder)
    return card, read_generator(folder, card)


def read_generator(folder: Path, card: ExportedCard) -> OnnxGenerator:
    """The generator in `folder`, which has drawn one picture.

    Raises InputError when it is missing, damaged, unsafe or not what `card` says.
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
    """A block that opens and runs a model of `folder`; whatever goes wrong there is an InputError."""
    from pipeline.inference.onnx_safety import bounded_memory

    try:
        with bounded_memory():
            yield
    except InputError:
        raise
    except Exception as error:  # onnxruntime raises many classes, all of which mean this
        first_line = (str(error).splitlines() or [""])[0][:MAX_REASON]
        raise InputError(
            f"{folder}: does not run as its card says ({type(error).__name__}: {first_line}); run export again"
        ) from None


def refuse_other_shape(folder: Path, shape: tuple[int, ...], card: ExportedCard) -> None:
    """Raise InputError unless pictures of `shape` (C, H, W) are what `card` describes."""
    if shape != (card.channels, card.height, card.width):
        raise InputError(f"{folder}: draws pictures of shape {shape}, its card says another; run export again")


def _file_content(path: Path, max_bytes: int) -> bytes:
    """The bytes of a regular file. Raises OSError, and InputError when it is none or too large."""
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
        check_folder(folder, "export", [CARD_NAME])  # the card in turn holds the SHA-256 of the models
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
    """The bytes of an ONNX file in `folder`, which must have this SHA-256 and be safe to run. Raises InputError."""
    from pipeline.inference.onnx_safety import safe_graph  # half a second of import; a reader of cards does not need it

    path = folder / name
    try:
        content = _file_content(path, MAX_MODEL_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); run export again") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(f"{path}: not the file its card describes (SHA-256 differs); run export again")
    safe_graph(content, str(path))
    return content
