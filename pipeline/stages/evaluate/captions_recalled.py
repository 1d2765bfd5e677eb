"""Whether a generated picture can be told by its caption, by the contrastive head; beside it real pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.gan.checkpoints import GeneratorCard
from pipeline.metrics.contrast import EXTRACTOR, ContrastiveHead, head_file, load_head, recall
from pipeline.metrics.reference_set import RealImages
from pipeline.metrics.sampling_error import deviation_of_mean
from pipeline.stages.evaluate.entries import Baseline, Score
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.storage.captions import Captions
from pipeline.storage.files import sha256_of_file

KIND = "caption_recall"
Rows = NDArray[np.float32]


@dataclass(frozen=True)
class HeadMeasure:
    """The head in the place of an extractor; named after the network whose features it sees."""

    name: str
    weights_sha256: str

    @property
    def passport_entry(self) -> dict[str, str]:
        """The passport's `extractor`."""
        return {"name": self.name, "measure": "a contrastive head on its features", "weights_sha256": self.weights_sha256}


def refused_recall(card: GeneratorCard) -> dict[str, dict[str, str]]:
    """The entry of a generator on captions that was trained through the head's network."""
    if not card.text_dim or card.trained_through != EXTRACTOR:
        return {}
    reason = f"the head sees {EXTRACTOR}'s features, and the generator was trained through {EXTRACTOR} (train.projected)"
    return {f"{KIND}_{EXTRACTOR}": {"absent": reason}}


def recalled(head: ContrastiveHead, features: Rows, asked: Rows, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """`recall` of `count` of the pictures with `features` (N, F) by the embeddings `asked` (N, E) for; not of those without."""
    captioned = np.flatnonzero(asked.any(axis=1))
    rows = np.sort(rng.permutation(captioned)[:count])
    return recall(head.texts(asked[rows]), head.pictures(features[rows]))


def score_recall(
    reference: Path,
    extractor: str,
    samples: Sequence[Rows],
    asked: Sequence[Rows],
    real_features: Rows,
    captions: Captions,
    real: RealImages,
    params: EvaluateParams,
) -> Score:
    """The share of captions that find their picture, by the head on the features of `extractor`.

    Of each repeat's features `samples` (N, F), drawn with the embeddings `asked` (N, E); the floor is of test pictures,
    with `captions`. As many pictures are searched in each. Raises InputError if `reference` has no such head.
    """
    head, rng = load_head(reference, extractor), np.random.default_rng((params.seed, 4))
    columns = rng.integers(captions.rows.shape[1], size=len(captions.rows))
    of_real = captions.embeddings_of(columns)
    count = min(int(of_real.any(axis=1).sum()), *(int(rows.any(axis=1).sum()) for rows in asked))
    found = [recalled(head, *rows, count, rng) for rows in zip(samples, asked, strict=True)]
    floor = recalled(head, real_features, of_real, count, rng)
    return Score(
        KIND,
        HeadMeasure(extractor, sha256_of_file(reference / head_file(extractor))),
        [float(one.mean()) for one in found],
        Baseline(float(floor.mean()), real.test.passport_entry(count)),
        bootstrap=deviation_of_mean(found[0]),
    )
