"""Feature extractors by name: pictures in, a row of features a picture out."""

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from cleanfid.inception_torchscript import InceptionV3W
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from pipeline.errors import InputError, SourceError
from pipeline.imaging.efficientnet import EfficientLite0, weights_path
from pipeline.metrics.classifier import Classifier
from pipeline.storage.downloads import download
from pipeline.storage.files import sha256_of_file, write_bytes
from pipeline.storage.onnx_files import traceless_bytes
from pipeline.tracking.progress import progress

RESIZE_FILTER = "bicubic (Pillow's), antialiased, on floats, clipped to 0..255"
BATCH = 64
CLASSIFIER = "classifier"  # the name of the run's own extractor
INCEPTION_PX = 299
INCEPTION_FILE = "inception-2015-12-05.pt"  # the name clean-fid looks for
INCEPTION_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
INCEPTION_URL = f"https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/{INCEPTION_FILE}"  # clean-fid's
INCEPTION_MAX_BYTES = 200_000_000
DOWNLOAD = "download"  # in place of a path


@dataclass(frozen=True)
class Extractor:
    """A network by name. What it makes of a picture depends on nothing but the other fields."""

    name: str
    weights_sha256: str
    height_px: int  # of its input
    width_px: int
    resize_filter: str
    runtime: str
    of_pictures: Callable[[Tensor], NDArray[np.float32]]  # NCHW float32 in [0, 255], C 1 or 3, a batch at a time

    @property
    def in_passport(self) -> dict[str, str]:
        """How it stands in a passport."""
        return {
            "name": self.name,
            "weights_sha256": self.weights_sha256,
            "input_px": f"{self.height_px}×{self.width_px}",
            "resize_filter": self.resize_filter,
            "runtime": self.runtime,
        }

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (N, D) of `images` (N, H, W, 1 or 3), N at least 1."""
        starts = progress(
            range(0, len(images), BATCH), len(images), what=f"features of {self.name}", unit="pictures", step=BATCH
        )
        return np.concatenate([self.of_pictures(as_floats(images[start : start + BATCH])) for start in starts])


def as_floats(images: NDArray[np.uint8]) -> Tensor:
    """`images` (N, H, W, C) as NCHW float32."""
    return torch.tensor(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()


def resized_rgb(pictures: Tensor, side_px: int, device: torch.device) -> Tensor:
    """`pictures` (N, 1 or 3, H, W) in [0, 255] as RGB (N, 3, side_px, side_px), stretched where they are not square.

    Equal to clean-fid's `make_resizer("PIL", False, "bicubic", …)`, all pictures at once.
    """
    pictures = pictures.to(device)
    if pictures.shape[2:] != (side_px, side_px):
        pictures = interpolate(pictures, (side_px, side_px), mode="bicubic", antialias=True).clamp(0, 255)
    return pictures.expand(-1, 3, -1, -1).contiguous()


def onnx_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """The ONNX file at `path`, ready to run on the CPU with `threads` threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave the core to others
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _export_onnx(path: Path, side_px: int) -> None:
    """Write EfficientLite0 for pictures of `side_px` as ONNX: input `pictures`, output `features`, any batch size."""
    for name in ("onnx_ir", "onnxscript"):
        logging.getLogger(name).setLevel(logging.WARNING)  # they log every node at INFO
    program = torch.onnx.export(
        EfficientLite0(side_px),
        (torch.zeros(2, 3, side_px, side_px),),
        input_names=["pictures"],
        output_names=["features"],
        dynamic_shapes=({0: "batch"},),
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # None only when torch writes the file itself
    write_bytes(path, traceless_bytes(program.model_proto))


def efflite0(side_px: int, *, exported: Path, threads: int, device: torch.device) -> Extractor:
    """EfficientNet-Lite0's 1,280 pooled features of pictures resized to `side_px`: by onnxruntime on a CPU, by torch on CUDA.

    `exported` is the ONNX file, written where it is missing.
    """
    weights_sha256 = sha256_of_file(weights_path())
    if device.type == "cuda":
        network = EfficientLite0(side_px).to(device)

        @torch.inference_mode()
        def of_pictures(pictures: Tensor) -> NDArray[np.float32]:
            return network(resized_rgb(pictures, side_px, device)).cpu().numpy()

    else:
        if not exported.exists():
            _export_onnx(exported, side_px)
        session = onnx_session(exported, threads)

        def of_pictures(pictures: Tensor) -> NDArray[np.float32]:
            return session.run(None, {"pictures": resized_rgb(pictures, side_px, device).numpy()})[0]

    runtime = f"torch on {device.type}" if device.type == "cuda" else "onnxruntime on cpu"
    return Extractor("efflite0", weights_sha256, side_px, side_px, RESIZE_FILTER, runtime, of_pictures)


def inception_weights(asked: str | None, scratch: Path) -> Path | str:
    """The file of FID's Inception network, at the path `asked` or downloaded into `scratch`; or why there is none.

    Raises InputError when the file at that path is not that network, SourceError when it cannot be downloaded.
    """
    if asked is None:
        return f"reference.inception_weights is null; set it to {DOWNLOAD}, or to a copy of {INCEPTION_FILE}"
    if asked == DOWNLOAD:
        try:
            return download(INCEPTION_URL, scratch / INCEPTION_FILE, INCEPTION_SHA256, INCEPTION_MAX_BYTES)
        except SourceError as error:
            raise SourceError(
                f"{error}; or set reference.inception_weights to a copy of {INCEPTION_FILE}, or to null"
            ) from None
    if sha256_of_file(Path(asked)) != INCEPTION_SHA256:
        raise InputError(
            f"{asked}: not {INCEPTION_FILE} (SHA-256 {INCEPTION_SHA256}); set reference.inception_weights to that file"
        )
    return Path(asked)


def inception(weights: Path, *, device: torch.device) -> Extractor:
    """The 2,048 features behind FID, by clean-fid's own module from the file `weights`, pictures resized to 299 px."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / INCEPTION_FILE).symlink_to(weights.resolve())  # clean-fid takes a folder and fixes the name
        network = InceptionV3W(folder, download=False).to(device).eval()

    @torch.inference_mode()
    def of_pictures(pictures: Tensor) -> NDArray[np.float32]:
        return network(resized_rgb(pictures, INCEPTION_PX, device)).cpu().numpy()

    return Extractor(
        "inception", INCEPTION_SHA256, INCEPTION_PX, INCEPTION_PX, RESIZE_FILTER, f"torch on {device.type}", of_pictures
    )


def of_classifier(classifier: Classifier, weights_sha256: str) -> Extractor:
    """The classifier's 128 penultimate features, at the pictures' own size."""
    card = classifier.card
    runtime = f"torch on {card.device}, trained in {card.precision}"
    return Extractor(CLASSIFIER, weights_sha256, card.height, card.width, "none", runtime, classifier.features_of_pictures)
