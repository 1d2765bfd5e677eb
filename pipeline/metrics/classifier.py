"""A small classifier trained on the real images: it measures class accuracy, and its features are specific to this data."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from scipy.special import softmax
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pipeline.errors import InputError
from pipeline.storage.files import sha256_of_file, write_json
from pipeline.tracking.progress import progress

WEIGHTS, CARD = "classifier.safetensors", "classifier.json"
WIDTHS = (32, 64, 128)  # channels of the first blocks; later blocks are as wide as the last
FEATURES = 128
COARSEST_SIDE_PX = 4
WARM_UP_SHARE = 0.25
WEIGHT_DECAY = 0.01
INFERENCE_BATCH = 100  # fits the CPU cache: twice as fast as 500


@dataclass(frozen=True)
class ClassifierCard:
    """How to rebuild the network, and how it was trained."""

    n_categories: int
    height: int
    width: int
    channels: int
    epochs: int
    batch_size: int
    peak_rate: float
    seed: int
    device: str
    precision: str
    threads: int


@dataclass(frozen=True)
class Classifier:
    """A trained network in `eval` mode, with its card."""

    network: nn.Sequential
    card: ClassifierCard

    @torch.inference_mode()
    def features_of_batch(self, images: Tensor) -> NDArray[np.float32]:
        """Features (N, 128) of one batch, NCHW float32 in [0, 255]."""
        device = next(self.network.parameters()).device
        channels_last = images.to(device, memory_format=torch.channels_last)
        return self.network[:-1](channels_last / 127.5 - 1).cpu().numpy()

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (N, 128) of `images` (N, H, W, C): the penultimate layer, after its ReLU."""
        return _apply(self.network[:-1], images)

    @torch.inference_mode()
    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (N, categories) of `features`."""
        device = next(self.network.parameters()).device
        return self.network[-1](torch.tensor(features, device=device)).cpu().numpy()

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (N, categories) of `images` (N, H, W, C)."""
        probabilities: NDArray[np.float32] = softmax(self.logits(self.features(images)), axis=1)
        return probabilities


def halvings(height: int, width: int) -> int:
    """How often the network halves an image, so that about 4×4 cells remain."""
    wanted = round(math.log2(math.sqrt(height * width) / COARSEST_SIDE_PX))
    return max(1, min(wanted, int(math.log2(min(height, width)))))


def build_network(height: int, width: int, channels: int, n_categories: int) -> nn.Sequential:
    """Convolution blocks with 2×2 max pooling, a layer of FEATURES, then logits: NCHW in [-1, 1] to (N, n_categories).

    The first block works at full resolution: on a CPU the backward pass of a strided first layer is several times slower.
    """
    layers: list[nn.Module] = []
    before = channels
    for level in range(halvings(height, width)):
        after = WIDTHS[min(level, len(WIDTHS) - 1)]
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
        before, height, width = after, height // 2, width // 2
    layers += [nn.Flatten(), nn.Linear(before * height * width, FEATURES, bias=False), nn.BatchNorm1d(FEATURES), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(FEATURES, n_categories)).to(memory_format=torch.channels_last)


def _network_input(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """`images` (N, H, W, C) as NCHW float32 in [-1, 1], channels last in memory."""
    return (torch.tensor(np.ascontiguousarray(images), device=device).float() / 127.5 - 1).permute(0, 3, 1, 2)


@torch.inference_mode()
def _apply(network: nn.Sequential, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    device = next(network.parameters()).device
    batches = (images[start : start + INFERENCE_BATCH] for start in range(0, len(images), INFERENCE_BATCH))
    return np.concatenate([network(_network_input(batch, device)).cpu().numpy() for batch in batches])


@contextmanager
def cpu_threads(threads: int) -> Iterator[None]:
    """Set torch's number of threads within the block, and restore it afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _batches(count: int, batch_size: int, epochs: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Sorted row numbers of each batch. Each epoch is a new permutation without its incomplete last batch."""
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        permutation = rng.permutation(count)
        for start in range(0, count - batch_size + 1, batch_size):
            yield np.sort(permutation[start : start + batch_size])  # so that a memory-mapped file is read in order


def train_classifier(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    n_categories: int,
    *,
    seed: int,
    epochs: int,
    batch_size: int = 128,
    peak_rate: float = 0.01,
    threads: int = 2,
    device: torch.device | None = None,
    precision: str = "fp32",
) -> Classifier:
    """A classifier trained on `images` (N, H, W, C) and `labels` (N,). On a CPU, equal arguments give equal weights.

    AdamW with one learning-rate cycle (Smith & Topin 2018). `precision`, `fp32` or `bf16`, applies to training only.
    Raises InputError for fewer than two images.
    """
    count, height, width, channels = images.shape
    if count < 2:
        raise InputError(f"train split: {count} images, but the classifier needs 2 or more")
    device = device or torch.device("cpu")
    card = ClassifierCard(
        n_categories, height, width, channels, epochs, batch_size, peak_rate, seed, device.type, precision, threads
    )
    batch_size = min(batch_size, count)
    steps = epochs * (count // batch_size)
    # OneCycleLR divides by the number of warm-up steps minus one.
    warm_up_share = WARM_UP_SHARE if WARM_UP_SHARE * steps != 1 else 2 / steps
    with torch.random.fork_rng(devices=[]), cpu_threads(threads):
        torch.manual_seed(seed)
        network = build_network(height, width, channels, n_categories).to(device).train()
        optimiser = torch.optim.AdamW(network.parameters(), lr=peak_rate, weight_decay=WEIGHT_DECAY, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, peak_rate, total_steps=steps, pct_start=warm_up_share, div_factor=10, final_div_factor=1000
        )
        for rows in progress(_batches(count, batch_size, epochs, seed), steps, what="classifier", unit="steps"):
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                logits = network(_network_input(images[rows], device))
            # No label smoothing: it erases from the features what distinguishes images of one category (Müller et al. 2019).
            loss = cross_entropy(logits.float(), torch.from_numpy(labels[rows]).to(device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return Classifier(network.eval().requires_grad_(False), card)


def accuracy(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Share of rows whose most probable category is the label."""
    return float((probabilities.argmax(axis=1) == labels).mean())


def inception_score(probabilities: NDArray[np.floating]) -> float:
    """exp of the mean KL divergence between the rows of `probabilities` (N, categories) and their mean; Salimans et al. 2016.

    1 if all rows are equal; the number of categories if each row is certain and all categories are equally frequent.
    """
    rows = probabilities.astype(np.float64)
    ratio = np.log(np.maximum(rows, 1e-30)) - np.log(np.maximum(rows.mean(axis=0), 1e-30))
    return float(np.exp((rows * ratio).sum(axis=1).mean()))


def save_classifier(folder: Path, classifier: Classifier) -> None:
    """Write weights and card into `folder`."""
    weights = {name: tensor.cpu().contiguous() for name, tensor in classifier.network.state_dict().items()}
    (folder / WEIGHTS).write_bytes(save(weights))  # save_file would make the file readable by its owner only
    write_json(folder / CARD, asdict(classifier.card))


def load_classifier(folder: Path, device: torch.device | None = None) -> Classifier:
    """The classifier in `folder`. Raises InputError if its files are missing or damaged."""
    try:
        card = ClassifierCard(**json.loads((folder / CARD).read_text(encoding="utf-8")))
        network = build_network(card.height, card.width, card.channels, card.n_categories)
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValueError, TypeError, SafetensorError, RuntimeError) as error:
        what = str(error).splitlines()[0].rstrip(":")  # torch adds a line for every tensor
        raise InputError(f"{folder}: not a complete classifier ({what}); run reference again") from error
    return Classifier(network.to(device or torch.device("cpu")).eval().requires_grad_(False), card)


def classifier_sha256(folder: Path) -> str:
    """SHA-256 of the weights in `folder`, which identifies the classifier in passports."""
    return sha256_of_file(folder / WEIGHTS)
