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
        self._rows, self._labels = torch.from_numpy(captions.rows.astype(np.int64)), torch.from_numpy(labels)
        self._embeddings = torch.from_numpy(captions.embeddings)
        # For a category: the usual text of the next. Without another one, zeros, which no picture has as its own.
        self._others_usual = self.usual.roll(-1, dims=0) if categories > 1 else torch.zeros_like(self.usual)

    @property
    def dim(self) -> int:
        """Dimensions E of an embedding."""
        return self._embeddings.shape[1]

    def own(self, pictures: NDArray[np.int64], rng: torch.Generator) -> Tensor:
        """Embeddings (B, E) of one caption of each of `pictures` (B,), at random; the usual one of its category if unsaid."""
        rows = torch.from_numpy(pictures)
        drawn = self._drawn(rows, rng)
        drawn[torch.rand(len(rows), generator=rng) < UNSAID] = NO_CAPTION
        return self._embedded(drawn, self.usual[self._labels[rows]])

    def own_and_mismatched(self, pictures: NDArray[np.int64], rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Embeddings (B, E) as `own` draws them for `pictures` (B,), and of a caption that none of the picture's own says.

        Mismatched captions as negatives: Reed et al. 2016, "Generative adversarial text to image synthesis", algorithm 1. Where
        none of the CANDIDATES is foreign to the picture, another category's usual text is.
        """
        own, rows = self.own(pictures, rng), torch.from_numpy(pictures)
        others = torch.randint(len(self._rows), (len(rows) * CANDIDATES,), generator=rng)
        candidates = self._drawn(others, rng).reshape(-1, CANDIDATES)
        foreign = (candidates[:, :, None] != self._rows[rows][:, None]).all(dim=2) & (candidates != NO_CAPTION)
        first = foreign.to(torch.uint8).argmax(dim=1, keepdim=True)
        chosen = torch.where(foreign.gather(1, first), candidates.gather(1, first), NO_CAPTION).squeeze(1)
        return own, self._embedded(chosen, self._others_usual[self._labels[rows]])

    def _embedded(self, drawn: Tensor, otherwise: Tensor) -> Tensor:
        """Embeddings (B, E) of the captions `drawn` (B,); the row of `otherwise` (B, E) for NO_CAPTION."""
        return torch.where((drawn == NO_CAPTION)[:, None], otherwise, self._embeddings[drawn])

    def _drawn(self, pictures: Tensor, rng: torch.Generator) -> Tensor:
        """Rows of the embeddings, one of each picture's, at random; NO_CAPTION where that is none."""
        columns = torch.randint(self._rows.shape[1], (len(pictures),), generator=rng)
        return self._rows[pictures, columns]
