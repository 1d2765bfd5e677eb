"""Captions drawn in training: a picture's own, and one of another picture for the discriminator to refuse."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.inference.attributes import UNSAID
from pipeline.storage.captions import NO_CAPTION, Captions

CANDIDATES = 8  # captions of other pictures, of which the first that is not also the picture's own is taken


class CaptionDraw:
    """Draws embeddings of captions from the training's random state.

    A picture without a caption, and UNSAID of the others, get the usual text of their category. Zeros would be far from all
    that the generator knows, and from zeros it learnt no shapes.
    """

    def __init__(self, captions: Captions, labels: NDArray[np.int64], categories: int) -> None:
        """`labels` (N,) are those of the captions' pictures."""
        self.usual = torch.from_numpy(captions.usual(labels, categories))  # (C, E)
        self._rows = torch.from_numpy(captions.rows.astype(np.int64))
        self._embeddings = torch.cat([torch.from_numpy(captions.embeddings), self.usual])
        self._usual_rows = len(captions.embeddings) + torch.from_numpy(labels)

    @property
    def dim(self) -> int:
        """Dimensions E of an embedding."""
        return self._embeddings.shape[1]

    def own(self, pictures: NDArray[np.int64], rng: torch.Generator) -> Tensor:
        """Embeddings (B, E) of one caption of each of `pictures` (B,), at random; the usual one of its category if unsaid."""
        rows = torch.from_numpy(pictures)
        drawn = self._drawn(rows, rng)
        drawn[torch.rand(len(rows), generator=rng) < UNSAID] = NO_CAPTION
        return self._embedded(rows, drawn)

    def own_and_mismatched(self, pictures: NDArray[np.int64], rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Embeddings (B, E) as `own` draws them for `pictures` (B,), and of a caption that none of the picture's own says.

        Mismatched captions as negatives: Reed et al. 2016, "Generative adversarial text to image synthesis", algorithm 1.
        """
        own = self.own(pictures, rng)
        others = torch.randint(len(self._rows), (len(pictures) * CANDIDATES,), generator=rng)
        candidates, others = (rows.reshape(-1, CANDIDATES) for rows in (self._drawn(others, rng), others))
        known = self._rows[torch.from_numpy(pictures)]  # (B, K)
        wrong = (candidates[:, :, None] != known[:, None]).all(dim=2) & (candidates != NO_CAPTION)
        first = wrong.to(torch.uint8).argmax(dim=1, keepdim=True)
        return own, self._embedded(*(rows.gather(1, first).squeeze(1) for rows in (others, candidates)))

    def _embedded(self, pictures: Tensor, drawn: Tensor) -> Tensor:
        """Embeddings (B, E) of the captions `drawn` (B,) for `pictures` (B,), the usual text for NO_CAPTION."""
        return self._embeddings[torch.where(drawn == NO_CAPTION, self._usual_rows[pictures], drawn)]

    def _drawn(self, pictures: Tensor, rng: torch.Generator) -> Tensor:
        """Rows of the embeddings, one of each picture's, at random; NO_CAPTION where that is none."""
        columns = torch.randint(self._rows.shape[1], (len(pictures),), generator=rng)
        return self._rows[pictures, columns]
