"""Precision, recall, density and coverage: how two sets of features overlap, by their nearest neighbours."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.metrics.neighbours import squared_distances, squared_radii


@dataclass(frozen=True)
class Manifold:
    """Features (N, D), each the centre of a ball that reaches its k-th nearest neighbour."""

    features: Tensor
    squared_radii: Tensor  # (N,)
    k: int


@dataclass(frozen=True)
class Overlap:
    """How N samples and M real images overlap, image by image; the scores are means of these."""

    inside_balls: NDArray[np.int64]  # (N,), number of real balls around each sample
    recalled: NDArray[np.bool_]  # (M,), real images inside the ball of a sample
    covered: NDArray[np.bool_]  # (M,), real balls with a sample inside
    realism: NDArray[np.floating]  # (N,), above 1 inside a real ball; Kynkäänniemi et al. 2019, equation 3
    k: int

    @property
    def parts(self) -> dict[str, NDArray[np.floating]]:
        """The values that each score is the mean of."""
        return {
            "precision": (self.inside_balls > 0).astype(np.float64),
            "recall": self.recalled.astype(np.float64),
            "density": self.inside_balls / self.k,
            "coverage": self.covered.astype(np.float64),
        }

    @property
    def scores(self) -> dict[str, float]:
        """Precision, recall, density and coverage."""
        return {kind: float(part.mean()) for kind, part in self.parts.items()}


def build_manifold(features: NDArray[np.floating], k: int) -> Manifold:
    """Balls around `features` (N, D), N ≥ 2, to the `k`-th nearest neighbour, or to the farthest if there are fewer."""
    rows = torch.tensor(features)
    k = min(k, len(rows) - 1)
    return Manifold(rows, squared_radii(rows, k), k)


def overlap(real: Manifold, samples: Manifold) -> Overlap:
    """Precision, recall (Kynkäänniemi et al. 2019, equations 1, 2), density and coverage (Naeem et al. 2020, section 3).

    A point on the surface of a ball is inside. Realism ignores the larger half of the real balls, as in the paper.
    """
    count, real_count = len(samples.features), len(real.features)
    # Mutual nearest neighbours have the same radius up to rounding; the tolerance keeps both or neither.
    small = real.squared_radii <= real.squared_radii.median() * (1 + 1e-5)
    inside_balls = torch.empty(count, dtype=torch.int64)
    realism = torch.empty(count, dtype=real.features.dtype)
    recalled = torch.zeros(real_count, dtype=torch.bool)
    covered = torch.zeros(real_count, dtype=torch.bool)
    for here, squared in squared_distances(samples.features, real.features):
        inside = squared <= real.squared_radii
        inside_balls[here] = inside.sum(1)
        covered |= inside.any(0)
        recalled |= (squared <= samples.squared_radii[here, None]).any(0)
        realism[here] = (real.squared_radii[small] / squared[:, small]).nan_to_num(nan=1.0).amax(1).sqrt()
    return Overlap(inside_balls.numpy(), recalled.numpy(), covered.numpy(), realism.numpy(), real.k)
