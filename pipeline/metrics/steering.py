"""Latents moved until their pictures are like a text by the contrastive head (StyleCLIP, Patashnik et al. 2021, section 4).

Without gradients, because an exported generator has none: each latent keeps the best of several random steps, round after
round. The steps leave the normal distribution as it is (Cotter et al. 2013, pCN), so that latents stay where the generator was
trained.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.inference.latents import Latents
from pipeline.inference.transparency import on_ground
from pipeline.metrics.contrast import EXTRACTOR, WEIGHTS, load_head
from pipeline.metrics.extractors import EFFLITE0_FILE, efflite0
from pipeline.metrics.reference_set import CARD, reference_ground
from pipeline.storage.checksums import check_folder

ROUNDS, STEPS = 12, 8  # steps are tried in each round for each latent
FIRST_STEP, LAST_STEP = 0.7, 0.25  # share of a latent that is drawn anew

Scores = NDArray[np.float32]
ScoreOfLatents = Callable[[Latents, NDArray[np.int64]], Scores]  # of latents (M, D) and which garment (M,) each is of
ScoreOfPictures = Callable[[NDArray[np.uint8]], Scores]


@dataclass(frozen=True)
class Steered:
    """Latents of N garments and their scores."""

    latents: Latents  # (N, D)
    before: Scores  # (N,)
    after: Scores  # (N,)


def steered(start: Latents, score: ScoreOfLatents, rng: np.random.Generator, rounds: int = ROUNDS) -> Steered:
    """Latents (N, D) of which none has a lower `score` than that of `start` (N, D) in its place."""
    count, dim = start.shape
    latents, garments = start.copy(), np.arange(count)
    before = best = score(start, garments)
    for size in np.geomspace(FIRST_STEP, LAST_STEP, rounds):
        noise = rng.standard_normal((count, STEPS, dim), dtype=np.float32)
        tried = np.float32(np.sqrt(1 - size**2)) * latents[:, None] + np.float32(size) * noise
        scores = score(tried.reshape(-1, dim), np.repeat(garments, STEPS)).reshape(count, STEPS)
        places = scores.argmax(axis=1)
        better = scores[garments, places] > best
        latents = np.where(better[:, None], tried[garments, places], latents)
        best = np.where(better, scores[garments, places], best)
    return Steered(latents, before, best)


def likeness_to(text: NDArray[np.float32], reference: Path) -> ScoreOfPictures:
    """Cosines, by the head in `reference`, of pictures (N, H, W, C) with the text of the embedding `text` (E,).

    Raises InputError if the folder is damaged, or its head is of another text encoder.
    """
    check_folder(reference, "reference", [CARD, WEIGHTS, EFFLITE0_FILE])
    ground, head = reference_ground(reference), load_head(reference)
    if head.of_texts.shape[0] != len(text):
        raise InputError(f"{reference / WEIGHTS}: made with another text encoder; run reference again")
    side_px = int(json.loads((reference / CARD).read_text(encoding="utf-8"))[f"{EXTRACTOR}_px"])
    extractor = efflite0(side_px, exported=reference / EFFLITE0_FILE, threads=0, device=torch.device("cpu"))
    wanted = head.texts(text[None])[0]

    def score(pictures: NDArray[np.uint8]) -> Scores:
        seen = on_ground(pictures, ground) if ground else pictures
        features = extractor.features(seen)
        return head.pictures(features) @ wanted

    return score
