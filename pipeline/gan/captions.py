"""Captions drawn in training: a picture's own, and one of another picture for the discriminator to refuse."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.storage.captions import NO_CAPTION, Captions

CANDIDATES = 8  # captions of other pictures, of which the first that is not also the picture's own is taken


class CaptionDraw:
    """Draws embeddings of captions from the training's random state."""

    def __init__(self, captions: Captions) -> None:
        nothing = np.zeros((1, captions.embeddings.shape[1]), np.float32)
        self._rows = torch.from_numpy(captions.rows.astype(np.int64))
        self._embeddings = torch.from_numpy(np.concatenate([captions.embeddings, nothing]))  # the last one is NO_CAPTION's

    @property
    def dim(self) -> int:
        """Dimensions E of an embedding."""
        return self._embeddings.shape[1]

    def own(self, pictures: NDArray[np.int64], rng: torch.Generator) -> Tensor:
        """Embeddings (B, E) of one caption of each of `pictures` (B,), at random; zeros without one."""
        return self._embeddings[self._drawn(torch.from_numpy(pictures), rng)]

    def own_and_mismatched(self, pictures: NDArray[np.int64], rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Embeddings (B, E) of one caption of each of `pictures` (B,), and of one that none of its own says.

        Mismatched captions as negatives: Reed et al. 2016, "Generative adversarial text to image synthesis", algorithm 1.
        """
        own = self.own(pictures, rng)
        others = torch.randint(len(self._rows), (len(pictures) * CANDIDATES,), generator=rng)
        candidates = self._drawn(others, rng).reshape(len(pictures), CANDIDATES)
        known = self._rows[torch.from_numpy(pictures)]  # (B, K)
        wrong = (candidates[:, :, None] != known[:, None]).all(dim=2) & (candidates != NO_CAPTION)
        first = wrong.to(torch.uint8).argmax(dim=1, keepdim=True)
        return own, self._embeddings[candidates.gather(1, first).squeeze(1)]

    def _drawn(self, pictures: Tensor, rng: torch.Generator) -> Tensor:
        """Rows of the embeddings, one of each picture's, at random."""
        columns = torch.randint(self._rows.shape[1], (len(pictures),), generator=rng)
        return self._rows[pictures, columns]
