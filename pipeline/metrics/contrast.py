"""A contrastive head on frozen features of pictures and frozen embeddings of captions: which caption belongs to which picture.

LiT (Zhai et al. 2022) with both towers frozen: a linear projection of each, trained by the symmetric InfoNCE loss of CLIP
(Radford et al. 2021, figure 3).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import InputError
from pipeline.metrics.classifier import cpu_threads
from pipeline.storage.captions import NO_CAPTION, Captions

WEIGHTS = "contrast.safetensors"  # of the head on EXTRACTOR's features
EXTRACTOR = "efflite0"  # of the pictures' features, but for the second head, which measures models trained through it
DIM = 128  # of the common space
EPOCHS, BATCH = 30, 256
RATE, WEIGHT_DECAY = 2e-3, 0.2
FIRST_TEMPERATURE = 0.07
RECALLED_AT = 10
Rows = NDArray[np.float32]


@dataclass(frozen=True)
class ContrastiveHead:
    """Linear maps of standardised features (F,) and of embeddings (E,) to one space."""

    mean: Rows  # (F,) of the training pictures' features
    deviation: Rows  # (F,)
    of_pictures: Rows  # (F, DIM)
    of_texts: Rows  # (E, DIM)

    def pictures(self, features: Rows) -> Rows:
        """Unit vectors (N, DIM) of pictures with `features` (N, F)."""
        return _unit(_standardised(features, self.mean, self.deviation) @ self.of_pictures)

    def texts(self, embeddings: Rows) -> Rows:
        """Unit vectors (N, DIM) of texts with `embeddings` (N, E)."""
        return _unit(embeddings @ self.of_texts)


def _standardised(features: Rows, mean: Rows, deviation: Rows) -> Rows:
    standard: Rows = (features - mean) / deviation
    return standard / np.float32(np.sqrt(features.shape[1]))


def _unit(rows: Rows) -> Rows:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-6))


def info_nce(pictures: Tensor, texts: Tensor, log_scale: Tensor) -> Tensor:
    """The symmetric InfoNCE loss, a scalar, of unit rows (N, D) of which those of equal number belong together."""
    logits = log_scale.exp() * pictures @ texts.T
    target = torch.arange(len(pictures))
    return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2


def train_head(features: Rows, captions: Captions, seed: int, threads: int) -> ContrastiveHead:
    """A head trained on pictures with `features` (N, F) and their `captions`, one at random per epoch; seeded.

    Pictures without a caption are left out.
    """
    known = np.flatnonzero((captions.rows != NO_CAPTION).any(axis=1))
    rows = captions.rows[known]
    mean, deviation = features.mean(axis=0), np.maximum(features.std(axis=0), np.float32(1e-3))
    seen = torch.from_numpy(_standardised(features[known], mean, deviation))
    embeddings, rng = torch.from_numpy(captions.embeddings), np.random.default_rng(seed)
    with cpu_threads(threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        of_pictures = nn.Linear(features.shape[1], DIM, bias=False)
        of_texts = nn.Linear(embeddings.shape[1], DIM, bias=False)
        log_scale = nn.Parameter(torch.tensor(1 / FIRST_TEMPERATURE).log())
        batches = max(len(known) // BATCH, 1)
        optimiser = torch.optim.AdamW(
            [
                {"params": [*of_pictures.parameters(), *of_texts.parameters()], "weight_decay": WEIGHT_DECAY},
                {"params": [log_scale], "weight_decay": 0.0},
            ],
            RATE,
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS * batches)
        for _ in range(EPOCHS):
            for part in np.array_split(rng.permutation(len(known)), batches):
                chosen = drawn_columns(rows[part], rng)
                loss = info_nce(
                    functional.normalize(of_pictures(seen[part]), dim=1),
                    functional.normalize(of_texts(embeddings[chosen]), dim=1),
                    log_scale,
                )
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
    maps = [layer.weight.detach().T.contiguous().numpy() for layer in (of_pictures, of_texts)]
    return ContrastiveHead(mean, deviation, *maps)


def drawn_columns(rows: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
    """One caption (N,) of each row of `rows` (N, K), at random among those it has; it has one at least."""
    weights = rng.random(rows.shape) * (rows != NO_CAPTION)
    chosen: NDArray[np.int32] = rows[np.arange(len(rows)), weights.argmax(axis=1)]
    return chosen


def recall(texts: Rows, pictures: Rows, at: int = RECALLED_AT) -> NDArray[np.float64]:
    """1 for each of `texts` (N, D) whose own picture is among the `at` most similar of `pictures` (N, D), else 0.

    A picture that scores as high as the own one counts as before it in half of the cases.
    """
    similar = texts @ pictures.T
    own = similar.diagonal()[:, None]
    before = (similar > own).sum(axis=1)
    equal = (similar == own).sum(axis=1) - 1  # besides itself
    return np.clip((at - before) / (equal + 1), 0, 1).astype(np.float64)


def head_file(extractor: str) -> str:
    """The name of the file that holds the head on the features of `extractor`."""
    return WEIGHTS if extractor == EXTRACTOR else f"contrast_{extractor}.safetensors"


def save_head(folder: Path, head: ContrastiveHead, extractor: str = EXTRACTOR) -> None:
    """Write `head`, on the features of `extractor`, into `folder`."""
    (folder / head_file(extractor)).write_bytes(save({name: np.ascontiguousarray(rows) for name, rows in vars(head).items()}))


def load_head(folder: Path, extractor: str = EXTRACTOR) -> ContrastiveHead:
    """The head on the features of `extractor` in `folder`. Raises InputError, also where the data had no captions."""
    path = folder / head_file(extractor)
    try:
        return ContrastiveHead(**load_file(path))
    except (OSError, SafetensorError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); run reference again") from error
